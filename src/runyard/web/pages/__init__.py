"""The pages: rendered here, live over server-sent events, for browsers that have signed in."""

from __future__ import annotations

from fastapi import APIRouter

from runyard.web.pages import (
    actions,
    admin,
    batches,
    docs,
    files,
    jobs,
    overview,
    profile,
    schedules,
    signin,
    submit,
    submit_file,
    template_form,
    templates,
    yard,
)

PAGES = (
    *(files, signin, overview, batches, jobs, actions, submit_file, submit),
    *(template_form, templates, schedules, yard, admin, profile, docs),
)


def router() -> APIRouter:
    """All pages."""
    found = APIRouter(include_in_schema=False)
    for module in PAGES:
        found.include_router(module.router)
    return found
