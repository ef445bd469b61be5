"""How many jobs of a user or org may wait at once.

What waits is counted up to the quota, when somebody submits, so the cost is that of the quota, not
of the backlog, and no counter can go wrong.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, delete, func, select, update

from runyard.domain.job import WAITING
from runyard.errors import LimitReached
from runyard.store.database import Tx
from runyard.store.schema import groups, jobs, queues
from runyard.store.statement import Statement
from runyard.store.user_tables import quotas

EVERYBODY = "*"
KINDS = ("user", "org")


def put(tx: Tx, kind: str, name: str, waiting: int | None) -> None:
    """Let at most so many jobs of a user or org wait; None lifts it."""
    values = {"kind": kind, "name": name}
    if waiting is None:
        tx.conn.execute(delete(quotas).filter_by(**values))
    elif not tx.dialect.insert_missing(tx.conn, quotas, {**values, "waiting": waiting}):
        tx.conn.execute(update(quotas).filter_by(**values).values(waiting=waiting))


def check(tx: Tx, user: str, orgs: Collection[str], added: int) -> None:
    """Raises ``LimitReached`` if the jobs ``added`` in this transaction are too many for their
    user or one of their orgs.

    The quota's row is locked until the transaction ends: of two who submit at once, the second
    counts what the first has added.
    """
    whose = {("user", user), *(("org", org) for org in orgs)}
    found = {
        (row.kind, row.name): row.waiting
        for org in sorted(orgs)
        for row in _OF.rows(tx, user=user, org=org)
    }
    for kind, name in sorted(whose):
        most = found.get((kind, name), found.get((kind, EVERYBODY)))
        if most is None:
            continue
        tx.flush()  # what is added is to be counted
        there = waiting(tx, kind, name, most + added)
        if there > most:
            raise LimitReached(
                f"{kind} {name} may have {most} jobs waiting: {max(0, there - added)} wait, and "
                f"{added} more would be too many"
            )


# In order, so that two who lock several cannot wait for each other.
_OF = Statement(
    select(quotas)
    .where(
        ((quotas.c.kind == "user") & quotas.c.name.in_([bindparam("user"), EVERYBODY]))
        | ((quotas.c.kind == "org") & quotas.c.name.in_([bindparam("org"), EVERYBODY]))
    )
    .order_by(quotas.c.kind, quotas.c.name)
    .with_for_update()
)


def waiting(tx: Tx, kind: str, name: str, limit: int) -> int:
    """How many jobs of a user or org wait; stops counting at a limit."""
    column = queues.c.submitted_by if kind == "user" else groups.c.org_id
    counted = (
        select(jobs.c.seq)
        .join(queues, queues.c.id == jobs.c.queue_id)
        .join(groups, groups.c.id == queues.c.group_id)
        .where(column == name, jobs.c.state.in_([state.value for state in WAITING]))
        .limit(limit)
    )
    query = select(func.count()).select_from(counted.subquery())
    return int(tx.conn.execute(query).scalar_one())
