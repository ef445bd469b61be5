"""The pages: rendered here, live over server-sent events, for browsers that have signed in."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from runyard.web.pages import (
    actions,
    admin,
    batches,
    docs,
    errors,
    files,
    jobs,
    overview,
    profile,
    schedules,
    signin,
    submit,
    template_form,
    templates,
    yard,
)

PAGES = (
    *(files, signin, overview, batches, jobs, actions, submit),
    *(template_form, templates, schedules, yard, admin, profile, docs),
)


def install(app: FastAPI) -> None:
    """Add the pages to an application."""
    router = APIRouter(include_in_schema=False)
    for module in PAGES:
        router.include_router(module.router)
    app.include_router(router)
    errors.install(app)
