"""Every endpoint there is, with something to ask of it: a new one is tried without being named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

SAFE = ("GET", "HEAD")
# What the document does not say of bodies.
BODIES: dict[str, Any] = {
    "/api/v1/jobs": {"command": ["true"]},
    "/api/v1/job-batches": {"jobs": [{"command": ["true"]}]},
    "/api/v1/templates/{name}": {"document": {"command": ["true"]}},
    "/api/v1/schedules": {"name": "s", "template": "t", "cron": "0 0 * * *"},
    "/api/v1/users/{name}": {"role": "viewer"},
    "/api/v1/admin/limits": {"scope": "org", "name": "acme", "running": 1},
    "/api/v1/jobs/wait": {"ids": [], "seconds": 0},
}


@dataclass(frozen=True)
class Endpoint:
    """One method of one path, as the OpenAPI document has it."""

    method: str
    path: str
    operation: Mapping[str, Any]
    document: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_stream(self) -> bool:
        return self.path == "/api/v1/events"

    @property
    def is_public(self) -> bool:
        """Whether it asks nobody who they are."""
        return "security" not in self.operation

    def parameters(self, where: str) -> list[Mapping[str, Any]]:
        return [one for one in self.operation.get("parameters", ()) if one["in"] == where]

    def url(self, ids: Mapping[str, str]) -> str:
        """With these in the path: by parameter, or by what stands before it (``users`` for
        ``/users/{name}``)."""

        def value(found: re.Match[str]) -> str:
            keys = (found[1], found[2])
            known = next((ids[key] for key in keys if key in ids), None)
            assert known is not None, f"say in the test what {found[2]} of {self} is"
            return f"{found[1]}/{known}"

        return re.sub(r"([\w-]+)/{(\w+)}", value, self.path)

    def query(self, ids: Mapping[str, str]) -> dict[str, Any]:
        """What it cannot do without."""
        return {
            one["name"]: ids.get(one["name"]) or self._example(one["schema"], ids)
            for one in self.parameters("query")
            if one.get("required")
        }

    def body(self, ids: Mapping[str, str]) -> dict[str, Any]:
        """Arguments for httpx: something that fits, with these ids in it."""
        if "requestBody" not in self.operation:
            return {}
        ((kind, content),) = self.operation["requestBody"]["content"].items()
        made = BODIES.get(self.path) or self._example(content["schema"], ids)
        if "ids" in made:
            made = {**made, "ids": [ids["job_id"]]}
        return {"json": made} if kind == "application/json" else {"data": made}

    def ask(self, client: httpx.Client, ids: Mapping[str, str], **more: Any) -> httpx.Response:
        """Ask something that could be answered."""
        given = {"params": self.query(ids), **self.body(ids), **more}
        return client.request(self.method, self.url(ids), **given)

    def _example(self, schema: Mapping[str, Any], ids: Mapping[str, str]) -> Any:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self._example(self.document["components"]["schemas"][name], ids)
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if "enum" in schema:
            return schema["enum"][0]
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                return self._example(schema[key][0], ids)
        if schema.get("type") == "object":
            fields = schema.get("properties", {})
            return {
                name: ids.get(name) or self._example(fields[name], ids)
                for name in schema.get("required", ())
            }
        if schema.get("type") == "array":
            return [self._example(schema["items"], ids)] * schema.get("minItems", 0)
        return {"integer": 1, "number": 1, "boolean": True, "null": None}.get(
            schema.get("type", ""), "x"
        )


def endpoints(client: httpx.Client) -> Iterator[Endpoint]:
    """All that the server documents."""
    document = client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield Endpoint(method.upper(), path, operation, document)
