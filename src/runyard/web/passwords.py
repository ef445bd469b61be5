"""Requests for which a password is hashed: in threads of their own.

A hash takes tens of megabytes and all processors for a moment, on purpose. A crowd that signs in,
or somebody who guesses, must not keep all others waiting.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import Request

from runyard.errors import LimitReached

CROWD = 20  # that may wait for it

Result = TypeVar("Result")


def hashers() -> anyio.CapacityLimiter:
    """How many at once: they leave processors to the others."""
    return anyio.CapacityLimiter(max(1, min(4, (os.cpu_count() or 1) // 2)))


async def hashing(request: Request, work: Callable[..., Result], *arguments: Any) -> Result:
    """Do something that hashes a password. Raises ``LimitReached`` if too many wait already."""
    limiter: anyio.CapacityLimiter = request.app.state.hashers
    if limiter.statistics().tasks_waiting >= CROWD:
        raise LimitReached("too many sign in at this moment: try again", retry_after=1.0)
    return await anyio.to_thread.run_sync(functools.partial(work, *arguments), limiter=limiter)


def hashes(endpoint: Callable[..., Result]) -> Callable[..., Coroutine[Any, Any, Result]]:
    """An endpoint that hashes passwords, and has the ``request`` among its arguments."""

    @functools.wraps(endpoint)
    async def apart(*, request: Request, **arguments: Any) -> Result:
        work = functools.partial(endpoint, request=request, **arguments)
        return await hashing(request, work)

    return apart
