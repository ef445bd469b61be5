"""The cost of claiming and finishing does not grow with the queue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import event, text

from runyard.domain import ids
from runyard.store import leases, schedule, tallies
from runyard.store import submit as submits
from runyard.store.claim import Claim
from runyard.store.database import Store
from runyard.store.finish import Ended, finish
from runyard.store.submit import NewBatch, NewJob
from tests.store.support import FAIL, LEASE, PASS, claim, new, on_new_postgresql, on_sqlite

QUEUED = 50_000
ROWS_ENOUGH = 300  # more rows than any plan that looks at few jobs, less than any that scans


def fill(store: Store, count: int) -> None:
    """A backlog of several groups, some of it with dependents, some for later, in a few batches."""
    kinds = [new("job", org_id=org, target=target) for org in "abc" for target in ("x", "y")]

    def job(position: int) -> NewJob:
        return replace(
            kinds[position % len(kinds)],
            id=ids.job_ids(1)[0],
            priority=position % 11,
            needs=[position - 1] if position % 10 == 9 else [],
            run_after=4e9 if position % 10 == 5 else None,
        )

    part = count // 5
    for _ in range(5):
        jobs = [job(position) for position in range(part)]
        batch = NewBatch(ids.batch_id(), "", "a")
        store.write(lambda tx, jobs=jobs, batch=batch: submits.submit(tx, jobs, batch))
        store.write(tallies.fold)  # as a promoter does: the groups are many, for these few jobs


def a_round_of_work(store: Store) -> None:
    """All that a worker, a reaper and a promoter ask again and again."""
    claimed = [*claim(store, 1, "w1"), *claim(store, 4, "w1", targets=frozenset("x"))]
    assert len(claimed) == 5
    store.write(lambda tx: leases.renew(tx, "w1", LEASE), relaxed=True)
    with store.read() as tx:
        leases.cancels(tx, "w1")
        schedule.next_due(tx)
    store.write(lambda tx: finish(tx, _ended(claimed)), relaxed=True)
    store.write(leases.expire, relaxed=True)
    store.write(lambda tx: leases.expire_workers(tx, ["w1", "w2"]), relaxed=True)
    store.write(schedule.promote, relaxed=True)


def _ended(claimed: list[Claim]) -> list[Ended]:
    outcomes = [PASS, FAIL, PASS, PASS, PASS]
    return [
        Ended(one.seq, one.fence, outcome) for one, outcome in zip(claimed, outcomes, strict=True)
    ]


# SQLite: the plans, and the steps of its virtual machine


def overheard(store: Store) -> list[str]:
    """What ``store`` runs from now on, with values in the place of parameters."""
    seen: list[str] = []
    store.close()  # connections opened from now on are listened to
    event.listen(store._engine, "connect", lambda conn, _: conn.set_trace_callback(seen.append))
    return seen


@on_sqlite
def test_no_statement_walks_the_queue(store: Store) -> None:
    fill(store, 500)
    statements = overheard(store)
    a_round_of_work(store)
    asked = [each for each in statements if each.startswith(("SELECT", "WITH", "UPDATE"))]
    assert len(asked) > 10
    for statement in asked:
        plan = explain(store, statement)
        assert not [step for step in plan if walks_the_jobs(step)], f"{statement}\n{plan}"


def explain(store: Store, statement: str) -> list[str]:
    with store.read() as tx:
        rows = tx.conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
    return [row.detail for row in rows]


def walks_the_jobs(step: str) -> bool:
    # The index of running jobs is as small as the fleet: to walk it is what a reaper does.
    return "SCAN jobs" in step and "ix_jobs_running" not in step


@on_sqlite
def test_a_hundred_times_the_queue_takes_no_more_steps(store: Store) -> None:
    fill(store, QUEUED // 100)
    few = steps(store)
    fill(store, QUEUED)
    assert steps(store) < 1.5 * few


def steps(store: Store) -> int:
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    def listen(connection: Any, _: object) -> None:
        connection.set_progress_handler(count, 20)

    store.close()
    event.listen(store._engine, "connect", listen)
    a_round_of_work(store)
    event.remove(store._engine, "connect", listen)
    store.close()
    return counted


# PostgreSQL: what its planner really did


def watched(store: Store) -> list[dict[str, Any]]:
    """The plan, with actual rows, of every statement that ``store`` runs from now on."""
    seen: list[dict[str, Any]] = []

    def hear(notice: Any) -> None:
        _, _, plan = notice.message_primary.partition("plan:\n")
        if plan:
            seen.append(json.loads(plan))

    def listen(connection: Any, _: object) -> None:
        connection.add_notice_handler(hear)
        with connection.cursor() as cursor:
            cursor.execute(
                "LOAD 'auto_explain'; SET client_min_messages = log;"
                "SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on;"
                "SET auto_explain.log_format = json"
            )

    store.close()
    event.listen(store._engine, "connect", listen)
    return seen


@on_new_postgresql
def test_no_plan_reads_the_queue(store: Store) -> None:
    """Neither before the planner has counted the rows nor after."""
    fill(store, QUEUED)
    plans = watched(store)
    for _ in range(2):
        plans.clear()
        a_round_of_work(store)
        assert len(plans) > 10
        for plan in plans:
            for node in nodes(plan["Plan"]):
                assert rows_read(node) < ROWS_ENOUGH, json.dumps(plan, indent=1)
        store.write(lambda tx: tx.conn.execute(text("ANALYZE")))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def rows_read(node: dict[str, Any]) -> float:
    read: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return read * node["Actual Loops"]
