"""Pictures are arithmetic: checked without drawing any."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runyard.domain.job import AttemptState, State
from runyard.store.spans import Node, Span
from runyard.web.pages import drawing
from runyard.web.pages.drawing import BOX_HEIGHT, BOX_WIDTH, WIDTH


def span(slot: str, begin: float, end: float | None, build: str = "", worker: str = "w") -> Span:
    state = AttemptState.RUNNING if end is None else AttemptState.PASSED
    return Span(worker, slot, begin, end, state, "id", "name", build, 2.0 if build else None)


def test_each_slot_has_a_row_in_the_order_people_count() -> None:
    drawn = drawing.timeline([span("10", 0, 5), span("2", 0, 10), span("phone", 5, 10)])
    assert [name for name, _ in drawn.rows] == ["slot 2", "slot 10", "phone"]
    assert (drawn.begin, drawn.end, drawn.amount) == (0, 10, 3)
    assert [bar.x for _, bars in drawn.rows for bar in bars] == [0, 0, WIDTH / 2]


def test_slots_of_one_name_are_told_apart() -> None:
    drawn = drawing.timeline([span("1", 0, 5), span("1", 0, 5, worker="x")])
    assert [name for name, _ in drawn.rows] == ["slot 1 · w", "slot 1 · x"]


def test_builds_have_colours_and_lanes_have_none() -> None:
    drawn = drawing.timeline([span("a", 0, 5, "v1"), span("a", 5, 9, "v2"), span("b", 0, 9)])
    assert drawn.builds == [("v1", 1), ("v2", 2)]
    assert [bar.colour for bar in drawn.rows[0][1]] == [1, 2]
    assert drawn.rows[1][1][0].colour == 0
    assert drawn.rows[0][1][0].setup > 0


def test_what_began_before_the_picture_is_cut() -> None:
    drawn = drawing.timeline([span("a", 0, 60)], begin=50, now=100, slots=[("w", "idle")])
    (bar,) = dict(drawn.rows)["a"]
    assert (bar.x, bar.width) == (0, WIDTH / 5)
    assert dict(drawn.rows)["idle"] == []


def test_an_empty_picture_can_be_drawn() -> None:
    assert drawing.timeline([]).rows == []
    assert drawing.graph([]).boxes == []


@st.composite
def dags(draw: st.DrawFn) -> list[Node]:
    """Jobs in any order, each needing some that are earlier in another order."""
    count = draw(st.integers(1, 12))
    order = draw(st.permutations(range(count)))
    needs: dict[int, list[int]] = {}
    for place, seq in enumerate(order):
        earlier = st.lists(st.sampled_from(order[:place]), max_size=3, unique=True)
        needs[seq] = draw(earlier) if place else []
    return [Node(seq, str(seq), "", State.PASSED, needs[seq]) for seq in range(count)]


@given(dags())
def test_a_job_is_right_of_all_that_it_needs_and_covers_none(nodes: list[Node]) -> None:
    drawn = drawing.graph(nodes)
    box = {one.job_id: one for one in drawn.boxes}
    for node in nodes:
        for parent in node.needs:
            assert box[str(node.seq)].x > box[str(parent)].x + BOX_WIDTH
    assert len({(one.x, one.y) for one in drawn.boxes}) == len(nodes)
    assert len(drawn.curves) == sum(len(node.needs) for node in nodes)
    for one in drawn.boxes:
        assert 0 <= one.x <= drawn.width - BOX_WIDTH
        assert 0 <= one.y <= drawn.height - BOX_HEIGHT
