"""Parameters that several endpoints share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Header, Path, Query

from runyard.errors import InvalidRequest

# A job's id has no dash, so that no path of jobs can mean a batch.
JobId = Annotated[str, Path(pattern=r"^[0-9a-z]{1,26}$", description="Or a unique beginning")]
BatchId = Annotated[str, Path(pattern=r"^b-[0-9a-z]{0,26}$", description="Or a unique beginning")]
AnyBatch = Annotated[str, Query(pattern=r"^b-[0-9a-z]{0,26}$")]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many")]
Cursor = Annotated[str, Query(pattern=r"^[0-9]{1,18}$", description="A page's next")]
# PostgreSQL has no place for NUL.
NO_NUL = r"^[^\x00]*$"
After = Annotated[str, Query(max_length=3000, pattern=NO_NUL, description="A page's next")]
Text = Annotated[str, Query(max_length=300, pattern=NO_NUL)]
PartOfName = Annotated[Text, Query(description="Part of the name")]
At = Annotated[datetime, Query(description="ISO 8601; without a zone, it is UTC")]
Name = Annotated[str, Path(max_length=100, pattern=NO_NUL)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=300,
        pattern=NO_NUL,
        description="The same as `idempotency_key`, also for a list, which has no place for one",
    ),
]


def posix(at: datetime | None) -> float | None:
    """An instant in POSIX seconds."""
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def one_key(in_body: str | None, in_head: str | None) -> str | None:
    """The idempotency key of a request. Raises ``InvalidRequest`` if it has two."""
    if in_body is not None and in_head is not None and in_body != in_head:
        raise InvalidRequest("the idempotency keys in the head and in the body differ")
    return in_body if in_head is None else in_head
