"""Settings: the only reader of environment variables, and the layout of the home directory."""

from __future__ import annotations

import getpass
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import overload
from urllib.parse import quote

from runyard.errors import HomeUnusable, InvalidRequest

# Never handed to a job: they give access to what the job has no business with.
SECRET_VARIABLES = ("RUNYARD_DATABASE_URL", "RUNYARD_TOKEN", "RUNYARD_SECRET")
# With these PostgreSQL's own library completes a database URL that has no password in it.
_OF_POSTGRESQL = ("PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE")

CONFIG_VARIABLE = "RUNYARD_CONFIG"
LEASE_SECONDS = 30.0
RETENTION_DAYS = 30.0
# A page has one or two while it is looked at; what waits for a build, or follows it, one.
STREAMS = 1000
STREAMS_PER_USER = 250
SHORTEST_SECRET = 32
FEWEST_DIFFERENT = 8  # characters of a secret, also without the words of examples
_EXAMPLES = re.compile(
    "change|default|development|django|dummy|example|fixme|foobar|here|insecure|jwt|letmein|"
    "password|passwort|passphrase|placeholder|please|production|qwerty|qwertz|random|replace|"
    "runyard|sample|secret|secure|signing|string|super|test|this|todo|token|very|with|your|"
    r"me|my|key|is|in|not|to|a|the|safe|long|some|[\W_]+"
)


@dataclass(frozen=True, slots=True)
class Home:
    """The directory that holds database, logs and the marks of running workers."""

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite file that is used unless another database is configured."""
        return self.root / "runyard.db"

    @property
    def logs(self) -> Path:
        """Output of attempts."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Ledgers and wake-up pipes of live workers; of no use after a reboot."""
        return self.root / "run"

    @property
    def secret(self) -> Path:
        """The key that signs sessions, unless one is configured."""
        return self.root / "secret"

    @property
    def worker_log(self) -> Path:
        """What background workers have to say."""
        return self.root / "worker.log"

    def prepare(self) -> Home:
        """Create the directories; returns self."""
        try:
            for directory in (self.root, self.logs, self.run):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HomeUnusable(
                f"the home {self.root} cannot be used: {error.strerror}; set RUNYARD_HOME to a "
                "directory that you may write"
            ) from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise HomeUnusable(f"the home {self.root} may not be written; set RUNYARD_HOME")
        return self


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set from outside; seconds unless said otherwise."""

    home: Home
    database_url: str
    lease_seconds: float = LEASE_SECONDS
    retention_days: float = RETENTION_DAYS
    allowed_workdirs: tuple[str, ...] = ()  # where jobs may begin; empty means anywhere
    default_workdir: str | None = None  # where those begin that name no directory
    secrets: tuple[str, ...] = ()  # sign sessions: the first signs, all are good
    command_timeout: float | None = None  # of jobs that name none, and the longest they may name
    streams: int = STREAMS  # with waits and downloads, of one server at once
    streams_per_user: int = STREAMS_PER_USER
    trusted_proxies: tuple[str, ...] = ()  # whose word is taken for where a request comes from

    @classmethod
    def load(
        cls,
        home: str | os.PathLike[str] | None = None,
        database_url: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Settings:
        """Arguments win over the environment, the environment over defaults."""
        env = os.environ if environment is None else environment
        root = Path(home or env.get("RUNYARD_HOME") or _default_home())
        place = Home(root.expanduser().absolute())
        url = (
            database_url
            or env.get("RUNYARD_DATABASE_URL")
            or f"sqlite:///{quote(str(place.database))}"
        )
        return cls(
            place,
            url,
            _positive(env, "RUNYARD_LEASE_SECONDS", LEASE_SECONDS),
            _positive(env, "RUNYARD_RETENTION_DAYS", RETENTION_DAYS),
            _directories(env, "ALLOWED_WORKDIRS"),
            next(iter(_directories(env, "DEFAULT_WORKING_DIR", separator=None)), None),
            _secrets(env),
            _positive(env, "COMMAND_TIMEOUT_SECONDS", None),
            _whole(env, "RUNYARD_STREAMS", STREAMS),
            _whole(env, "RUNYARD_STREAMS_PER_USER", STREAMS_PER_USER),
            _proxies(env),
        )

    @property
    def secret_variables(self) -> tuple[str, ...]:
        """What of a worker's environment its jobs must not see."""
        is_postgresql = self.database_url.startswith("postgres")
        return SECRET_VARIABLES + (_OF_POSTGRESQL if is_postgresql else ())

    def environment(self) -> dict[str, str]:
        """The environment of a process that shall use the same settings."""
        return {
            **os.environ,
            "RUNYARD_HOME": str(self.home.root),
            "RUNYARD_DATABASE_URL": self.database_url,
            "RUNYARD_LEASE_SECONDS": str(self.lease_seconds),
            "RUNYARD_RETENTION_DAYS": str(self.retention_days),
            "ALLOWED_WORKDIRS": ",".join(self.allowed_workdirs),
            "DEFAULT_WORKING_DIR": self.default_workdir or "",
            "COMMAND_TIMEOUT_SECONDS": str(self.command_timeout or ""),
        }


def user_name() -> str:
    """The name of this account, "" where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user id without a name
        return ""


def server_url(environment: Mapping[str, str] | None = None) -> str | None:
    """The server that commands shall go to; "" says that they shall not go to any."""
    return (os.environ if environment is None else environment).get("RUNYARD_URL")


def server_token(environment: Mapping[str, str] | None = None) -> str | None:
    """The token to show there."""
    return (os.environ if environment is None else environment).get("RUNYARD_TOKEN") or None


def names_home(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the environment says where the store of this machine is."""
    env = os.environ if environment is None else environment
    return bool(env.get("RUNYARD_HOME") or env.get("RUNYARD_DATABASE_URL"))


def credentials_path() -> Path:
    """Where ``login`` keeps what signs in to a server."""
    import platformdirs

    return Path(platformdirs.user_config_dir("runyard", appauthor=False)) / "credentials.json"


def named_config(environment: Mapping[str, str] | None = None) -> str | None:
    """The ``runyard.toml`` that the environment names, if it does."""
    return (os.environ if environment is None else environment).get(CONFIG_VARIABLE)


def _default_home() -> str:
    # Imported when needed: most commands of a configured system do not.
    import platformdirs

    return platformdirs.user_data_dir("runyard", appauthor=False)


def _secrets(env: Mapping[str, str]) -> tuple[str, ...]:
    found = tuple(filter(None, (env.get("RUNYARD_SECRET") or "").split(",")))
    if any(map(_is_guessable, found)):
        raise InvalidRequest(
            f"RUNYARD_SECRET is too easy to guess: draw at least {SHORTEST_SECRET} characters at "
            "random"
        )
    return found


def _is_guessable(secret: str) -> bool:
    """Whether it is short, has few different characters, or repeats itself or the words of which
    examples are made."""
    period = (secret + secret).find(secret, 1)
    rest = _EXAMPLES.sub("", secret.lower())
    return (
        period < SHORTEST_SECRET
        or len(set(secret)) < FEWEST_DIFFERENT
        or len(set(rest)) < FEWEST_DIFFERENT
    )


def _proxies(env: Mapping[str, str]) -> tuple[str, ...]:
    text = env.get("RUNYARD_TRUSTED_PROXIES") or ""
    found = tuple(filter(None, map(str.strip, text.split(","))))
    for proxy in found:
        try:
            ipaddress.ip_network(proxy)
        except ValueError:
            raise InvalidRequest(
                f"RUNYARD_TRUSTED_PROXIES names {proxy!r}; it must be an address or a network, as "
                "10.0.0.0/8"
            ) from None
    return found


def _directories(env: Mapping[str, str], name: str, separator: str | None = ",") -> tuple[str, ...]:
    text = env.get(name) or ""
    words = [word.strip() for word in (text.split(separator) if separator else [text])]
    found = tuple(os.path.expanduser(word) for word in words if word)
    for directory in found:
        if not os.path.isabs(directory):
            raise InvalidRequest(f"{name} names {directory!r}; it must be an absolute directory")
    return found


@overload
def _positive(env: Mapping[str, str], name: str, default: float) -> float: ...


@overload
def _positive(env: Mapping[str, str], name: str, default: None) -> float | None: ...


def _positive(env: Mapping[str, str], name: str, default: float | None) -> float | None:
    text = env.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise InvalidRequest(f"{name} is {text!r}; it must be a number above 0")
    return value


def _whole(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name)
    if not text:
        return default
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text):
        raise InvalidRequest(f"{name} is {text!r}; it must be a whole number above 0")
    return int(text)
