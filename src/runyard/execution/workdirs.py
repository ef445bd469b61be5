"""Working directories: which there are, and which a job may begin in.

A job begins inside of one of the allowed directories, wherever links lead. That is no sandbox:
once it runs, it goes where its user may.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass


class NoEntry(Exception):
    """A job cannot begin in a directory; the text says why, as one sentence."""


@dataclass(frozen=True, slots=True)
class Workdirs:
    """Where jobs may begin. ``allowed`` empty means anywhere; ``default`` is where those begin
    that name no directory, and where relative ones start from. Directories are absolute."""

    allowed: tuple[str, ...] = ()
    default: str | None = None

    @property
    def usual(self) -> str | None:
        """Where a job begins that names no directory; None: where its worker does."""
        return self.default or (self.allowed[0] if self.allowed else None)

    def of(self, cwd: str | None) -> str | None:
        """Where a job begins that names ``cwd``; a relative one is the worker's to complete if
        there is no default."""
        if cwd is None or self.usual is None:
            return cwd or self.usual
        return os.path.join(self.usual, cwd)

    def check(self, cwd: str | None, *, may_be_missing: bool = False) -> None:
        """Raise ``NoEntry`` if a job could not begin in ``cwd`` on this host. Without allowed
        directories nothing is known of what the workers' hosts have, and nothing is refused."""
        place = self.of(cwd)
        if not self.allowed or place is None:
            return
        try:
            resolved = os.path.realpath(place)
        except (OSError, ValueError) as error:
            raise NoEntry(_fault(place, error)) from None
        if not is_within(resolved, self.allowed):
            raise NoEntry(_outside(place, self.allowed))
        try:
            mode = os.stat(resolved).st_mode
        except FileNotFoundError as error:
            if may_be_missing:
                return
            raise NoEntry(_fault(place, error)) from None
        except OSError as error:
            raise NoEntry(_fault(place, error)) from None
        if not stat.S_ISDIR(mode):
            raise NoEntry(_fault(place, NotADirectoryError()))
        if not os.access(resolved, os.X_OK):
            raise NoEntry(_fault(place, PermissionError()))


def enter(directory: str, allowed: Sequence[str] = ()) -> None:
    """Make ``directory`` this process's own, or raise ``NoEntry``.

    Where it is, is asked once it has been entered: a link that is changed meanwhile leads nowhere
    else.
    """
    try:
        os.chdir(directory)
    except (OSError, ValueError) as error:
        # What is not there is told only of where one may be.
        if allowed and not _may_lie_within(directory, allowed):
            raise NoEntry(_outside(directory, allowed)) from None
        raise NoEntry(_fault(directory, error)) from error
    if allowed and not _is_here_within(allowed):
        raise NoEntry(_outside(directory, allowed))


def is_within(resolved: str, allowed: Sequence[str]) -> bool:
    """Whether a path without links is one of some directories, or below one; these may have
    links in them."""
    return any(
        resolved == root or resolved.startswith(root.rstrip("/") + "/")
        for root in map(os.path.realpath, allowed)
    )


def _may_lie_within(directory: str, allowed: Sequence[str]) -> bool:
    try:
        return is_within(os.path.realpath(directory), allowed)
    except (OSError, ValueError):
        return False


def _is_here_within(allowed: Sequence[str]) -> bool:
    try:
        return is_within(os.getcwd(), allowed)
    except OSError:  # deleted since
        return False


def _outside(directory: str, allowed: Sequence[str]) -> str:
    return f"directory {directory} is not inside of {' or '.join(allowed)}, where jobs may run"


def _fault(directory: str, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"no such directory: {directory}"
    if isinstance(error, PermissionError):
        return f"directory {directory} may not be entered: permission denied"
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    return f"directory {directory} cannot be entered: {why}"
