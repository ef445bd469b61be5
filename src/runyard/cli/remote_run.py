"""A run on a server: a batch that its workers run, followed from here."""

from __future__ import annotations

import os
import time

import click

from runyard.cli.board import End, Start
from runyard.cli.runs import Run
from runyard.cli.why import told_why
from runyard.client.remote import Remote
from runyard.domain.batch import Batch
from runyard.domain.event import Event, EventKind
from runyard.domain.job import Reason, State
from runyard.errors import InvalidRequest, RunyardError
from runyard.service.jobfile import JobFile

_AFTER = {
    EventKind.PASSED: State.PASSED,
    EventKind.COMPLETED: State.PASSED,
    EventKind.FAILED: State.FAILED,
    EventKind.CANCELLED: State.CANCELLED,
    EventKind.SKIPPED: State.SKIPPED,
    EventKind.RETRIED: State.DELAYED,
    EventKind.LOST: State.QUEUED,
    EventKind.RELEASED: State.QUEUED,
    EventKind.SETUP_FAILED: State.QUEUED,
}


class RemoteRun(Run):
    """Follows the events of the batch until it is over."""

    def __init__(
        self,
        here: Remote,
        file: JobFile,
        *,
        fail_fast: bool,
        slots: int | None,
        simulate: bool,
        config_path: str | None,
    ) -> None:
        super().__init__(file, fail_fast=fail_fast)
        if slots or simulate or config_path:
            raise InvalidRequest(
                "--slots, --simulate and --config are for a worker of this machine: the workers of "
                "the server have their own"
            )
        self._here = here
        self._ids: list[str] = []
        self._offset = float("inf")  # from the server's clock to our monotonic one

    def work(self) -> Batch:
        jobs = self._here.jobs
        with self.signals:
            self.signals.listen()
            batch = jobs.submit_batch(
                self.file.specs, name=self.file.name, description=self.file.description
            )
            self._batch_id = batch.id
            self._ids = [job.id for job in jobs.members([batch.id])]
            self.board.place(self._ids)
            self.signals.obey()
            if self._ids:
                with told_why(self._here, [batch.id], self.board.tell):
                    self._follow()
        return jobs.get_batch(batch.id)

    def _follow(self) -> None:
        """From its submission on, so that nothing is missed before we listen."""
        first = min(event.seq for event in self._here.jobs.events(self._ids[:1]))
        was_quiet = False
        for event in self._here.watch(self._batch_id, first - 1):
            if event is not None:
                self._take(event)
            # A stream greets before it tells what happened until now: only if it then has nothing
            # to tell for long, the board may have missed something.
            may_be_over = self.board.is_done or (event is None and was_quiet)
            was_quiet = event is None
            # The server is asked, not the board: others may retry tasks.
            if may_be_over and self._here.jobs.get_batch(self._batch_id).is_final:
                return

    def _take(self, event: Event) -> None:
        at = event.at or 0.0
        self._offset = min(self._offset, time.monotonic() - at)  # what came quickest tells it best
        now = at + self._offset
        if event.kind is EventKind.CLAIMED:
            spec = self.board.spec_of(event.job_id)
            place = str(event.data.get("slot", "")) if spec.app_version_id else ""
            self.board.claimed([Start(event.job_id, now, place=place)])
        elif (state := _AFTER.get(event.kind)) is not None:
            why = event.data.get("reason") or event.data.get("attempt_reason")
            reason = None if why is None else Reason(why)
            end = End(event.job_id, now, state, event.kind, 0, reason, event.data)
            self.board.finished([end])
            if state is State.FAILED:
                self.has_failed()

    def cancel(self) -> None:
        self.is_cancelled = True
        # What ended by itself meanwhile is worth its line, when its event comes.
        jobs = self._here.jobs.cancel([self._batch_id])
        self.board.compare(jobs, {State.CANCELLED})

    def interrupt(self, count: int) -> None:
        if count > 1:
            click.echo("runyard: the tasks are cancelled, and end without us", err=True)
            os._exit(128 + (self.signals.first or 0))
        try:
            self.cancel()
        except RunyardError as error:
            click.echo(f"runyard: the tasks could not be cancelled: {error}", err=True)
            os._exit(1)
