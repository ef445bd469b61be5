"""Fixtures that every test may ask for."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.background import stop_background_workers
from tests.support.postgres import PostgresKeeper, database, ensure_started
from tests.support.processes import eventually, with_variable

# The same examples in every run, and as much time for each as a busy machine needs.
settings.register_profile(
    "steady",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")

HOME = "RUNYARD_HOME"
KEEPER = pytest.StashKey[PostgresKeeper]()


def pytest_configure(config: pytest.Config) -> None:
    # What nohup or a shell's & have us ignore, all that tests start would ignore too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # pytest-xdist configures its workers too: only the process that started them keeps the server.
    if not hasattr(config, "workerinput"):
        config.stash[KEEPER] = PostgresKeeper(durable=False)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    node.workerinput["postgres_home"] = str(node.config.stash[KEEPER].home)


def pytest_unconfigure(config: pytest.Config) -> None:
    if keeper := config.stash.get(KEEPER, None):
        keeper.close()


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Path:
    """The home of the one PostgreSQL that all workers share; the first that asks starts it."""
    if hasattr(pytestconfig, "workerinput"):
        home = Path(pytestconfig.workerinput["postgres_home"])
    else:
        home = pytestconfig.stash[KEEPER].home
    try:
        ensure_started(home)
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
    return home


@pytest.fixture
def pg_url(postgres_server: Path) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of this test's own."""
    with database(postgres_server) as url:
        yield url


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty Runyard home, in the environment of this test and of all that it starts. When the
    test is over, background workers are stopped, and nothing else may be left."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv(HOME, str(path))
    yield path
    eventually(lambda: not stop_background_workers(path) and not with_variable(f"{HOME}={path}"))
