"""The pages: rendered here, live over server-sent events, for browsers that have signed in."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from runyard.web.pages import batches, errors, files, jobs, overview, signin, submit


def install(app: FastAPI) -> None:
    """Add the pages to an application."""
    router = APIRouter(include_in_schema=False)
    for module in (files, signin, overview, batches, jobs, submit):
        router.include_router(module.router)
    app.include_router(router)
    errors.install(app)
