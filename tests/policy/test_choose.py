"""What a free slot runs next: the rules one by one, and what holds whatever the yard looks like."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runyard.policy.choose import (
    AGEING_STEP,
    HIGH,
    TURN,
    Candidate,
    Choice,
    Group,
    Queue,
    Slot,
    Usage,
    choose,
    class_of,
    rank,
    work_behind,
)

NOW = 10_000 * AGEING_STEP
SLOT = Slot("emulator", install_seconds=60.0)


def queue(*, priority: int = 5, waited: float = 0.0, seconds: float = 40.0, **more: Any) -> Queue:
    """A queue whose head was submitted so many seconds ago."""
    seq = more.pop("seq", 1)
    head = Candidate(rank(NOW - waited, priority), -seconds, seq, seconds)
    return Queue(more.pop("id", seq), more.pop("by", "ann"), head, priority)


def group(id: int, *queues: Queue, **fields: Any) -> Group:  # noqa: A002
    """A group with a build, of one org, that nobody holds, unless it is said otherwise."""
    standard = {"org_id": "acme", "target": "emulator", "build": f"v{id}", "work": 400.0}
    return Group(id=id, queues=queues or (queue(seq=id),), **(standard | fields))


def lane(id: int, *queues: Queue, **fields: Any) -> Group:  # noqa: A002
    return group(id, *queues, **({"build": ""} | fields))


def chosen(*groups: Group, slot: Slot = SLOT, usage: Usage | None = None) -> int | None:
    """The number of the group that a slot takes from."""
    choice = choose(slot, groups, usage or Usage(), NOW)
    return choice.group.id if choice else None


def used(**seconds: float) -> Usage:
    return Usage({("emulator", org, "ann"): amount for org, amount in seconds.items()})


class TestRank:
    def test_a_class_for_each_ageing_step(self) -> None:
        assert class_of(rank(NOW, 5), NOW) == 5
        assert class_of(rank(NOW, 5), NOW + 3 * AGEING_STEP) == 8

    @given(st.floats(0, 1e9), st.floats(0, 1e9), st.integers(0, 10), st.integers(0, 10))
    def test_the_order_of_two_never_changes(self, one: float, other: float, p: int, q: int) -> None:
        a, b = rank(one, p), rank(other, q)
        for now in (max(one, other), 1e9, 2e9):
            assert (class_of(a, now) > class_of(b, now)) == (a < b)


class TestRules:
    def test_with_nothing_to_do_it_is_idle(self) -> None:
        assert chosen() is None
        assert chosen(group(1, target="device")) is None

    def test_1_the_best_class(self) -> None:
        assert chosen(group(1), group(2, queue(priority=8, seq=2))) == 2
        assert chosen(group(1), group(2, queue(priority=4, waited=2.5 * AGEING_STEP))) == 2

    def test_1_ageing_makes_equals_and_puts_nobody_above_a_fresh_job_of_another_org(self) -> None:
        backlog = group(1, queue(waited=20 * AGEING_STEP), org_id="a", work=9e3)
        late = group(2, queue(seq=2), org_id="b")
        assert chosen(backlog, late, usage=used(a=10.0, b=5.0)) == 2
        assert chosen(backlog, late, usage=used(a=10.0, b=15.0)) == 1

    def test_1_what_has_aged_to_the_top_is_equal_to_it(self) -> None:
        old = group(1, queue(priority=2, waited=20 * AGEING_STEP), org_id="a")
        high = group(2, queue(priority=8, seq=2), org_id="b")
        assert chosen(old, high, usage=used(b=1.0)) == 1
        assert chosen(old, high, usage=used(a=1.0)) == 2

    def test_1_a_higher_class_breaks_in_between_jobs(self) -> None:
        here = replace(SLOT, group=1)
        assert chosen(group(1), group(2, queue(priority=8, seq=2)), slot=here) == 2

    def test_2_stay_costs_no_install(self) -> None:
        here = replace(SLOT, group=1)
        assert chosen(group(1, work=10.0), group(2, work=9e3), slot=here) == 1
        assert chosen(group(1), group(2, org_id="poor"), slot=here, usage=used(acme=9e3)) == 1

    def test_2_but_when_its_turn_is_over_not_while_another_org_has_used_less(self) -> None:
        here = replace(SLOT, group=1, held_for=TURN)
        rivals = (group(1), group(2, org_id="poor"))
        assert chosen(*rivals, slot=here, usage=used(acme=9e3)) == 2
        assert chosen(*rivals, slot=here, usage=used(poor=9e3)) == 1
        assert chosen(group(1), group(2, work=9e3), slot=here) == 1

    def test_2_nor_while_its_own_org_has_waited_longer_for_another_group(self) -> None:
        old = group(2, queue(waited=2 * AGEING_STEP, seq=2))
        assert chosen(group(1), old, slot=replace(SLOT, group=1)) == 1
        assert chosen(group(1), old, slot=replace(SLOT, group=1, held_for=TURN)) == 2

    def test_3_the_org_that_used_least(self) -> None:
        rivals = (group(1, org_id="a", work=9e3), group(2, org_id="b"))
        assert chosen(*rivals, usage=used(a=10.0, b=5.0)) == 2
        assert chosen(*rivals, usage=used(a=10.0, b=15.0)) == 1

    def test_3_what_it_used_is_divided_by_its_weight(self) -> None:
        usage = Usage(used(a=10.0, b=7.0).seconds, {"a": 2.0})
        assert chosen(group(1, org_id="a"), group(2, org_id="b"), usage=usage) == 1

    def test_3_the_submitter_who_used_least(self) -> None:
        shared = group(1, queue(by="ann", seq=1), queue(by="bob", seq=2))
        assert self.taken(shared, used(acme=10.0)).submitted_by == "bob"
        assert self.taken(shared, Usage({("emulator", "acme", "bob"): 1.0})).submitted_by == "ann"

    def test_3_but_not_before_a_higher_class(self) -> None:
        shared = group(1, queue(by="ann", priority=8, seq=1), queue(by="bob", seq=2))
        assert self.taken(shared, used(acme=1e6)).submitted_by == "ann"

    def test_3_a_backlog_does_not_age_above_a_late_submitter(self) -> None:
        old = queue(by="ann", waited=20 * AGEING_STEP, seq=1)
        shared = group(1, old, queue(by="bob", seq=2))
        assert self.taken(shared, used(acme=10.0)).submitted_by == "bob"

    @staticmethod
    def taken(shared: Group, usage: Usage | None = None) -> Queue:
        choice = choose(SLOT, [shared], usage or Usage(), NOW)
        assert choice
        return choice.queue

    def test_4_untouched_before_held(self) -> None:
        held = group(1, work=9e9, holders=1)
        assert chosen(held, group(2, work=1.0)) == 2

    def test_4_of_the_untouched_the_most_work(self) -> None:
        assert chosen(group(1, work=10.0), group(2, work=20.0), group(3, work=15.0)) == 2

    def test_5_a_held_one_is_joined_if_its_next_job_ends_sooner_for_it(self) -> None:
        """Alone, its holder is through with it in 100 + busy seconds; the install takes 60."""
        job = queue(seconds=50.0)
        assert chosen(group(1, job, work=100.0, holders=1, busy=5.0)) is None
        assert chosen(group(1, job, work=100.0, holders=1, busy=15.0)) == 1
        assert chosen(group(1, job, work=100.0, holders=2, busy=15.0)) is None
        assert chosen(group(1, job, work=100.0, holders=1, busy=3600.0)) == 1

    def test_5_a_long_job_is_not_left_to_a_holder_that_is_busy_for_longer_than_an_install(
        self,
    ) -> None:
        long = queue(seconds=300.0)
        assert chosen(group(1, long, work=300.0, holders=1, busy=50.0)) is None
        assert chosen(group(1, long, work=300.0, holders=1, busy=70.0)) == 1

    def test_5_what_waits_for_a_job_but_is_not_queued_keeps_nobody_away(self) -> None:
        """A job at the head of a chain has more behind it than its group has queued."""
        head = Candidate(rank(NOW, 5), -5000.0, 1, expected=160.0)
        chain = Queue(1, "ann", head)
        assert chosen(group(1, chain, work=160.0, holders=1, busy=70.0)) == 1

    def test_5_whoever_joins_leaves_the_longest_to_holders_that_are_ready_sooner(self) -> None:
        held = group(1, work=900.0, holders=3, busy=200.0, soon=2)
        choice = choose(SLOT, [held], Usage(), NOW)
        assert choice
        assert choice.leaves == 2
        untouched = choose(SLOT, [group(1)], Usage(), NOW)
        assert untouched
        assert untouched.leaves == 0

    def test_5_of_several_the_one_that_would_last_longest(self) -> None:
        one, shared = group(1, work=500.0, holders=1), group(2, work=900.0, holders=3)
        assert chosen(one, shared) == 1
        assert chosen(shared, one) == 1
        assert chosen(one, replace(shared, busy=900.0)) == 2

    def test_5_no_more_slots_than_allowed(self) -> None:
        assert chosen(group(1, work=9e9, holders=1, max_holders=1)) is None
        assert chosen(group(1, work=9e9, holders=1, max_holders=2)) == 1

    def test_5_rather_a_lower_class_than_nothing(self) -> None:
        drained = group(1, queue(priority=8, seconds=50.0), work=50.0, holders=1)
        assert chosen(drained, group(2)) == 2

    def test_6_the_longest_of_equals_starts_first(self) -> None:
        shared = lane(1, queue(seconds=5.0, seq=1), queue(seconds=9.0, seq=2))
        assert self.taken(shared).head.seq == 2

    def test_6_of_high_priority_what_others_wait_for_then_what_came_first(self) -> None:
        assert work_behind(HIGH - 1, expected=9.0, bottom_level=12.0) == 12.0
        assert work_behind(HIGH, expected=9.0, bottom_level=12.0) == 3.0
        assert work_behind(HIGH, expected=9.0, bottom_level=9.0) == 0.0

    def test_a_lane_is_open_to_all_and_installs_nothing(self) -> None:
        for holders in (0, 5):
            shared = lane(1, work=1.0, holders=holders)
            assert self.taken(shared) == shared.queues[0]
            choice = choose(SLOT, [shared], Usage(), NOW)
            assert choice
            assert not choice.installs

    def test_a_slot_of_any_target_serves_every_one(self) -> None:
        assert chosen(group(1, target="rack"), slot=Slot(None)) == 1


# Whatever the yard looks like.


@st.composite
def yards(draw: st.DrawFn) -> tuple[Slot, list[Group], Usage]:
    dice = random.Random(draw(st.integers(0, 2**32)))
    groups = []
    for number in range(1, draw(st.integers(1, 8)) + 1):
        queues = [
            queue(
                id=10 * number + n,
                seq=10 * number + n,
                by=dice.choice(["ann", "bob"]),
                priority=dice.choice([2, 5, 5, 8]),
                waited=dice.choice([0.0, 100.0, 1500.0]),
                seconds=dice.uniform(1, 200),
            )
            for n in range(dice.choice([0, 1, 1, 2]))
        ]
        groups.append(
            replace(
                group(number),
                queues=tuple(queues),
                org_id=dice.choice(["a", "b", "c"]),
                target=dice.choice(["emulator", "emulator", "device"]),
                build=dice.choice(["", f"v{number}", f"v{number}"]),
                work=dice.uniform(0, 2000),
                holders=dice.choice([0, 0, 1, 3]),
                busy=dice.uniform(0, 100),
                max_holders=dice.choice([None, None, 1, 2]),
            )
        )
    slot = Slot(
        dice.choice(["emulator", "emulator", None]),
        dice.choice([None, 1, 2, 99]),
        dice.choice([0.0, 60.0]),
        dice.choice([0.0, TURN]),
    )
    return slot, groups, used(a=dice.uniform(0, 99), b=dice.uniform(0, 99))


def decide(slot: Slot, groups: list[Group], usage: Usage) -> Choice | None:
    return choose(slot, groups, usage, NOW)


@given(yards(), st.randoms())
def test_the_order_of_what_it_sees_changes_nothing(
    yard: tuple[Slot, list[Group], Usage], dice: random.Random
) -> None:
    slot, groups, usage = yard
    shuffled = [
        replace(one, queues=tuple(dice.sample(one.queues, len(one.queues))))
        for one in dice.sample(groups, len(groups))
    ]
    first, second = decide(slot, groups, usage), decide(slot, shuffled, usage)
    assert (first and (first.group.id, first.queue, first.installs)) == (
        second and (second.group.id, second.queue, second.installs)
    )


@given(yards())
def test_it_takes_what_is_offered_and_may_be_taken(yard: tuple[Slot, list[Group], Usage]) -> None:
    slot, groups, usage = yard
    choice = decide(slot, groups, usage)
    if choice is None:
        return
    assert choice.group in groups
    assert choice.queue in choice.group.queues
    assert slot.target in (None, choice.group.target)
    assert choice.installs == (not choice.group.is_lane and choice.group.id != slot.group)
    assert not choice.installs or choice.group.may_be_joined


@given(yards())
def test_a_group_of_which_nothing_may_start_hides_nothing(
    yard: tuple[Slot, list[Group], Usage],
) -> None:
    """Limits and pauses are filters before the choice: what they hold back is not offered."""
    slot, groups, usage = yard
    startable = [one for one in groups if one.queues]
    assert decide(slot, groups, usage) == decide(slot, startable, usage)


def capped(slot: Slot, groups: list[Group]) -> dict[int, int]:
    """The class of each group that a slot may take from: ageing ends at the highest priority."""
    fitting = [one for one in groups if one.queues and slot.target in (None, one.target)]
    top = max((queue.priority for one in fitting for queue in one.queues), default=0)
    return {one.id: min(class_of(one.best.rank, NOW), top) for one in fitting}


@given(yards())
def test_a_slot_stays_for_a_turn_unless_a_class_is_better(
    yard: tuple[Slot, list[Group], Usage],
) -> None:
    slot, groups, usage = yard
    choice, classes = decide(slot, groups, usage), capped(slot, groups)
    for own in groups:
        if own.id in classes and own.id == slot.group and not own.is_lane:
            assert choice
            better = classes[choice.group.id] > classes[own.id]
            assert choice.group is own or better or slot.held_for >= TURN


@given(yards())
def test_of_one_class_the_org_that_used_least_is_served(
    yard: tuple[Slot, list[Group], Usage],
) -> None:
    slot, groups, usage = yard
    choice, classes = decide(slot, groups, usage), capped(slot, groups)
    if choice is None or choice.group.holders or choice.group.id == slot.group:
        return
    for other in groups:
        if classes.get(other.id) == classes[choice.group.id] and not other.holders:
            mine = usage.of_org(choice.group.target, choice.group.org_id)
            assert mine <= usage.of_org(other.target, other.org_id)


@given(yards())
def test_nothing_is_joined_while_an_equal_is_untouched(
    yard: tuple[Slot, list[Group], Usage],
) -> None:
    slot, groups, usage = yard
    choice = decide(slot, groups, usage)
    if choice is None or not choice.installs or not choice.group.holders:
        return
    joined = choice.group
    assert slot.install_seconds < (joined.work + joined.busy) / joined.holders
    for other in groups:
        if (
            other.queues
            and slot.target in (None, other.target)
            and other.best.rank == joined.best.rank
        ):
            assert other.holders
            assert not other.is_lane


@given(yards())
def test_nothing_of_a_lower_class_goes_first_unless_joining_does_not_pay(
    yard: tuple[Slot, list[Group], Usage],
) -> None:
    slot, groups, usage = yard
    choice, classes = decide(slot, groups, usage), capped(slot, groups)
    mine = classes[choice.group.id] if choice else -1
    for other in groups:
        if classes.get(other.id, mine) > mine:
            assert not other.is_lane
            assert other.id != slot.group
            assert other.holders, "only what somebody drains is left to them"


@given(yards())
def test_a_slot_is_idle_only_if_all_there_is_is_drained_by_others(
    yard: tuple[Slot, list[Group], Usage],
) -> None:
    slot, groups, usage = yard
    if decide(slot, groups, usage) is None:
        fitting = [g for g in groups if g.queues and slot.target in (None, g.target)]
        assert all(g.holders and not g.is_lane and g.id != slot.group for g in fitting)


@given(st.integers(2, 5), st.integers(1, 3), st.integers(0, 2**32))
def test_equal_orgs_get_equal_shares(orgs: int, slots: int, seed: int) -> None:
    """Jobs of unequal length; nobody is ahead of anybody by more than the longest job on each
    slot."""
    dice = random.Random(seed)
    usage, got = Usage(), Counter[str]()
    names = [f"org{n}" for n in range(orgs)]
    for _ in range(40):
        for _ in range(slots):
            lanes = [
                lane(n + 1, queue(id=n, seq=n, seconds=dice.uniform(1, 60)), org_id=name)
                for n, name in enumerate(names)
            ]
            choice = choose(SLOT, lanes, usage, NOW)
            assert choice
            seconds = -choice.queue.head.behind
            usage.charge("emulator", choice.group.org_id, "ann", seconds)
            got[choice.group.org_id] += seconds
    assert max(got.values()) - min(got[name] for name in names) <= 60.0


@given(st.integers(0, 10), st.integers(1, 200))
def test_nobody_starves(priority: int, interval: int) -> None:
    """However fast more urgent jobs come, an old one is chosen once it has aged past them."""
    old = rank(NOW, priority)
    steps, now = 0, NOW
    while True:
        fresh = lane(2, Queue(2, "bob", Candidate(rank(now, 10), -1.0, 2), 10))
        waiting = lane(1, Queue(1, "ann", Candidate(old, -1.0, 1), priority))
        choice = choose(SLOT, [waiting, fresh], Usage(), now)
        assert choice
        if choice.group.id == 1:
            break
        now += interval
        steps += 1
    assert now - NOW <= (10 - priority + 1) * AGEING_STEP + interval
