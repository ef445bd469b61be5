"""Run by an environment with HyperQueue in it: ``hyperqueue_rate.py COUNT SLOTS`` prints a rate."""

import json
import sys
import time
from pathlib import Path

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def main(count: int, slots: int) -> None:
    """Submit to a cluster of one worker and wait; the clock runs from the submit.

    The client looks only once a second, so the output file that was made last tells the end.
    """
    with LocalCluster(str(Path("server").absolute()), WorkerConfig(cores=slots)) as cluster:
        client = cluster.client()
        job = Job()
        for _ in range(count):
            job.program(["true"])
        began = time.time()
        client.wait_for_jobs([client.submit(job)])
        ended = max(path.stat().st_mtime for path in Path().glob("*.stdout"))
        print(json.dumps(count / (ended - began)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
