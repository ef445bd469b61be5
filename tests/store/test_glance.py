"""Figures of now, what runs and what waits: right, and only what an org may see."""

from __future__ import annotations

from runyard.domain.job import State
from runyard.store import glance, spans, views
from runyard.store.database import Store
from tests.store.support import FAIL, claim, finish, names, new, run_next, submit


def test_figures_tell_what_runs_waits_and_ended(store: Store) -> None:
    submit(store, *[new(f"a{n}", org_id="acme") for n in range(4)], new("b", org_id="other"))
    submit(store, new("later", run_after=4e9))
    run_next(store)
    run_next(store, FAIL)
    claim(store)
    with store.read() as tx:
        of_all, of_acme = glance.figures(tx), glance.figures(tx, "acme")
        nobody = glance.figures(tx, "nobody")
    assert (of_all.running, of_all.queued, of_all.delayed) == (1, 2, 1)
    assert of_all.ended == {State.PASSED: 1, State.FAILED: 1}
    assert sum(of_acme.ended.values()) + of_acme.running + of_acme.queued == 4
    assert of_acme.delayed == 0
    assert (nobody.running, nobody.queued, nobody.delayed, nobody.ended) == (0, 0, 0, {})


def test_what_runs_the_longest_comes_first(store: Store) -> None:
    submit(store, *[new(f"a{n}", org_id="acme") for n in range(3)])
    claimed = names(claim(store, 3))
    with store.read() as tx:
        assert [job.name for job in glance.running(tx, 2)] == claimed[:2]
        assert glance.running(tx, 2, "other") == []


def test_each_waiting_group_is_told_once_by_whose_turn_it_is(store: Store) -> None:
    submit(store, new("a", org_id="acme", submitted_by="max"))
    submit(store, new("b", org_id="acme", submitted_by="eve", priority=8))
    submit(store, new("c", org_id="other", target="device", app_version_id="v1", priority=2))
    with store.read() as tx:
        found = glance.waiting(tx, 10)
        assert [views.get(tx, queue.seq).name for queue in found] == ["b", "c"]
        assert [queue.org_id for queue in glance.waiting(tx, 10, "other")] == ["other"]
        assert len(glance.waiting(tx, 1)) == 1
        assert [queue.queued for queue in found] == [2, 1]
    claim(store)
    with store.read() as tx:  # which the groups themselves are told only now and then
        assert [queue.queued for queue in glance.waiting(tx, 10)] == [1, 1]


# Timelines.


def test_attempts_are_spans_on_slots(store: Store) -> None:
    submit(store, new("first", app_version_id="v1"), batch="b-1")
    run_next(store, FAIL)
    submit(store, "stranger")
    (claimed,) = claim(store)
    with store.read() as tx:
        seq = views.batch_seq_of(tx, "b-1")
        (first,) = spans.of_batch(tx, seq, 10)
        assert (first.job_name, first.state, first.slot, first.build) == (
            "first",
            "failed",
            "s0",
            "v1",
        )
        assert first.end == first.begin  # the clock stood still
        assert spans.of_batch(tx, seq, 0) == []
        everything = {span.job_name: span for span in spans.lately(tx, 0.0, 10)}
        assert (everything["stranger"].end, everything["stranger"].state) == (None, "running")
    finish(store, claimed)
    with store.read() as tx:
        assert {span.state for span in spans.lately(tx, 0.0, 10)} == {"passed", "failed"}
        assert spans.lately(tx, tx.now + 1, 10) == []
        assert spans.lately(tx, 0.0, 10, "nobody") == []
        assert len(spans.lately(tx, 0.0, 1)) == 1
        ends = sorted(span.end for span in spans.lately(tx, 0.0, 10) if span.end is not None)
        assert spans.cut(tx, 0.0, 1) == ends[-1]
        assert spans.cut(tx, 0.0, len(ends) + 1) == 0.0


# Graphs.


def test_a_batch_with_dependencies_is_a_graph(store: Store) -> None:
    compile_, _, pack = submit(store, "compile", "lint", new("pack", needs=[0, 1]), batch="b-g")
    submit(store, "one", "two", batch="b-p")
    with store.read() as tx:
        graph, plain = (views.batch_seq_of(tx, name) for name in ("b-g", "b-p"))
        assert spans.has_graph(tx, graph)
        assert not spans.has_graph(tx, plain)
        members = spans.members(tx, graph, 10)
        nodes = spans.nodes(tx, members, spans.needs(tx, graph, members))
        assert [node.name for node in nodes] == ["compile", "lint", "pack"]
        assert nodes[2].seq == pack
        assert sorted(nodes[2].needs) == [compile_, compile_ + 1]
        assert nodes[2].state is State.BLOCKED
        assert spans.members(tx, graph, 10, State.BLOCKED) == [pack]
        some = spans.members(tx, graph, 2)
        assert some == [compile_, compile_ + 1]
        assert spans.needs(tx, graph, some) == {}
        assert [node.needs for node in spans.nodes(tx, [pack], {pack: [compile_]})] == [[]]
        assert spans.members(tx, 999, 10) == []
