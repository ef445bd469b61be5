"""A run on this machine: a batch, and the worker that runs nothing else, in this process."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence

import click

from runyard import bootstrap, configfile
from runyard.cli.board import End, Start
from runyard.cli.runs import Run
from runyard.client.local import Local
from runyard.domain.batch import Batch
from runyard.domain.job import State
from runyard.engine.observer import Observer
from runyard.engine.worker import WorkerOptions
from runyard.errors import RunyardError, StoreError
from runyard.service.jobfile import JobFile
from runyard.store import views
from runyard.store.claim import Claim
from runyard.store.finish import Finished
from runyard.store.moves import Move

MOST_SLOTS = 32


class Foreground(Run, Observer):
    """Works until the batch is over."""

    def __init__(
        self,
        here: Local,
        file: JobFile,
        *,
        fail_fast: bool,
        slots: int | None,
        simulate: bool,
        config_path: str | None,
    ) -> None:
        super().__init__(file, fail_fast=fail_fast)
        self._here = here
        config = configfile.load(config_path, simulate=simulate)
        self._options = WorkerOptions(
            slots or min(MOST_SLOTS, max(1, len(file.specs))),
            config.at_hand,
            config.weights,
            reserved=True,
        )

    def work(self) -> Batch:
        """Submit the batch and work until it is over."""
        with (
            bootstrap.worker(
                self._here.settings, self._here.store, self._options, self
            ) as self._worker,
            self.signals,
        ):
            try:
                self._worker.run()
            except BaseException:
                # No other worker serves our pool: what we leave there would wait for ever.
                with contextlib.suppress(RunyardError):
                    self._here.jobs.cancel([self._batch_id] if self._batch_id else [])
                raise
        return self._here.jobs.get_batch(self._batch_id)

    # What the worker tells us, in the main thread.

    def started(self) -> None:
        # Before, a signal ends us as it ends any program: there is nothing to cancel yet.
        self.signals.listen()
        batch = self._here.jobs.submit_batch(
            self.file.specs,
            name=self.file.name,
            description=self.file.description,
            pool=self._worker.pool,
        )
        self._batch_id = batch.id
        with self._here.store.read() as tx:
            self.board.place(views.seqs_of(tx, [batch.id]))
        self.signals.obey()

    def claimed(self, claims: Sequence[Claim]) -> None:
        now = time.monotonic()
        self.board.claimed([start_of(claim, now) for claim in claims])

    def finished(self, finished: Finished) -> None:
        now = time.monotonic()
        self.board.finished([end_of(move, now) for move in finished.moves])
        if any(move.transition.to is State.FAILED for move in finished.moves):
            self.has_failed()

    def is_done(self) -> bool:
        # The store is asked, not the board: others may cancel and retry tasks, too.
        try:
            return self._here.jobs.get_batch(self._batch_id).is_final
        except StoreError:
            return False

    # The early end.

    def interrupt(self, count: int) -> None:
        if count > 1:
            self._worker.kill()
            return
        try:
            self.cancel()
        except StoreError as error:
            # Nothing can be saved any more; the launcher notices our end and kills what runs.
            click.echo(f"runyard: the tasks could not be cancelled: {error}", err=True)
            os._exit(1)

    def cancel(self) -> None:
        self.is_cancelled = True
        self.board.compare(self._here.jobs.cancel([self._batch_id]))
        self._worker.wake()


def start_of(claim: Claim, now: float) -> Start:
    """What was claimed just now; a place has a name worth showing if builds are put on it."""
    place = claim.slot if claim.build else ""
    return Start(claim.seq, now, claim.fence, place, claim.build if claim.installs else "")


def end_of(move: Move, now: float) -> End:
    """A move that was made just now."""
    transition = move.transition
    return End(
        move.seq, now, transition.to, transition.event, move.fence, transition.reason, move.data
    )
