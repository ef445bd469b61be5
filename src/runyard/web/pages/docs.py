"""The OpenAPI document, to be read by people; the usual page for it loads from another host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from runyard.errors import RunyardError
from runyard.web.pages import render
from runyard.web.pages.visit import visitor

router = APIRouter()


@router.get("/docs")
def docs(request: Request) -> Response:
    """All endpoints by kind, and the shapes of what they take and give."""
    document = request.app.openapi()
    try:
        visit = visitor(request)
    except RunyardError:
        visit = None
    return render.html(
        request,
        "docs.html",
        visit=visit,
        actor=visit.actor if visit else None,
        info=document["info"],
        tags=by_tag(document),
        schemas=[
            (name, schema, properties(schema))
            for name, schema in sorted(document.get("components", {}).get("schemas", {}).items())
        ],
    )


def by_tag(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The operations of a document, each with its method and path, by their first tag."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            found.setdefault(tag, []).append(
                {
                    "method": method.upper(),
                    "path": path,
                    "anchor": operation["operationId"],
                    "text": plain(operation.get("description", operation.get("summary", ""))),
                    "parameters": [
                        (one["name"], one["in"], one.get("required", False), shape(one["schema"]))
                        for one in operation.get("parameters", [])
                    ],
                    "body": _body(operation),
                    "answers": [
                        (status, answer.get("description", ""), _content(answer))
                        for status, answer in sorted(operation["responses"].items())
                    ],
                }
            )
    return found


def _body(operation: Mapping[str, Any]) -> list[tuple[str, str]]:
    content = operation.get("requestBody", {}).get("content", {})
    return [(kind, shape(one["schema"])) for kind, one in content.items() if "schema" in one]


def _content(answer: Mapping[str, Any]) -> str:
    kinds = answer.get("content", {})
    shapes = [shape(one["schema"]) for one in kinds.values() if one.get("schema")]
    return shapes[0] if shapes else ", ".join(kinds)


def properties(schema: Mapping[str, Any]) -> list[tuple[str, str, bool, str]]:
    """The fields of an object: name, shape, whether it must be given, what it means."""
    required = schema.get("required", [])
    return [
        (name, shape(one), name in required, plain(one.get("description", "")))
        for name, one in schema.get("properties", {}).items()
    ]


def plain(text: str) -> str:
    """A docstring without the marks around what is code."""
    return text.replace("``", "")


def shape(schema: Mapping[str, Any]) -> str:
    """A schema in few words: ``list of Job``, ``text or null``, ``queued | running``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(shape(one) for one in schema[key]))
    if schema.get("type") == "array":
        return f"list of {shape(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {shape(schema['additionalProperties'])}"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    kind = str(schema.get("type", "anything"))
    return words.get(kind, kind)
