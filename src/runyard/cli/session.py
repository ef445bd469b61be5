"""What most commands need: settings, store and requests, opened once and closed at the end."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from runyard import bootstrap
from runyard.config import Settings
from runyard.domain.explanation import Explanation
from runyard.service.jobs import Jobs
from runyard.store.database import Store


@dataclass(frozen=True, slots=True)
class Session:
    """An open home."""

    settings: Settings
    store: Store
    jobs: Jobs
    config_path: str | None = None

    def explain(self, job_id: str) -> Explanation:
        """Why a job is where it is."""
        from runyard.service.explain import explain

        return explain(self.store, job_id, bootstrap.reckoning(self.settings, self.config_path))

    def ensure_worker(self) -> None:
        """See that somebody runs what waits on this home."""
        bootstrap.ensure_worker(self.settings, self.config_path)


@contextmanager
def session(config_path: str | None = None) -> Iterator[Session]:
    """The home that the environment names, with the configuration of that name or in force."""
    # ``main`` switched it off while everything was imported, which will be used to the end.
    gc.freeze()
    gc.enable()
    settings = Settings.load()
    store = bootstrap.open_store(settings)
    try:
        yield Session(settings, store, bootstrap.jobs(settings, store), config_path)
    finally:
        store.close()


def print_json(value: Any) -> None:
    """One JSON object, indented only for people."""
    is_unicode = sys.stdout is not None and sys.stdout.encoding.lower() in ("utf-8", "utf8")
    indent = 2 if sys.stdout and sys.stdout.isatty() else None
    click.echo(json.dumps(value, indent=indent, ensure_ascii=not is_unicode))
