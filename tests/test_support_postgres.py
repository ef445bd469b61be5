"""The tests' own PostgreSQL: databases are apart, and nothing stays behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from tests.support.postgres import PostgresKeeper, database, ensure_started

OWNER = """
import time
from tests.support.postgres import PostgresKeeper, ensure_started
keeper = PostgresKeeper(durable=False)
ensure_started(keeper.home)
print(keeper.home, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("attempt", range(6))
def test_every_test_has_an_empty_database_of_its_own(pg_url: str, attempt: int) -> None:
    engine = create_engine(pg_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (attempt int)"))
        connection.execute(text("INSERT INTO mine VALUES (:attempt)"), {"attempt": attempt})
        assert connection.execute(text("SELECT attempt FROM mine")).all() == [(attempt,)]
    engine.dispose()


def test_a_database_goes_even_with_a_connection_left_open(postgres_server: Path) -> None:
    with database(postgres_server) as url:
        engine = create_engine(url)
        left_open = engine.connect()
        name = left_open.execute(text("SELECT current_database()")).scalar_one()
    with database(postgres_server) as url:
        other = create_engine(url)
        with other.connect() as connection:
            names = connection.execute(text("SELECT datname FROM pg_database")).scalars().all()
        other.dispose()
    assert name not in names
    left_open.invalidate()
    engine.dispose()


def test_an_owner_killed_outright_leaves_no_server() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as owner:
        home = Path(owner.stdout.readline().strip())
        server = psutil.Process(int((home / "data/postmaster.pid").read_text().split()[0]))
        os.kill(owner.pid, signal.SIGKILL)
    server.wait(20)
    deadline = time.monotonic() + 20
    while home.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not home.exists()


def test_a_server_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.postgres._settings", lambda *_: "-c no_such_setting=1")
    with (
        PostgresKeeper() as keeper,
        pytest.raises(RuntimeError, match=r"could not start[^§]*no_such_setting"),
    ):
        ensure_started(keeper.home)


def test_home_is_in_the_environment(home: Path) -> None:
    assert os.environ["RUNYARD_HOME"] == str(home)
    assert list(home.iterdir()) == []
