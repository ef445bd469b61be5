"""The style sheet, the scripts and the icon: small, ours, kept by browsers until they change."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response

from runyard.errors import NotFound

router = APIRouter()

FOLDER = Path(__file__).parent.parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# One sheet for browsers, in this order; to be read, one for each concern.
SHEETS = ("theme", "base", "frame", "parts", "forms", "output", "pictures")
FOREVER = "public, max-age=31536000, immutable"


@cache
def _contents() -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in TYPES}
    sheets = ((FOLDER / "sheets" / f"{name}.css").read_bytes() for name in SHEETS)
    return {**found, "runyard.css": b"\n".join(sheets)}


@cache
def address(name: str) -> str:
    """Where a browser gets a file: somewhere else after each change of it."""
    return f"/static/{name}?v={hashlib.sha256(_contents()[name]).hexdigest()[:12]}"


@router.get("/static/{name}")
def static(name: str) -> Response:
    """One of the files; others there are not, whatever the name."""
    content = _contents().get(name)
    if content is None:
        raise NotFound("there is no such file")
    media_type = TYPES[Path(name).suffix]
    return Response(content, media_type=media_type, headers={"Cache-Control": FOREVER})


@router.get("/favicon.ico")
def favicon() -> Response:
    """For browsers that ask without being told."""
    return static("icon.svg")
