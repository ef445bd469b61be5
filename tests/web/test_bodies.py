"""Long bodies are read in pieces: as Python reads JSON, but without keeping others waiting."""

from __future__ import annotations

import gc
import json
from types import FrameType
from typing import Any

import httpx
import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st

from runyard.web.bodies import MOST_COMMAS, MOST_ELEMENTS, MOST_OF_ONE, SHORT, read
from runyard.web.guards import MOST_BYTES
from tests.store.support import on_sqlite

API = "/api/v1"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
)


@given(values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_it_reads_what_python_reads(value: Any, indent: Any, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert read(f" {text}\n".encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "[", "]", "{", "[1", "[1,", "[1,]", "[,]", "[1 2]", "[1]]", "1 2", "nul"),
        *('{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', "{1:2}", '{"a" 1}', '{"a":1}}', '"a'),
        *('{"a":[}', '{"a":[1}', '{"a":[1],"b":[}]', "\ufeff[]", '["\n"]'),
    ],
)
def test_what_is_no_json_is_refused_where_python_refuses_it(text: str) -> None:
    with pytest.raises(json.JSONDecodeError) as ours:
        read(text.encode())
    with pytest.raises(json.JSONDecodeError):
        json.loads(text.encode().decode())
    assert ours.value.doc == ""


@pytest.mark.parametrize("length", [10, 16 << 10, 128 << 10, MOST_OF_ONE - 2])
def test_a_piece_may_be_as_long_as_a_job(length: int) -> None:
    """However it lies to the parts in which it is looked at; a number has no end of its own."""
    for one in ("x" * length, 10 ** min(length, 4000), [0.5] * (length // 100), {"k" * length: 1}):
        body = json.dumps([1, one, 2]).encode()
        if len(body) <= MOST_OF_ONE:
            assert read(body) == [1, one, 2]
    spaces = " " * (length - 2)
    for number in (12345, -1.5e10):
        assert read(f"[{spaces}{number}, 1]".encode()) == [number, 1]
        assert read(f"[1, {spaces}{number}".encode() + b"]") == [1, number]


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b"x" * MOST_OF_ONE + b'"]',
        b'{"payload":"' + b"x" * MOST_OF_ONE + b'"}',
        b'{"command":["x"],"payload":[' + b"1," * MOST_OF_ONE + b"1]}",
        b'{"jobs":[],"matrix":{"a":[0' + b",1" * MOST_OF_ONE + b"]}}",
        b'{"a":"' + b"x" * (MOST_OF_ONE - 99) + b'","b":"' + b"x" * 99 + b'"}',
        b"[" + b"{}," * MOST_ELEMENTS + b"{}]",
        b'{"jobs":[' + b"{}," * MOST_ELEMENTS + b"{}]}",
        b"[[" + b"1," * (MOST_COMMAS + 1) + b"1]]",
        b"{" + b",".join(b'"%d":1' % number for number in range(MOST_ELEMENTS + 1)) + b"}",
    ],
    ids=lambda body: body[:20].decode(),
)
def test_more_than_may_be_is_refused(body: bytes) -> None:
    with pytest.raises(HTTPException) as refused:
        read(body)
    assert refused.value.status_code == 413


# Over HTTP.


@on_sqlite
def test_a_batch_may_be_long_and_a_job_may_not(member: httpx.Client) -> None:
    job = {"command": ["true"], "payload": "x" * (MOST_OF_ONE - 100)}
    assert member.post(f"{API}/jobs", json=[job] * 5).status_code == 202
    assert member.post(f"{API}/job-batches", json={"jobs": [job] * 5}).status_code == 202
    job["payload"] += "x" * 100
    for path, body in (("jobs", job), ("jobs", [job]), ("job-batches", {"jobs": [job]})):
        answer = member.post(f"{API}/{path}", json=body)
        assert answer.status_code == 413
        assert answer.json()["detail"] == "one job is larger than 1 MiB"
    assert member.get(f"{API}/jobs/stats").json()["users"][0]["submitted"] == 10


@on_sqlite
def test_other_requests_are_short(member: httpx.Client) -> None:
    answer = member.post(f"{API}/jobs/cancel", json={"ids": ["x" * MOST_BYTES]})
    assert answer.status_code == 413
    assert answer.json() == {"detail": "the request is larger than 1 MiB"}


@on_sqlite
@pytest.mark.parametrize(
    "last", ['{"command": -1}', '{"nope": 1}', "{", '{"command":["x"],"depends_on":["nope"]}']
)
@pytest.mark.parametrize("form", ["[%s]", '{"jobs":[%s]}'])
def test_a_body_that_was_refused_is_forgotten_at_once(
    member: httpx.Client, last: str, form: str
) -> None:
    """Each was kept until Python looked for circles: gigabytes, where they are large."""
    job = json.dumps({"command": ["true"], "payload": "x" * SHORT})
    body = form % f"{job},{job},{last}"
    path = "/jobs" if form[0] == "[" else "/job-batches"
    ask = {"content": body, "headers": {"Content-Type": "application/json"}}
    member.post(f"{API}{path}", **ask)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        answer = member.post(f"{API}{path}", **ask)
        gc.collect()
        kept = [one.f_locals for one in gc.garbage if isinstance(one, FrameType)]
        large = [name for names in kept for name, one in names.items() if len(str(one)) > SHORT]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert answer.status_code in (400, 404, 422)
    assert large == []
