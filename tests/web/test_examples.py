"""The examples of the OpenAPI document are good requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from runyard.domain.user import Role
from tests.store.support import on_sqlite
from tests.support.serving import Serving

pytestmark = on_sqlite
# Of what an example names, the rest is not there.
GOOD = (200, 201, 202, 204, 404)


@pytest.fixture
def admin(here: Serving) -> httpx.Client:
    return here.client(here.user("ada", Role.ADMIN))


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Method and path of what takes JSON, and an example for it."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                schema = content["application/json"]["schema"]
                (name, *_) = [
                    one["$ref"].rpartition("/")[2]
                    for one in (schema, *schema.get("oneOf", ()))
                    if "$ref" in one
                ]
                for example in document["components"]["schemas"][name]["examples"]:
                    yield method, path, example


def test_each_body_has_one_that_is_taken(admin: httpx.Client) -> None:
    found = list(bodies(admin.get("/openapi.json").json()))

    assert len(found) > 12
    for method, path, body in found:
        where = path.replace("{job_id}", "nobody").replace("{name}", "tests")
        answer = admin.request(method, where, json=body)
        assert answer.status_code in GOOD, (path, answer.text)


def test_people_see_them(here: Serving) -> None:
    with here.client() as nobody:
        assert "nightly-ui-suite" in nobody.get("/docs").text
