"""What was submitted under an idempotency key: at most once, however often it arrives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from runyard.errors import Conflict
from runyard.store.database import Tx
from runyard.store.schema import batches, idempotency_keys, jobs
from runyard.store.statement import Statement


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's promise that two submissions with this key are the same one."""

    org_id: str
    key: str
    digest: str


def earlier(tx: Tx, key: IdempotencyKey) -> str | None:
    """The id saved under this key, if any: of a batch, or of the first job. Inserting the key first
    makes two racing submits queue up behind each other."""
    values = {"org_id": key.org_id, "key": key.key, "digest": key.digest}
    if tx.dialect.insert_missing(tx.conn, idempotency_keys, values):
        return None
    tx.flush()  # it may be from this transaction, which others share
    query = (
        select(idempotency_keys.c.digest, jobs.c.id.label("job"), batches.c.id.label("batch"))
        .outerjoin(jobs, jobs.c.seq == idempotency_keys.c.job_seq)
        .outerjoin(batches, batches.c.seq == idempotency_keys.c.batch_seq)
        .where(idempotency_keys.c.org_id == key.org_id, idempotency_keys.c.key == key.key)
    )
    row = tx.conn.execute(query).one()
    if row.digest != key.digest:
        raise Conflict(f"the idempotency key {key.key!r} was used for something else")
    return str(row.batch or row.job)


def remember(tx: Tx, key: IdempotencyKey, batch_seq: int | None, seqs: Sequence[int]) -> None:
    """Keep what was saved: a batch, or else jobs. The key lasts as long as the first of them."""
    several = json.dumps(list(seqs)) if len(seqs) > 1 else None
    values = {"job": seqs[0] if seqs else None, "batch": batch_seq, "several": several}
    tx.later(_REMEMBER, [{"whose": key.org_id, "name": key.key, **values}])


_REMEMBER = Statement(
    idempotency_keys.update()
    .where(
        idempotency_keys.c.org_id == bindparam("whose"), idempotency_keys.c.key == bindparam("name")
    )
    .values(job_seq=bindparam("job"), batch_seq=bindparam("batch"), job_seqs=bindparam("several"))
)


def submitted(tx: Tx, key: IdempotencyKey) -> list[int]:
    """The jobs that were saved under a key without a batch, as far as they are there."""
    query = select(idempotency_keys.c.job_seq, idempotency_keys.c.job_seqs)
    row = tx.conn.execute(query.filter_by(org_id=key.org_id, key=key.key)).one_or_none()
    if row is None or row.job_seq is None:
        return []
    return [row.job_seq] if row.job_seqs is None else list(json.loads(row.job_seqs))
