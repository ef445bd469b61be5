"""One running attempt: how it is started, what is watched, how it is ended and what is kept."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from runyard.execution import strays
from runyard.execution.logs import Flood, Spares, discard
from runyard.execution.wire import End, Run
from runyard.execution.workdirs import NoEntry, enter

# Ignored by Python, or by whoever started the worker; a job gets them as any other program does.
_DEFAULT_SIGNALS = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGCHLD,
)
_RSS_UNIT = 1 if os.uname().sysname == "Darwin" else 1024
STAMP = strays.Stamp()
_ENVIRONMENT = dict(os.environ)  # os.environ decodes every variable at every look
_NULL = os.open(os.devnull, os.O_RDONLY)
_HOME_DIRECTORY = os.getcwd()
SPARES = Spares()


GRACE = 5.0  # seconds between TERM and KILL


class NotStarted(Exception):
    """The attempt could not begin; the text says why."""


class Attempt:
    """A child in its own session, its output going straight into two files."""

    def __init__(
        self, run: Run, pid: int, fds: tuple[int, int], stream_limit: int, leaders: set[int]
    ) -> None:
        self.exit_fd = _watch_exit(pid)
        self.key = run.key
        self.slot = run.slot
        self.pid = pid
        self._paths = (run.stdout, run.stderr)
        self._fds = fds
        self._floods: list[Flood | None] = [None, None]
        self._limit = stream_limit
        self._sizes = [0, 0]
        self._cause = "exited"
        self._kill_at: float | None = None
        self._asked: set[int] = set()  # strays that were sent TERM
        self._leaders = leaders
        leaders.add(pid)
        now = time.monotonic()
        self._timeout_at = now + run.timeout if run.timeout else None
        self._silent_timeout = run.silent_timeout
        self._last_output = now

    @classmethod
    def start(
        cls, run: Run, stream_limit: int, leaders: set[int], allowed: Sequence[str] = ()
    ) -> Attempt | None:
        """Start a run. Returns None in the forked child that is to become a snippet.

        ``leaders`` holds the process ids of all attempts; kept here, and shared by them.
        ``allowed`` are the directories in which a run may begin that names one.
        """
        fds = _open_logs(run)
        try:
            pid = _begin(run, fds, allowed)
            if pid == 0:
                return None
            try:
                return cls(run, pid, fds, stream_limit, leaders)
            except OSError as error:  # too many open files: nobody could tell when it ends
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise NotStarted(f"it cannot be watched: {error.strerror}") from error
        except NotStarted:
            SPARES.keep(run.stdout, fds[0])
            SPARES.keep(run.stderr, fds[1])
            raise

    def look(self, now: float) -> None:
        """Check the clock and the streams."""
        for index, fd in enumerate(self._fds):
            size = os.fstat(fd).st_size
            if size != self._sizes[index]:
                self._sizes[index] = size
                self._last_output = now
            if size > self._limit:
                self._trim(index, size)
        if self._kill_at is not None:
            if now >= self._kill_at:
                self._signal(signal.SIGKILL)
        elif self._timeout_at is not None and now >= self._timeout_at:
            self.end("timeout")
        elif self._silent_timeout and now >= self._last_output + self._silent_timeout:
            self.end("silent")

    def _trim(self, index: int, size: int) -> None:
        flood = self._floods[index]
        if flood is None:
            try:
                flood = Flood(self._paths[index], self._limit)
            except OSError:  # somebody deleted the file
                return
            self._floods[index] = flood
        flood.trim(size)

    def end(self, cause: str, grace: float = GRACE) -> None:
        """Ask the whole tree to end, and end it after ``grace`` seconds. The first cause counts,
        but a later call may shorten the grace."""
        deadline = time.monotonic() + grace
        if self._kill_at is None:
            self._cause = cause
            self._kill_at = deadline
            self._signal(signal.SIGTERM if grace > 0 else signal.SIGKILL)
        elif deadline < self._kill_at:
            self._kill_at = deadline
            if grace <= 0:
                self._signal(signal.SIGKILL)
        if cause in ("fenced", "lost"):
            self._cause = cause

    def is_lingering(self, now: float) -> bool:
        """After the exit of an attempt that was asked to end: whether others of its tree are
        still using their grace. Those that were not asked yet are asked."""
        if self._kill_at is None or now >= self._kill_at:
            return False
        left = strays.of(self.key, self.pid, self._leaders)
        strays.send(set(left) - self._asked, signal.SIGTERM)
        self._asked.update(left)
        return bool(left)

    def collect(self) -> End:
        """After the exit: end what is left of the tree, read the exit status, close the logs."""
        # Before the leader is reaped its process id, and so the group's, cannot be given away.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self.exit_fd)
        self._leaders.discard(self.pid)
        is_alone = strays.end(self.key, self.pid, self._leaders)
        self._close_logs(may_spare=is_alone)
        code = os.waitstatus_to_exitcode(status)
        return End(
            self.key,
            self._cause,
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            cpu_seconds=round(usage.ru_utime + usage.ru_stime, 6),
            max_rss_bytes=usage.ru_maxrss * _RSS_UNIT,
        )

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # a snippet that is not in its own session yet
            strays.send([self.pid], number)
        except PermissionError:
            pass
        found = strays.of(self.key, self.pid, self._leaders)
        strays.send(found, number)
        self._asked.update(found)

    def _close_logs(self, *, may_spare: bool) -> None:
        """``may_spare`` if nobody is left who could write into them."""
        for fd, path, flood in zip(self._fds, self._paths, self._floods, strict=True):
            size = os.fstat(fd).st_size
            if size == 0 and flood is None:
                # Most streams stay empty; a missing file reads as one.
                SPARES.keep(path, fd) if may_spare else discard(path, fd)
                continue
            os.close(fd)
            # Whoever deletes the log of a running job must not take the launcher with it.
            if flood or size > self._limit:
                with contextlib.suppress(OSError):
                    (flood or Flood(path, self._limit)).close_up(size)


def _open_logs(run: Run) -> tuple[int, int]:
    try:
        try:
            out = _open_log(run.stdout)
        except FileNotFoundError:
            Path(run.stdout).parent.mkdir(parents=True, exist_ok=True)
            out = _open_log(run.stdout)
        try:
            return out, _open_log(run.stderr)
        except OSError:
            SPARES.keep(run.stdout, out)
            raise
    except OSError as error:
        raise NotStarted(f"its log cannot be written: {error}") from error


def _open_log(path: str) -> int:
    if (spare := SPARES.take(path)) is not None:
        return spare
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def _begin(run: Run, fds: tuple[int, int], allowed: Sequence[str]) -> int:
    """The child's process id; 0 in a forked child that is to become a snippet."""
    # The launcher has one thread, so it may stand where the next child shall begin.
    try:
        if run.cwd is None:
            enter(_HOME_DIRECTORY)
        else:
            enter(os.path.join(_HOME_DIRECTORY, run.cwd), allowed)
    except NoEntry as error:
        raise NotStarted(str(error)) from error
    try:
        return os.fork() if run.kind == "python" else _spawn(run, fds)
    except (OSError, ValueError) as error:
        raise NotStarted(f"it cannot be started: {_in_words(error)}") from error


def _in_words(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _spawn(run: Run, fds: tuple[int, int]) -> int:
    command = ["/bin/sh", "-c", run.command] if isinstance(run.command, str) else run.command
    environment = {**_ENVIRONMENT, **run.env} if run.env else _ENVIRONMENT
    program = _program(command[0], environment.get("PATH", os.defpath))
    try:
        return os.posix_spawn(
            program,
            command,
            environment,
            file_actions=(
                (os.POSIX_SPAWN_DUP2, _NULL, 0),
                (os.POSIX_SPAWN_DUP2, fds[0], 1),
                (os.POSIX_SPAWN_DUP2, fds[1], 2),
            ),
            setsid=True,
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS,
        )
    except FileNotFoundError as error:
        if os.path.exists(program):  # a script that names an interpreter which is not there
            raise NotStarted(f"no such interpreter as the first line of {program} names") from error
        raise NotStarted(f"no such command: {command[0]}") from error


def _program(name: str, search_path: str) -> str:
    """The file that a command's first word means; looked up again once it has gone."""
    if "/" in name:
        return name
    found = _programs.get((name, search_path))
    if found is None or not os.path.exists(found):
        found = shutil.which(name, path=search_path)
        if found is None:
            raise NotStarted(f"no such command: {name}")
        _programs[name, search_path] = found
    return found


_programs: dict[tuple[str, str], str] = {}


def _watch_exit(pid: int) -> int:
    """A descriptor that becomes readable when the process has exited."""
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    reader, writer = os.pipe()
    threading.Thread(target=_tell_exit, args=(pid, writer), daemon=True).start()
    return reader


def _tell_exit(pid: int, writer: int) -> None:
    """Where there are no process descriptors: a thread waits, without reaping."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    os.close(writer)
