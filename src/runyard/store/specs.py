"""What was asked for when jobs were submitted."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from runyard.domain.job import JobSpec
from runyard.store.database import Tx
from runyard.store.schema import job_specs
from runyard.store.statement import Statement, among

_OF_JOB = select(job_specs.c.spec).where(job_specs.c.job_seq == bindparam("job"))


def asked(tx: Tx, seq: int) -> JobSpec:
    """What was asked for; what the job depends on is kept elsewhere."""
    return JobSpec.model_validate_json(tx.conn.execute(_OF_JOB, {"job": seq}).scalar_one())


_OF_JOBS = Statement(
    select(job_specs.c.job_seq, job_specs.c.spec).where(among(job_specs.c.job_seq, "seqs"))
)


def texts(tx: Tx, seqs: Sequence[int]) -> dict[int, str]:
    """The same of several jobs, as JSON."""
    rows = _OF_JOBS.rows(tx, seqs=tx.dialect.array(seqs)) if seqs else ()
    return {row.job_seq: row.spec for row in rows}
