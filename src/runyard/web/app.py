"""The application: endpoints, pages, and what holds for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from runyard import __version__
from runyard.web import faults, guards, pages
from runyard.web.api import (
    auth,
    batches,
    jobs,
    people,
    schedules,
    several,
    system,
    templates,
    yard,
)
from runyard.web.api.examples import illustrate
from runyard.web.crowds import Crowd
from runyard.web.live import Newsroom
from runyard.web.pages import errors
from runyard.web.passwords import hashers
from runyard.web.place import Place

# That answer requests. A request is short queries and much Python, which one thread at a time can
# run: many more mostly take it from each other, and everybody waits three times as long.
THREADS = 3

LISTEN_AGAIN_SECONDS = 2.0

ABOUT = "Runs a team's tests and batch jobs on a laptop, a shelf of phones or a fleet."


class Application(FastAPI):
    """One whose OpenAPI document shows what bodies may look like."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            illustrate(super().openapi())
        assert self.openapi_schema is not None
        return self.openapi_schema


def create_app(place: Place) -> FastAPI:
    """An ASGI application on an open home."""
    app = Application(
        routes=_routes(),
        title="Runyard",
        version=__version__,
        description=ABOUT,
        lifespan=_lifespan,
        docs_url=None,  # the usual page loads its parts from another host
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,  # it would send browsers to the host that the request names
    )
    app.state.place = place
    app.state.newsroom = Newsroom(place.store)
    settings = place.settings
    app.state.listeners = Crowd(
        "streams, waits and downloads",
        settings.streams_per_user,
        settings.streams,
        LISTEN_AGAIN_SECONDS,
    )
    app.state.long_bodies = guards.long_bodies()
    faults.install(app)
    guards.install(app)
    errors.install(app)
    return app


@cache
def _routes() -> list[BaseRoute]:
    """Where which endpoint is: the same for all homes, and FastAPI takes long to find out."""
    api = APIRouter(prefix="/api/v1")
    for module in (system, auth, several, jobs, batches, templates, schedules, people, yard):
        api.include_router(module.router)
    everything = APIRouter()
    for router in (api, yard.debug, pages.router()):
        everything.include_router(router)
    return everything.routes


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    app.state.one_long_body = anyio.CapacityLimiter(1)
    app.state.hashers = hashers()
    yield
    await app.state.newsroom.close()
