"""What the endpoints work on."""

from __future__ import annotations

from dataclasses import dataclass

from runyard import bootstrap
from runyard.config import Settings
from runyard.domain.explanation import Explanation
from runyard.domain.user import Actor
from runyard.service.accounts import Accounts
from runyard.service.jobs import Jobs
from runyard.service.lookout import Lookout
from runyard.service.schedules import Schedules
from runyard.service.signin import SignIn
from runyard.service.templates import Templates
from runyard.service.waiting import Reckoning
from runyard.service.yardmaster import Yardmaster
from runyard.store.database import Store


@dataclass(frozen=True, slots=True)
class Place:
    """An open home, and the requests that people make of it."""

    settings: Settings
    store: Store
    sign_in: SignIn
    reckoning: Reckoning

    @classmethod
    def of(cls, settings: Settings, store: Store, config_path: str | None = None) -> Place:
        """A home, whose explanations reckon as workers with this configuration do."""
        reckoning = bootstrap.reckoning(settings, config_path)
        return cls(settings, store, bootstrap.sign_in(settings, store), reckoning)

    def jobs(self, actor: Actor) -> Jobs:
        """The requests about jobs."""
        return bootstrap.jobs(self.settings, self.store, actor)

    def yard(self, actor: Actor) -> Yardmaster:
        """The requests about groups, devices, pauses and limits."""
        return bootstrap.yardmaster(self.settings, self.store, actor)

    def templates(self, actor: Actor) -> Templates:
        """The requests about templates."""
        return bootstrap.templates(self.settings, self.store, actor)

    def schedules(self, actor: Actor) -> Schedules:
        """The requests about schedules."""
        return bootstrap.schedules(self.settings, self.store, actor)

    def accounts(self, actor: Actor) -> Accounts:
        """The requests about users, tokens and the audit."""
        return bootstrap.accounts(self.settings, self.store, actor)

    def lookout(self, actor: Actor) -> Lookout:
        """What pages show of it all."""
        return Lookout(self.store, actor, self.reckoning)

    def explain(self, actor: Actor, job_id: str) -> Explanation:
        """Why a job is where it is."""
        from runyard.service.explain import explain

        return explain(self.store, job_id, self.reckoning, actor.sees)
