"""What people look at who want to see it all: figures, what runs and waits, timelines, graphs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from runyard.domain import graph
from runyard.domain.explanation import Explanation
from runyard.domain.job import Job, JobSpec, State
from runyard.domain.user import Actor
from runyard.service import access, waiting
from runyard.service.waiting import Reckoning
from runyard.store import batches, glance, registry, spans, specs, views
from runyard.store.database import Store, Tx
from runyard.store.glance import Figures
from runyard.store.openqueues import OpenQueue
from runyard.store.registry import LIVE_LEASES
from runyard.store.spans import Node, Span

MOST_SPANS = 1_000  # of one timeline
MOST_NODES = 300  # of one graph
MOST_MEMBERS = 20_000  # of a batch, among which these are chosen


@dataclass(frozen=True, slots=True)
class Waiting:
    """A group with queued jobs, the first of them, and what keeps that one."""

    queue: OpenQueue
    job: Job
    why: Explanation


@dataclass(frozen=True, slots=True)
class Sight:
    """The yard at a glance; ``workers`` is how many live."""

    figures: Figures
    workers: int
    running: Sequence[Job]
    waiting: Sequence[Waiting]


@dataclass(frozen=True, slots=True)
class Sketch:
    """A graph, or the part of it that is nearest to what ``around`` names."""

    nodes: Sequence[Node]
    around: str


class Lookout:
    """The views of a store that ``actor`` may have."""

    def __init__(self, store: Store, actor: Actor, reckoning: Reckoning) -> None:
        self._store = store
        self._actor = actor
        self._sees = actor.sees
        self._reckoning = reckoning

    def sight(self, most_running: int, most_waiting: int) -> Sight:
        """Everything at a glance, with at most so many running jobs and waiting groups."""
        with self._store.read() as tx:
            since = tx.now - LIVE_LEASES * self._reckoning.lease_seconds
            return Sight(
                glance.figures(tx, self._sees),
                len(registry.live(tx, since)),
                glance.running(tx, most_running, self._sees),
                self._waiting(tx, most_waiting),
            )

    def _waiting(self, tx: Tx, most: int) -> list[Waiting]:
        queues = {queue.seq: queue for queue in glance.waiting(tx, most, self._sees)}
        jobs = dict(zip(sorted(queues), views.get_many(tx, list(queues)), strict=True))
        why = waiting.briefly(tx, jobs, self._reckoning, self._sees)
        return [Waiting(queue, jobs[seq], why[seq]) for seq, queue in queues.items()]

    def timeline(self, batch_id: str) -> list[Span]:
        """The attempts of a batch, the last ``MOST_SPANS`` of them, in order of their beginning."""
        with self._store.read() as tx:
            return spans.of_batch(tx, self._batch(tx, batch_id), MOST_SPANS)

    def lately(self, seconds: float) -> tuple[float, float, list[Span]]:
        """What slots did in so many seconds until now; from when on that is all they did, which is
        later if more jobs than ``MOST_SPANS`` have ended since; and now."""
        with self._store.read() as tx:
            since = spans.cut(tx, tx.now - seconds, MOST_SPANS)
            return since, tx.now, spans.lately(tx, since, MOST_SPANS, self._sees)

    def has_graph(self, batch_id: str) -> bool:
        """Whether any member of a batch depends on another job."""
        with self._store.read() as tx:
            return spans.has_graph(tx, self._batch(tx, batch_id))

    def graph(self, batch_id: str, job_id: str | None = None) -> Sketch:
        """Members of a batch and what they need: all of them, or those nearest to a job, or else
        to what failed, or else to what runs."""
        with self._store.read() as tx:
            batch = self._batch(tx, batch_id)
            members = spans.members(tx, batch, MOST_MEMBERS)
            needs = spans.needs(tx, batch, set(members))
            start, word = self._start(tx, batch, members, job_id)
            order = list(dict.fromkeys([*start, *members]))
            chosen = graph.nearest(order, len(start), needs, MOST_NODES)
            is_whole = len(chosen) == len(members)
            return Sketch(spans.nodes(tx, chosen, needs), "" if is_whole else word)

    def _start(
        self, tx: Tx, batch: int, members: Sequence[int], job_id: str | None
    ) -> tuple[Sequence[int], str]:
        """What a part of a graph is drawn around, and what that is called."""
        if job_id and (seq := views.seq_of(tx, job_id, self._sees)) in members:
            return [seq], views.get(tx, seq).name
        for state, word in ((State.FAILED, "what failed"), (State.RUNNING, "what runs")):
            if found := spans.members(tx, batch, MOST_NODES, state):
                return found, word
        return members[:1], "the first"

    def asked(self, job_id: str, *, to_repeat: bool = False) -> JobSpec:
        """What was asked for when a job was submitted. What its variables hold may be secret: it
        is left out but for who may change the job, ``to_repeat`` it. Raises ``Forbidden``."""
        with self._store.read() as tx:
            seq = views.seq_of(tx, job_id, self._sees)
            spec = specs.asked(tx, seq)
            if to_repeat:
                access.require_own(tx, self._actor, [seq])
                return spec
        return spec.model_copy(update={"env": dict.fromkeys(spec.env, "")})

    def batch_names(self, ids: Collection[str]) -> dict[str, str]:
        """What batches are called, by id; those that are not seen are left out."""
        with self._store.read() as tx:
            return batches.names(tx, ids, self._sees)

    def _batch(self, tx: Tx, batch_id: str) -> int:
        return views.batch_seq_of(tx, batch_id, self._sees)
