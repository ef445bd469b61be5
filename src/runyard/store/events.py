"""Append events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from runyard.domain.event import EventKind
from runyard.store.database import Tx
from runyard.store.schema import events
from runyard.store.statement import Insertion

Record = tuple[float, str, int, int | None, str | None]
COLUMNS = ("at", "kind", "job_seq", "fence", "data")

_INSERT = Insertion(events, COLUMNS)


def record(
    at: float,
    kind: EventKind,
    job_seq: int,
    fence: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> Record:
    """One event as a row; empty values in ``data`` are left out."""
    known = {k: v for k, v in data.items() if v is not None} if data else None
    return at, kind.value, job_seq, fence, json.dumps(known) if known else None


def append(tx: Tx, records: Iterable[Record]) -> None:
    """Write events in the transaction of the change they tell of."""
    tx.later(_INSERT, [dict(zip(COLUMNS, row, strict=True)) for row in records])
