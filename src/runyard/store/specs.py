"""What was asked for when jobs were submitted."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from runyard.domain.job import JobSpec
from runyard.store.database import Tx
from runyard.store.schema import job_specs

_OF_JOB = select(job_specs.c.spec).where(job_specs.c.job_seq == bindparam("job"))


def asked(tx: Tx, seq: int) -> JobSpec:
    """What was asked for; what the job depends on is kept elsewhere."""
    return JobSpec.model_validate_json(tx.conn.execute(_OF_JOB, {"job": seq}).scalar_one())
