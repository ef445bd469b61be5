"""Shows on stderr how a run goes on: a live picture on a terminal, plain lines elsewhere.

A thread of its own looks at the board a few times a second, so neither a slow terminal nor ten
thousand tasks hold up the work.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import click

from runyard.cli.board import Board, News, Running, View
from runyard.cli.params import printable
from runyard.cli.show import COLOURS
from runyard.cli.wording import duration, failed_because, short, skipped_because
from runyard.domain.event import EventKind
from runyard.domain.job import Attempt, AttemptState, State

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

INTERVAL = 0.1  # seconds between two looks
MANY = 200  # tasks beyond which not each end is worth a line
FAILURES = 200  # ... and failures, in all
RUNNING_LINES = 8


@contextlib.contextmanager
def shown(board: Board, prepare: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Show the board until the block ends, with all that happened until then; as soon as there was
    something to see, ``prepare`` for what comes after it."""
    over = threading.Event()
    arguments = (board, over, prepare)
    thread = threading.Thread(target=_show, args=arguments, name="display", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _show(board: Board, over: threading.Event, prepare: Callable[[], object]) -> None:
    # When the terminal was closed, or the reader of a pipe is gone, the run itself goes on.
    with contextlib.suppress(OSError), _painter(board) as painter:
        is_over = over.wait(INTERVAL)
        painter.paint()
        prepare()
        while not is_over:
            is_over = over.wait(INTERVAL)
            painter.paint()


def _painter(board: Board) -> Painter:
    # Not rich's opinion: FORCE_COLOR makes it take a file for a terminal.
    if not sys.stderr.isatty():
        return Lines(board)
    console = new_console(stderr=True)
    return Lines(board) if console.is_dumb_terminal else Picture(board, console)


class Ended(NamedTuple):
    """The end of a task's attempt in words."""

    state: State
    word: str
    name: str
    rest: str


class Painter:
    """Brings what is on the board before the user's eyes, at each call of ``paint``."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._failures = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def paint(self) -> None:
        """Show what is new."""
        raise NotImplementedError

    def shows(self, state: State) -> bool:
        """Whether the end of a task in a state other than failed is worth a line."""
        raise NotImplementedError

    def told(self) -> Iterator[str | Ended]:
        """What happened since the last call and is worth a line; of the failures only so many."""
        for news in self.board.take_news():
            if isinstance(news, str):
                yield news
                continue
            if news.end.state in (State.FAILED, State.DELAYED):
                self._failures += 1
                if self._failures == FAILURES + 1:
                    yield "more failures are counted, but no longer shown one by one"
                if self._failures <= FAILURES:
                    yield self._in_words(news)
            elif self.shows(news.end.state):
                yield self._in_words(news)

    def _in_words(self, news: News) -> Ended:
        spec = self.board.specs[news.index]
        state = news.end.state
        words = [] if news.seconds is None else [duration(news.seconds)]
        if news.place:
            words.append(f"on {news.place}")
        if state is State.SKIPPED:
            words.append(skipped_because(spec, self.board.states()))
        elif state in (State.FAILED, State.DELAYED):
            words.append(self._why(news))
        is_retry = news.end.event is EventKind.RETRIED
        word = "retried" if is_retry else state.value
        return Ended(state, word, short(spec.name), printable("  ".join(words)))

    def _why(self, news: News) -> str:
        data = dict(news.end.data or {})
        attempt = Attempt(
            number=1,  # which one it is does not matter here
            state=AttemptState.FAILED,
            exit_code=data.get("exit_code"),
            signal=data.get("signal"),
        )
        reason = news.end.reason or data.get("attempt_reason")
        return failed_because(self.board.specs[news.index], reason, attempt, data.get("detail"))


def _bad_counts(view: View) -> list[tuple[State, str]]:
    states = (State.FAILED, State.SKIPPED, State.CANCELLED)
    return [(s, f"{view.counts[s]} {s.value}") for s in states if view.counts[s]]


class Lines(Painter):
    """One line for each task that ended; of many tasks, for each that failed and each tenth."""

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self._is_brief = len(board.specs) > MANY
        self._tenths = 0
        self._width = min(30, max((len(spec.name) for spec in board.specs), default=0))

    def paint(self) -> None:
        if lines := [*map(self._line, self.told()), *self._tenth()]:
            click.echo("\n".join(lines), err=True)

    def shows(self, state: State) -> bool:
        return not self._is_brief

    def _line(self, told: str | Ended) -> str:
        if isinstance(told, str):
            return told
        return f"{told.word:<9}  {told.name:<{self._width}}  {told.rest}".rstrip()

    def _tenth(self) -> Iterator[str]:
        view = self.board.view()
        tenths = 10 * view.done // view.total if view.total else 0
        if self._is_brief and tenths > self._tenths:
            self._tenths = tenths
            bad = "".join(f", {text}" for _, text in _bad_counts(view))
            done = f"{10 * tenths} % done: {view.done} of {view.total}"
            yield f"{done}{bad}, {duration(view.elapsed)}"


class Picture(Painter):
    """A bar and what runs now, redrawn in place; failures scroll by above it."""

    def __init__(self, board: Board, console: Console) -> None:
        from rich.live import Live

        super().__init__(board)
        self._console = console
        # stderr goes through it, so that a warning does not tear the picture.
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def paint(self) -> None:
        from rich.console import Group

        if lines := list(map(self._line, self.told())):
            self._console.print(*lines, sep="\n", soft_wrap=True)
        view = self.board.view()
        bar = _bar(view, self._console.width)
        self._live.update(Group(self._running(view), bar), refresh=True)

    def shows(self, state: State) -> bool:
        return False

    def _line(self, told: str | Ended) -> Text:
        from rich.text import Text

        if isinstance(told, str):
            return Text(told, "yellow")
        colour = "yellow" if told.word == "retried" else COLOURS[told.state]
        return Text.assemble((f"{told.word:<9}", colour), f"  {told.name}  ", (told.rest, "dim"))

    def _running(self, view: View) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        room = max(1, min(RUNNING_LINES, self._console.height - 4))
        shown = view.running if len(view.running) <= room else view.running[: room - 1]
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(no_wrap=True, style=COLOURS[State.RUNNING])
        rows.add_column(no_wrap=True, overflow="ellipsis")
        rows.add_column(no_wrap=True, style="dim", justify="right")
        rows.add_column(no_wrap=True, overflow="ellipsis", style="cyan")
        for one in shown:
            name = Text(short(self.board.specs[one.index].name))
            rows.add_row("running  ", name, duration(view.now - one.since), _place(one))
        if hidden := len(view.running) - len(shown):
            rows.add_row("", Text(f"and {hidden} more", "dim"))
        return rows


def _place(running: Running) -> str:
    """Where an attempt runs, if that is worth a word."""
    text = f"{running.place}, installs {running.installs}" if running.installs else running.place
    return printable(text)


def _bar(view: View, width: int) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    text = Text(f"{view.done}/{view.total}", no_wrap=True, overflow="ellipsis")
    for state, words in _bad_counts(view):
        text.append(f"  {words}", COLOURS[state])
    text.append(f"  {duration(view.elapsed)}", "dim")
    room = min(40, width - len(text.plain) - 4)
    if room < 8:
        return text
    row = Table.grid(padding=(0, 2, 0, 0))
    bar = ProgressBar(max(view.total, 1), view.done, width=room, complete_style="green")
    row.add_row(bar, text)
    return row


def new_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that prints what it is given: no markup, no highlighting; NO_COLOR leaves no
    escape sequence in it at all."""
    from rich.console import Console

    options: dict[str, Any] = {"markup": False, "highlight": False, "emoji": False}
    console = Console(stderr=stderr, width=width, **options)
    if console.no_color:
        console = Console(stderr=stderr, width=width, color_system=None, **options)
    return console
