"""The style sheet, the script and the icon: small, ours, and kept by browsers until they change."""

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
FOREVER = "public, max-age=31536000, immutable"


@cache
def _contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in TYPES}


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
