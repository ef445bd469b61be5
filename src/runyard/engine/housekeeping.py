"""What every worker does for the whole yard beside its own jobs, and every server, too."""

from __future__ import annotations

from collections.abc import Callable

from runyard.clock import Clock
from runyard.config import Settings
from runyard.engine import learner, pruner
from runyard.engine.learner import Learner
from runyard.engine.loop import Loop
from runyard.engine.promoter import Promoter
from runyard.engine.pruner import Pruner
from runyard.engine.reaper import Reaper
from runyard.store.database import Store


def housekeeping(
    store: Store,
    settings: Settings,
    clock: Clock,
    wake: Callable[[], None],
    worker_id: str | None = None,
) -> list[Loop]:
    """The loops, not started. They ``wake`` their worker when they have made work for it."""
    home, lease = settings.home, settings.lease_seconds
    reaper = Reaper(store, home.run, lease, clock, wake, worker_id)
    retention = settings.retention_days * 86400
    return [
        Loop("reaper", lease / 6, reaper),
        Loop("promoter", Promoter.INTERVAL, Promoter(store, wake)),
        Loop("learner", learner.INTERVAL, Learner(store)),
        Loop("pruner", pruner.INTERVAL, Pruner(store, home.logs, retention)),
    ]
