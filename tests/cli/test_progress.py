"""What a run's progress costs and how it is put, without processes."""

import time
from pathlib import Path

import pytest

from runyard.cli.board import Board, End, Start
from runyard.cli.foreground import end_of, start_of
from runyard.cli.progress import FAILURES, Lines
from runyard.cli.report import TAIL_BYTES, last_lines
from runyard.cli.wording import duration
from runyard.domain.job import JobSpec, Reason, State
from runyard.domain.lifecycle import Transition
from runyard.execution import logs
from runyard.store.claim import Claim
from runyard.store.moves import Move


def board(count: int) -> Board:
    made = Board([JobSpec(command="true", name=f"t{n}") for n in range(count)])
    made.place(range(100, 100 + count))
    return made


def claimed(seq: int, fence: int = 1) -> Start:
    claim = Claim(seq, fence, "1", "id", "name", "{}", None, 0.0)
    return start_of(claim, time.monotonic())


def ended(seq: int, transition: Transition, fence: int = 1) -> End:
    move = Move(seq, State.RUNNING, transition, 1, fence, data={"exit_code": 1})
    return end_of(move, time.monotonic())


def skipped(seq: int) -> End:
    return end_of(Move(seq, State.BLOCKED, Transition.skip(), 1), time.monotonic())


def test_a_board_counts_what_ended() -> None:
    it = board(3)
    it.claimed([claimed(100), claimed(101)])
    it.finished([ended(100, Transition.passed())])
    it.finished([ended(101, Transition.failed(Reason.EXIT_CODE, 1))])
    it.finished([skipped(102)])
    view = it.view()
    assert (view.done, view.total, view.running) == (3, 3, [])
    assert view.counts == {State.PASSED: 1, State.FAILED: 1, State.SKIPPED: 1}
    assert [news.index for news in it.take_news()] == [0, 1, 2]
    assert it.take_news() == []


def test_an_attempt_that_begins_in_the_commit_that_ended_the_last_is_running() -> None:
    it = board(1)
    it.claimed([claimed(100, fence=1)])
    it.claimed([claimed(100, fence=2)])
    it.finished([ended(100, Transition.release(), fence=1)])
    assert [one.index for one in it.view().running] == [0]


def test_a_task_that_is_retried_by_hand_counts_once() -> None:
    it = board(1)
    it.claimed([claimed(100)])
    it.finished([ended(100, Transition.failed(Reason.EXIT_CODE, 1))])
    it.claimed([claimed(100, fence=2)])
    assert it.view().done == 0
    it.finished([ended(100, Transition.passed(), fence=2)])
    assert (it.view().done, it.view().counts[State.FAILED]) == (1, 0)


def test_jobs_of_others_that_waited_for_ours_are_no_business_of_the_board() -> None:
    it = board(1)
    it.finished([skipped(7)])
    assert it.view().done == 0


def test_telling_the_board_costs_next_to_nothing() -> None:
    count = 5000
    costs = []
    for _ in range(3):  # the best of three: a busy machine is no fault of ours
        it = board(count)
        claims = [claimed(100 + n) for n in range(count)]
        moves = [ended(100 + n, Transition.passed()) for n in range(count)]
        begin = time.perf_counter()
        for owned, move in zip(claims, moves, strict=True):
            it.claimed([owned])
            it.finished([move])
        costs.append((time.perf_counter() - begin) / (2 * count))
    assert min(costs) < 20e-6


def test_lines_of_failures_end_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    it = board(5 * FAILURES)
    lines = Lines(it)
    it.finished(
        [ended(100 + n, Transition.failed(Reason.EXIT_CODE, 1)) for n in range(5 * FAILURES)]
    )
    lines.paint()
    shown = capsys.readouterr().err.splitlines()
    assert shown[FAILURES] == "more failures are counted, but no longer shown one by one"
    assert shown[FAILURES + 1].startswith("100 % done: 1000 of 1000, 1000 failed, ")
    assert len(shown) == FAILURES + 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (3.44, "3.4 s"), (59.9, "59.9 s"), (60, "1:00"), (3725, "1:02:05")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert last_lines(logs.tail(path, TAIL_BYTES)) == []
    path.write_bytes(b"\n \n")
    assert last_lines(logs.tail(path, TAIL_BYTES)) == []
    path.write_bytes(b"first\n" * 100_000 + b"\xff\nlast\n\n\n")
    assert last_lines(logs.tail(path, TAIL_BYTES)) == ["first"] * 8 + [
        "\N{REPLACEMENT CHARACTER}",
        "last",
    ]
