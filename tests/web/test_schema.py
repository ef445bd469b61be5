"""Each endpoint answers as its OpenAPI document says, whatever it is asked."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS as ALL_CHECKS
from schemathesis.checks import load_all_checks

from runyard.domain.user import Role
from tests.store.support import on_postgresql
from tests.support.serving import Serving
from tests.web.endpoints import endpoints

load_all_checks()
CHECKS = ALL_CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    ]
)
EXAMPLES = 3  # of each kind for each endpoint
STREAMS = {"/api/v1/events"}


@on_postgresql  # the stricter of the two
@pytest.mark.parametrize("role", [Role.ADMIN, Role.MEMBER])
def test_every_answer_is_documented(here: Serving, role: Role) -> None:
    token = here.user("ann", role, "acme")
    headers = {"Authorization": f"Bearer {token}"}
    with here.client(token) as client:
        document = client.get("/openapi.json").json()
        known = something_of_each(client)
    faults = []
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        if operation.path in STREAMS:
            continue
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            try:
                examine(operation, mode, here.url, headers, known)
            except Unsatisfiable:
                pass  # where nothing can be asked, nothing can be asked wrongly
            except BaseException as error:  # all of them are to be seen
                faults.append(f"{operation.label}, {mode}: {error}")
    assert not faults, "\n\n".join(faults)


def something_of_each(client: httpx.Client) -> dict[str, str]:
    """Ids that exist, by the parameter that takes them."""
    job = client.post("/api/v1/jobs", json={"command": ["true"]}).json()
    batch = client.post("/api/v1/job-batches", json={"jobs": [{"command": ["true"]}]}).json()
    return {"job_id": job["id"], "batch_id": batch["id"], "group": "1"}


def examine(
    operation: Any, mode: GenerationMode, url: str, headers: dict[str, str], known: dict[str, str]
) -> None:
    """Ask an endpoint this and that."""
    cases = operation.as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(case=cases, is_known=st.booleans())
    def ask(case: Any, is_known: bool) -> None:
        if is_known:
            ours = {name: known[name] for name in case.path_parameters or () if name in known}
            case.path_parameters.update(ours)
        if isinstance(case.query, dict):
            case.query.pop("follow", None)  # a stream, which ends when its job does
        answer = case.call(base_url=url, headers=headers, timeout=30)
        case.validate_response(answer, checks=CHECKS, headers=headers)

    ask()


def test_what_a_body_may_lead_to_is_documented(member: httpx.Client) -> None:
    """It may be no JSON, too large, or not have the right form, and nobody's."""
    for endpoint in endpoints(member):
        if "requestBody" in endpoint.operation:
            assert {"400", "401", "413", "422"} <= endpoint.operation["responses"].keys(), endpoint
