"""Every error Runyard raises on purpose, as one tree.

    RunyardError
    ├── InvalidRequest          what was asked for cannot be right
    │   ├── InvalidGraph        duplicate names, unknown dependencies, cycles
    │   └── InvalidJobFile      a job file that cannot be read or does not match its schema
    ├── NotFound                no such job or batch, or a prefix that fits several
    ├── Conflict                the thing exists, but not in a state that allows this
    ├── NotAuthenticated        nobody knows who asks: no, wrong or expired credentials
    ├── Forbidden               known who asks, and that they may not
    ├── LimitReached            more than a quota allows, or too many attempts to sign in
    ├── WaitTimeout             the wait ended before the jobs did
    ├── StoreError              the database refused or cannot be reached
    │   ├── StoreBusy           it stayed locked or unreachable longer than we wait
    │   ├── StoreFull           no space left on its disk
    │   ├── StoreReadOnly       its files may not be written
    │   ├── StoreCorrupt        its file is damaged or not a database
    │   └── OutcomeUnknown      it went away before it said whether a change was saved
    ├── ServerUnreachable       the server does not answer, or went away in the middle
    ├── HomeUnusable            the home directory cannot be created or written
    └── LauncherLost            the process that supervises the jobs is gone

A message is one sentence that says what happened and, where there is one, what to do.
"""


class RunyardError(Exception):
    """Base of all expected failures; its text is fit to be shown to a user."""


class InvalidRequest(RunyardError):
    """What was asked for cannot be right, whatever the state of the system."""


class InvalidGraph(InvalidRequest):
    """A batch whose dependencies do not form a directed acyclic graph of unique names."""


class InvalidJobFile(InvalidRequest):
    """A job file that cannot be read, parsed or validated."""


class NotFound(RunyardError):
    """No job or batch has this id, or several have this prefix."""


class Conflict(RunyardError):
    """The job or batch is not in a state that allows the request."""


class NotAuthenticated(RunyardError):
    """The credentials are missing, wrong, expired or revoked."""


class Forbidden(RunyardError):
    """Whoever asks may not do this."""


class LimitReached(RunyardError):
    """A quota is used up, or somebody tried too often; ``retry_after`` in seconds, if known."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class WaitTimeout(RunyardError):
    """The time given to a wait is over and the jobs are not."""


class StoreError(RunyardError):
    """The database refused a request or cannot be reached."""


class StoreBusy(StoreError):
    """The database stayed locked or unreachable for longer than Runyard waits."""


class StoreFull(StoreError):
    """The disk under the database has no space left."""


class StoreReadOnly(StoreError):
    """The database may be read but not written."""


class StoreCorrupt(StoreError):
    """The database file is damaged, or is not a database."""


class OutcomeUnknown(StoreError):
    """The database went away after it was told to save a change, and before it said that it had."""


class ServerUnreachable(RunyardError):
    """The server does not answer, or went away before it did."""


class HomeUnusable(RunyardError):
    """The home directory cannot be created, read or written."""


class LauncherLost(RunyardError):
    """The process that starts and watches the jobs ended unexpectedly."""
