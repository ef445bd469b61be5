"""What jobs may ask for here: where they begin and how long they run.

Looked at when a job is submitted, so that whoever asks for too much hears it at once, and again by
the worker that runs it, whose host may have other directories and other settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from runyard.config import Settings
from runyard.domain.job import JobSpec
from runyard.errors import InvalidRequest
from runyard.execution.workdirs import NoEntry, Workdirs


@dataclass(frozen=True, slots=True)
class Bounds:
    """``longest`` is the timeout, in seconds, of jobs that name none, and the longest that one may
    name; None for neither."""

    workdirs: Workdirs = field(default_factory=Workdirs)
    longest: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Those that are set for this process."""
        workdirs = Workdirs(settings.allowed_workdirs, settings.default_workdir)
        return cls(workdirs, settings.command_timeout)

    def timeout(self, asked: float | None) -> float | None:
        """How long a job may run that asks for so many seconds, or for none."""
        if self.longest is None or asked is None:
            return asked or self.longest
        return min(asked, self.longest)

    def checked(self, specs: Iterable[JobSpec]) -> Iterator[JobSpec]:
        """The same specs; raises ``InvalidRequest`` at the first that asks for too much. The
        directory of a job that starts later may be made by then: it need not be there yet."""
        known: set[tuple[str | None, bool]] = set()
        for spec in specs:
            starts_later = bool(spec.depends_on) or spec.run_after is not None
            if (spec.cwd, starts_later) not in known:
                known.add((spec.cwd, starts_later))
                try:
                    self.workdirs.check(spec.cwd, may_be_missing=starts_later)
                except NoEntry as error:
                    raise InvalidRequest(_of(spec, str(error))) from None
            if self.longest is not None and (spec.timeout or 0) > self.longest:
                text = f"it asks for {spec.timeout:g} s; at most {self.longest:g} s are allowed"
                raise InvalidRequest(_of(spec, f"the timeout is too long: {text}"))
            yield spec


def _of(spec: JobSpec, text: str) -> str:
    return f"job {spec.name!r}: {text}" if spec.name else text
