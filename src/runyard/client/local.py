"""The requests, answered by the store of a home on this machine."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from runyard import bootstrap
from runyard.config import Settings
from runyard.domain.explanation import Explanation

if TYPE_CHECKING:
    from runyard.service.accounts import Accounts
    from runyard.service.schedules import Schedules
    from runyard.service.templates import Templates
    from runyard.service.yardmaster import Yardmaster


class Local:
    """An open home, with the configuration of that name or in force."""

    is_local = True

    def __init__(self, settings: Settings, config_path: str | None = None) -> None:
        self.settings = settings
        self.store = bootstrap.open_store(settings)
        self.jobs = bootstrap.jobs(settings, self.store)
        self._config_path = config_path

    @cached_property
    def yard(self) -> Yardmaster:
        """About groups, devices, pauses and limits."""
        return bootstrap.yardmaster(self.settings, self.store)

    @cached_property
    def accounts(self) -> Accounts:
        """About users and tokens."""
        return bootstrap.accounts(self.settings, self.store)

    @cached_property
    def templates(self) -> Templates:
        """About templates."""
        return bootstrap.templates(self.settings, self.store)

    @cached_property
    def schedules(self) -> Schedules:
        """About schedules."""
        return bootstrap.schedules(self.settings, self.store)

    def explain(self, job_id: str) -> Explanation:
        """Why a job is where it is."""
        from runyard.service.explain import explain

        reckoning = bootstrap.reckoning(self.settings, self._config_path)
        return explain(self.store, job_id, reckoning)

    def ensure_worker(self) -> None:
        """See that somebody runs what waits on this home."""
        bootstrap.ensure_worker(self.settings, self._config_path)

    def close(self) -> None:
        """Give back the database connections; jobs go on."""
        self.store.close()
