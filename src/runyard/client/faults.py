"""Answers that are errors, as the errors they were on the server."""

from __future__ import annotations

import json
from typing import Any

from runyard import errors
from runyard.client.effects import Answer

_ERRORS: dict[int, type[errors.RunyardError]] = {
    400: errors.InvalidRequest,
    403: errors.Forbidden,
    404: errors.NotFound,
    408: errors.WaitTimeout,
    409: errors.Conflict,
    413: errors.InvalidRequest,
    422: errors.InvalidRequest,
    503: errors.StoreError,
}


def fault(answer: Answer, url: str) -> errors.RunyardError:
    """The error that an answer tells of."""
    detail = _detail(answer.body)
    if answer.status == 401:
        return errors.NotAuthenticated(
            f"{detail or 'the server wants to know who asks'}; {how(url)}"
        )
    if answer.status == 429:
        after = answer.headers.get("retry-after", "")
        text = detail or "there were too many requests"
        return errors.LimitReached(text, float(after) if after.isdigit() else None)
    kind = _ERRORS.get(answer.status)
    if kind is None and answer.status >= 500:
        return errors.RunyardError(f"{url} failed with status {answer.status}: its log says more")
    # Starlette says so of an address that it does not have.
    if kind is None or detail is None or detail == "Not Found":
        return errors.RunyardError(
            f"{url} answers with status {answer.status}, and not as Runyard does: is the address "
            "right, and the server as new as this client?"
        )
    return kind(detail)


def how(url: str) -> str:
    """How to sign in."""
    return f"sign in with runyard login {url}, or set RUNYARD_TOKEN"


def _detail(body: bytes) -> str | None:
    try:
        found: Any = json.loads(body)["detail"]
        if isinstance(found, str):
            return found
        place = ".".join(str(part) for part in found[0]["loc"][1:])
        text = found[0]["msg"].removeprefix("Value error, ")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    return f"{place}: {text}" if place else str(text)
