"""What other orgs and lesser roles get of each endpoint: nothing."""

from __future__ import annotations

import httpx

from runyard.domain.user import Role, TokenScope
from runyard.policy.fits import Scope
from runyard.store import rules
from tests.support.serving import PASSWORD, Serving
from tests.web.acme import (
    API,
    HUSH,
    OF_ONESELF,
    Acme,
    changing,
    contents,
    invented,
    verdict,
)
from tests.web.endpoints import endpoints

# Other orgs.


def test_what_is_another_orgs_looks_like_not_there(
    here: Serving, acme: Acme, stranger: httpx.Client
) -> None:
    before = contents(here)
    fake = invented(acme.ids)
    for endpoint in endpoints(stranger):
        if not endpoint.parameters("path") and "ids" not in endpoint.body(acme.ids).get("json", ()):
            continue
        real = endpoint.ask(stranger, acme.ids)
        made_up = endpoint.ask(stranger, fake)
        if str(endpoint) == f"PUT {API}/templates/{{name}}":
            assert real.json()["org_id"] == "other"  # one of their own, of the same name
            stranger.delete(endpoint.url(acme.ids))
            stranger.delete(endpoint.url(fake))
            continue
        assert verdict(real, acme.ids) == verdict(made_up, fake), endpoint
        assert real.status_code in (403, 404), f"{endpoint}: {real.text}"
    assert contents(here) == before


def test_no_list_tells_of_another_org(here: Serving, acme: Acme, stranger: httpx.Client) -> None:
    wanted = {
        "batch_id": acme.ids["batch_id"],
        "job_id": acme.ids["job_id"],
        "org_id": "acme",
        "submitted_by": "max",
        "app_version_id": f"{HUSH}-build",
        "label": f"{HUSH}-label",
        "q": "a",
        "user": "max",
    }
    for endpoint in [*endpoints(stranger)]:
        if endpoint.method != "GET" or endpoint.parameters("path") or endpoint.is_stream:
            continue
        asked = [{}]
        asked += [
            {one["name"]: wanted[one["name"]]}
            for one in endpoint.parameters("query")
            if one["name"] in wanted
        ]
        for params in asked:
            text = stranger.get(endpoint.path, params=params).text
            for secret in params.values():
                text = text.replace(secret, "")
            for word in acme.words:
                assert word not in text, f"{endpoint} {params}: {text}"


def test_no_event_tells_of_another_org(acme: Acme, stranger: httpx.Client) -> None:
    own = stranger.post(f"{API}/jobs", json={"command": ["true"]}).json()["id"]
    for params in ({}, {"kind": "claimed"}, {"kind": "submitted"}):
        with stranger.stream(
            "GET", f"{API}/events", params=params, headers={"Last-Event-ID": "0"}
        ) as answer:
            if params.get("kind") == "claimed":
                stranger.delete(f"{API}/jobs/{own}")
                continue
            line = next(line for line in answer.iter_lines() if line.startswith("data: "))
            assert own in line
    for params in ({"job_id": acme.ids["job_id"]}, {"batch_id": acme.ids["batch_id"]}):
        assert stranger.get(f"{API}/events", params=params).status_code == 404


def test_an_explanation_tells_nothing_of_another_org(
    here: Serving, acme: Acme, stranger: httpx.Client, colleague: httpx.Client
) -> None:
    # What their jobs ask for is nothing to others; what an admin sets counts those of all.
    here.store.write(lambda tx: rules.limit(tx, Scope.KEY, "licence", 1))
    own = {"command": ["true"], "limit_key": "licence", "limit": 1}
    job = stranger.post(f"{API}/jobs", json=own).json()["id"]
    found = stranger.get(f"{API}/jobs/{job}/explain")
    assert found.json()["code"] == "limit"
    assert found.json()["held_by"] == []
    for word in acme.words:
        assert word not in found.text
    theirs = colleague.get(f"{API}/jobs/{acme.ids['job_id']}/explain").json()
    assert theirs["held_by"] == [acme.running]


def test_nothing_is_submitted_for_or_behind_another_org(
    here: Serving, acme: Acme, stranger: httpx.Client
) -> None:
    before = contents(here)
    spec = {"command": ["true"]}
    for status, path, body in (
        (403, "jobs", {**spec, "org_id": "acme"}),
        (403, "jobs", [spec, {**spec, "org_id": "acme"}]),
        (403, "job-batches", {"org_id": "acme", "jobs": [spec]}),
        (403, "job-batches", {"jobs": [{**spec, "org_id": "acme"}]}),
        (404, "jobs", {**spec, "depends_on": [acme.ids["job_id"]]}),
        (404, "job-batches", {"jobs": [{**spec, "depends_on": [acme.running]}]}),
    ):
        answer = stranger.post(f"{API}/{path}", json=body)
        assert answer.status_code == status, (body, answer.text)
    assert contents(here)["jobs"] == before["jobs"]


def test_an_idempotency_key_is_of_one_org(member: httpx.Client, stranger: httpx.Client) -> None:
    body = {"command": ["true"], "idempotency_key": "night"}
    theirs, own = (client.post(f"{API}/jobs", json=body).json() for client in (member, stranger))
    assert theirs["id"] != own["id"]
    assert (theirs["org_id"], own["org_id"]) == ("acme", "other")
    other = {**body, "command": ["false"]}
    assert stranger.post(f"{API}/jobs", json=other).status_code == 409


# Lesser roles.


def lesser(here: Serving) -> dict[str, str]:
    """Tokens of those who may look at acme's jobs, but change none of max's."""
    here.user("low", Role.VIEWER, "acme")
    tokens = {"viewer": here.accounts.create_token("t", TokenScope.FULL, user="low")[1]}
    for name, whose in (("reader", "max"), ("reading admin", "ada")):
        tokens[name] = here.accounts.create_token("t", TokenScope.READ, user=whose)[1]
    return tokens


def test_who_may_only_look_changes_nothing(here: Serving, acme: Acme) -> None:
    here.user("ada", Role.ADMIN, "acme")
    tokens = lesser(here)
    before = contents(here)
    for who, token in tokens.items():
        with here.client(token) as client:
            for endpoint in changing(client):
                if str(endpoint) in OF_ONESELF and who == "viewer":
                    continue
                answer = endpoint.ask(client, acme.ids)
                if str(endpoint) == f"POST {API}/auth/revoke":
                    assert answer.status_code == 204  # a token has no session to end
                    continue
                not_theirs = "token_id" in endpoint.path and who == "viewer"
                assert answer.status_code == (404 if not_theirs else 403), (
                    f"{endpoint} as {who}: {answer.status_code} {answer.text}"
                )
        assert contents(here) == before, who


def test_a_viewer_grants_nobody_anything(here: Serving, acme: Acme, viewer: httpx.Client) -> None:
    here.user("ada", Role.ADMIN)
    before = contents(here)
    for method, path, body in (
        ("POST", "/tokens", {"name": "t", "user": "ada"}),
        ("PATCH", "/users/vic", {"role": "admin"}),
        ("PATCH", "/users/max", {"password": "my own password"}),
        ("PATCH", "/users/vic", {"disabled": False}),
        ("PATCH", "/users/vic", {"role": "admin", "password": None}),
    ):
        answer = viewer.request(method, f"{API}{path}", json=body)
        assert answer.status_code == 403, answer.text
    assert contents(here) == before


def test_a_change_is_made_whole_or_not_at_all(here: Serving, viewer: httpx.Client) -> None:
    """One's own password may be changed, one's role may not: then neither is."""
    before = contents(here)["users"]
    body = {"password": "another horse", "role": "admin"}
    assert viewer.patch(f"{API}/users/vic", json=body).status_code == 403
    assert contents(here)["users"] == before


def test_a_token_alone_does_not_change_a_password(here: Serving, member: httpx.Client) -> None:
    before = contents(here)["users"]
    for current in ({}, {"current_password": "wrong horse"}):
        answer = member.patch(f"{API}/users/max", json={"password": "another horse", **current})
        assert (answer.status_code, "current password" in answer.text) == (403, True)
    assert contents(here)["users"] == before
    body = {"password": "another horse", "current_password": PASSWORD}
    assert member.patch(f"{API}/users/max", json=body).status_code == 200
    assert contents(here)["users"] != before


def test_a_member_does_nothing_to_others_or_to_the_yard(
    here: Serving, acme: Acme, colleague: httpx.Client
) -> None:
    before = contents(here)
    # What is submitted is one's own, and everybody runs the templates of their org.
    own = {
        f"POST {API}/jobs",
        f"POST {API}/job-batches",
        f"POST {API}/schedules",
        f"POST {API}/templates/{{name}}/run",
    }
    for endpoint in changing(colleague):
        if str(endpoint) in own | OF_ONESELF:
            continue
        answer = endpoint.ask(colleague, acme.ids)
        wanted = 404 if "token_id" in endpoint.path else 403
        assert answer.status_code == wanted, f"{endpoint}: {answer.text}"
    for path in ("/users", "/users/max", "/audit", "/admin/limits", "/tokens?user=max"):
        assert colleague.get(f"{API}{path}").status_code == 403, path
    assert contents(here) == before


def test_every_change_is_on_record(here: Serving, acme: Acme, admin: httpx.Client) -> None:
    """Who made it, and from where."""
    form = {"username": "ada", "password": PASSWORD}
    done = here.client().post(f"{API}/auth/token", data=form).json()["access_token"]
    with here.client(done) as signed_in:
        assert signed_in.post(f"{API}/auth/revoke").status_code == 204
    assert here.accounts.audit(limit=1)[0].action == "sign_out"
    tried = 0
    for endpoint in changing(admin):
        if str(endpoint) == f"POST {API}/auth/revoke":
            continue
        (before,) = here.accounts.audit(limit=1)
        if endpoint.ask(admin, acme.ids).status_code >= 300:
            continue
        tried += 1
        entries = [one for one in here.accounts.audit(limit=5) if one.seq > before.seq]
        assert entries, endpoint
        assert {(one.actor, one.address) for one in entries} == {("ada", "127.0.0.1")}
    assert tried > 15
