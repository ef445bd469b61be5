"""A Python snippet in the forked child that is to run it."""

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import gc
import io
import linecache
import os
import signal
import sys
import threading
import traceback
import types
from typing import NoReturn

from runyard.execution.strays import Stamp
from runyard.execution.wire import Run

NAME = "<snippet>"


class Snippet:
    """Turns a fork of the launcher into a fresh program: its own session, output, environment."""

    def __init__(self, run: Run, stamp: Stamp) -> None:
        self._run = run
        self._stamp = stamp

    def run(self) -> NoReturn:
        """Execute the code as ``__main__``; how it ends is how the process ends."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        self._stamp.write(self._run.key)
        self._take_output()
        os.environ.update(self._run.env or {})
        module = types.ModuleType("__main__")
        module.__dict__["__builtins__"] = builtins
        sys.modules["__main__"] = module
        sys.argv = [NAME]
        sys.path.insert(0, "")
        code = _execute(str(self._run.command), module)
        _leave(code, module)

    def _take_output(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(os.open(self._run.stdout, flags), 1)
        os.dup2(os.open(self._run.stderr, flags), 2)
        # The launcher's sockets and every other attempt's files came along with the fork.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _execute(code: str, module: types.ModuleType) -> int:
    """Run the code; returns the exit status that Python would give it."""
    # Tracebacks quote the snippet's own lines.
    lines = io.StringIO(code, newline=None).readlines()
    linecache.cache[NAME] = (len(code), None, lines, NAME)
    try:
        exec(compile(code, NAME, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as request:
        return _status(request.code)
    except BaseException as error:
        own = error.__traceback__.tb_next if error.__traceback__ else None  # ours is left out
        _show(error.with_traceback(own))
        return 1
    return 0


def _show(error: BaseException) -> None:
    """Print an error that nobody caught, or let a hook of the snippet's do it."""
    if sys.excepthook is sys.__excepthook__:  # which quotes only files, before Python 3.13
        traceback.print_exception(error)
    else:
        sys.excepthook(type(error), error, error.__traceback__)


def _status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _leave(code: int, module: types.ModuleType) -> NoReturn:
    """End as Python does, but for taking apart every module: in a fork that copies most of the
    launcher's memory, at four times the cost of all the rest."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    _flush_files()  # first: the garbage collector may close the lower half of a file before it
    if threading.active_count() == 1:  # a daemon thread may still be using the names
        module.__dict__.clear()
        gc.collect()
    os._exit(code if _flush() else 120)  # Python's own status for output that cannot be written


def _flush() -> bool:
    """Write all that is held back; returns whether the standard streams could be written."""
    _flush_files()
    ctypes.CDLL(None).fflush(None)  # what C libraries printed
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except Exception:
        return False
    return True


def _flush_files() -> None:
    """Write what files hold back, text first, into the buffers below it: nothing closes them."""
    files = [item for item in gc.get_objects() if isinstance(item, io.IOBase)]
    for file in sorted(files, key=lambda file: not isinstance(file, io.TextIOBase)):
        with contextlib.suppress(Exception):
            file.flush()
