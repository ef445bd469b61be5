"""What runs of a file have in common, wherever the tasks run."""

from __future__ import annotations

import signal

from runyard.cli.board import Board
from runyard.cli.signals import Signals
from runyard.domain.batch import Batch
from runyard.service.jobfile import JobFile


class Run:
    """The run of a file, until all of it is over or somebody interrupts it."""

    def __init__(self, file: JobFile, *, fail_fast: bool) -> None:
        self.file = file
        self.board = Board(file.specs)
        self.signals = Signals(self._interrupted)
        self.is_cancelled = False
        self._fail_fast = fail_fast
        self._batch_id = ""

    def work(self) -> Batch:
        """Submit the batch, and see it to its end."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Cancel what is left. May be called in a thread."""
        raise NotImplementedError

    def interrupt(self, count: int) -> None:
        """The so-manieth signal came. Runs in a thread, because the main one may be busy."""
        raise NotImplementedError

    def has_failed(self) -> None:
        """Some task has."""
        if self._fail_fast and not self.is_cancelled:
            self.board.tell("a task failed: cancelling the rest")
            self.cancel()

    def exit_code(self, batch: Batch) -> int:
        """For the shell; like one, 128 and the number of the signal that interrupted us."""
        if self.signals.first is not None:
            return 128 + self.signals.first
        return 0 if batch.passed == batch.total else 1

    def _interrupted(self, number: int, count: int) -> None:
        if count == 1:
            word = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
            self.board.tell(f"{word}: what runs is asked to end (once again to kill it)")
        self.interrupt(count)
