"""The Python clients of a server: what they do when it is away, and how they sign in."""

from __future__ import annotations

import asyncio
import http.server
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from runyard import AsyncRunyard, Runyard, config
from runyard.client import asking, credentials, job_asks
from runyard.client.credentials import Credentials, Keyring
from runyard.client.remote import Remote
from runyard.config import Settings
from runyard.domain.job import State
from runyard.domain.user import Role
from runyard.errors import (
    Forbidden,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    RunyardError,
    ServerUnreachable,
    WaitTimeout,
)
from tests.support.processes import eventually
from tests.support.serving import Serving, serving
from tests.support.working import work


@pytest.fixture
def yard(place: Serving) -> Iterator[Runyard]:
    with Runyard(url=place.url, token=place.user("max")) as yard:
        yield yard


class Restartable:
    """A server that goes away and comes back at the same address."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.place = self._stack.enter_context(serving(Settings.load()))
        self.token = self.place.user("max", password=None)
        self.url = self.place.url

    def stop(self) -> None:
        self._stack.close()

    def start(self) -> None:
        self.place = self._stack.enter_context(serving(Settings.load(), self.place.port))


@pytest.fixture
def server(home: Path) -> Iterator[Restartable]:
    server = Restartable()
    yield server
    server.stop()


class TestRestart:
    def test_a_wait_goes_on(self, home: Path, server: Restartable) -> None:
        with Runyard(url=server.url, token=server.token) as yard, ThreadPoolExecutor() as pool:
            job = yard.submit(["true"])
            waiting = pool.submit(yard.wait, job)
            eventually(lambda: server.place.newsroom.is_watched)
            server.stop()
            work(home)
            assert not waiting.done()
            server.start()
            assert waiting.result(60).state is State.PASSED

    def test_a_follow_goes_on_where_it_was(
        self, home: Path, server: Restartable, tmp_path: Path
    ) -> None:
        go = tmp_path / "go"
        with Runyard(url=server.url, token=server.token) as yard:
            job = yard.submit(
                f"echo one; until [ -e {go} ]; do sleep 0.02; done; printf '\\377two'"
            )
            worker = threading.Thread(target=work, args=(home,))
            worker.start()
            pieces = yard.follow(job)
            assert next(pieces) == ("stdout", b"one\n")
            server.stop()
            go.touch()
            worker.join()
            server.start()
            assert list(pieces) == [("stdout", b"\xfftwo")]

    def test_submissions_are_made_once_each(self, server: Restartable) -> None:
        names = [f"job {n}" for n in range(60)]
        is_under_way = threading.Event()

        def submit(yard: Runyard, name: str) -> str:
            if name == names[10]:
                is_under_way.set()
            return yard.submit(["true"], name=name).id

        with Runyard(url=server.url, token=server.token) as yard, ThreadPoolExecutor(6) as pool:
            made = [pool.submit(submit, yard, name) for name in names]
            is_under_way.wait(60)
            server.stop()
            server.start()
            ids = [one.result(60) for one in made]
            found = yard.list(limit=1000).jobs

        assert {job.id: job.name for job in found} == dict(zip(ids, names, strict=True))

    def test_one_that_stays_away_is_named(
        self, server: Restartable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asking, "PATIENCE", 0.3)
        with Runyard(url=server.url, token=server.token) as yard:
            server.stop()
            began = time.monotonic()
            with pytest.raises(ServerUnreachable, match=f"{server.url} does not answer .*does it"):
                yard.get("abc")
            assert time.monotonic() - began > 0.3

    def test_whoever_waits_for_it_is_told_once(
        self,
        server: Restartable,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(asking, "TELL_AFTER", 0.1)
        monkeypatch.setattr(asking, "PATIENCE", 1.0)
        with Runyard(url=server.url, token=server.token) as yard:
            server.stop()
            with pytest.raises(ServerUnreachable):
                yard.get("abc")
        (told,) = [record for record in caplog.records if record.name == asking.__name__]
        assert f"{server.url} does not answer" in told.message
        assert "it is tried again for up to 1 s" in told.message

    def test_what_may_have_been_done_is_not_done_again(
        self, home: Path, server: Restartable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its answer is lost: the server does it, and closes the connection."""
        with Runyard(url=server.url, token=server.token) as yard:
            job = yard.cancel(yard.submit(["true"]))[0]
            lose_answers(server, monkeypatch, times=1)
            with pytest.raises(ServerUnreachable, match="only a look can tell"):
                yard.retry(job)
            assert yard.get(job).state is State.QUEUED
            lose_answers(server, monkeypatch, times=2)
            again = yard.submit(["true"], name="once")
            assert [one.id for one in yard.list().jobs] == [again.id, job.id]


def lose_answers(server: Restartable, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let the server close the connection instead of answering the next POSTs."""
    app = server.place.running.app
    whole = app.middleware_stack
    left = [times]

    async def losing(scope, receive, send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not left[0]:
            await whole(scope, receive, send)
            return
        left[0] -= 1

        async def lost(message) -> None:
            pass

        await whole(scope, receive, lost)
        headers = [(b"content-length", b"100")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionResetError

    monkeypatch.setattr(app, "middleware_stack", losing)


class TestErrors:
    def test_they_are_those_of_this_machine(self, yard: Runyard, place: Serving) -> None:
        with pytest.raises(NotFound, match="there is no job 'nope'"):
            yard.get("nope")
        with pytest.raises(NotFound, match="there is no job 'No such!'"):
            yard.get("No such!")
        with pytest.raises(NotFound, match="there is no batch 'b-nope'"):
            yard.wait(["b-nope"])
        with pytest.raises(InvalidRequest, match="a page has between 1 and 1000 jobs"):
            yard.list(limit=0)
        with pytest.raises(InvalidRequest, match="two jobs are named 'a'"):
            yard.submit_batch([{"name": "a", "command": ["true"]}] * 2)
        with pytest.raises(WaitTimeout, match="1 of 1 jobs are not finished yet"):
            yard.wait(yard.submit(["true"]), timeout=0.2)
        with pytest.raises(InvalidRequest, match="the home is on the server"):
            _ = yard.home

    def test_whoever_may_not_is_told(self, place: Serving) -> None:
        with (
            Runyard(url=place.url, token=place.user("vic", Role.VIEWER)) as yard,
            pytest.raises(Forbidden, match="a viewer may only look"),
        ):
            yard.submit(["true"])

    @pytest.mark.parametrize("token", [None, "ryt_x_y", "nonsense"])
    def test_whoever_is_nobody_is_told_how_to_sign_in(
        self, place: Serving, token: str | None
    ) -> None:
        with (
            Runyard(url=place.url + "/", token=token) as yard,
            pytest.raises(NotAuthenticated, match=f"runyard login {place.url}, or set RUNYARD_"),
        ):
            yard.list()

    @pytest.mark.parametrize("token", ["ryt_secret\nx", "ryt_secret x", "ryt_secret\xfc"])
    def test_what_can_be_no_token_is_not_repeated(self, token: str) -> None:
        with pytest.raises(InvalidRequest, match="characters that no token has") as caught:
            Runyard(url="http://127.0.0.1:1", token=token)
        assert "secret" not in str(caught.value)

    def test_an_address_that_is_none(self) -> None:
        with pytest.raises(InvalidRequest, match="it begins with http:// or https://"):
            Runyard(url="yard.example")

    def test_another_kind_of_server(self) -> None:
        other = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        threading.Thread(target=other.serve_forever, daemon=True).start()
        with (
            Runyard(url=f"http://127.0.0.1:{other.server_port}", token="t") as yard,
            pytest.raises(RunyardError, match="and not as Runyard does: is the address right"),
        ):
            yard.get("abc")
        other.shutdown()
        other.server_close()


class TestWhichServer:
    @pytest.fixture(autouse=True)
    def kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        for name in ("RUNYARD_URL", "RUNYARD_TOKEN", "RUNYARD_HOME", "RUNYARD_DATABASE_URL"):
            monkeypatch.delenv(name, raising=False)
        path = config.credentials_path()
        credentials.keep(path, Credentials("http://kept", "token"))
        return path

    def test_the_one_somebody_signed_in_to(self, kept: Path) -> None:
        assert (credentials.find() or Keyring(Credentials(""))).url == "http://kept"
        credentials.forget(kept)
        assert credentials.find() is None

    @pytest.mark.parametrize(
        ("variables", "url", "token"),
        [
            ({"RUNYARD_URL": "http://other/"}, "http://other", None),
            ({"RUNYARD_URL": "http://other", "RUNYARD_TOKEN": "t"}, "http://other", "t"),
            ({"RUNYARD_URL": "http://other", "RUNYARD_TOKEN": "t\r\n"}, "http://other", "t"),
            ({"RUNYARD_URL": "http://kept/api/v1"}, "http://kept", "token"),
            ({"RUNYARD_URL": "http://kept", "RUNYARD_TOKEN": "t"}, "http://kept", "t"),
            ({"RUNYARD_URL": "http://other", "RUNYARD_HOME": "/x"}, "http://other", None),
            ({"RUNYARD_HOME": "/x"}, None, None),
            ({"RUNYARD_DATABASE_URL": "sqlite:///x"}, None, None),
            ({"RUNYARD_URL": ""}, None, None),
        ],
    )
    def test_unless_the_environment_says_another(
        self,
        variables: dict[str, str],
        url: str | None,
        token: str | None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        found = credentials.find()
        assert (found and found.url) == url
        assert (found and found.token) == token

    def test_a_home_or_a_server(self) -> None:
        with pytest.raises(InvalidRequest, match="give one of them"):
            Runyard("/x", url="http://x")


class TestAsync:
    def test_it_does_what_the_other_does(self, home: Path, place: Serving) -> None:
        async def talk() -> None:
            async with AsyncRunyard(url=place.url, token=place.user("max")) as yard:
                jobs = await asyncio.gather(*(yard.submit(f"echo {n}") for n in range(20)))
                two = [{"command": "x{n}", "matrix": {"n": [1, 2]}}]
                many = [await yard.submit_many(two, idempotency_key="k") for _ in range(2)]
                assert [job.command for job in many[0]] == ["x1", "x2"]
                assert many[0] == many[1]
                batch = await yard.submit_batch([{"command": "exit {n}"}], matrix={"n": [1, 2]})
                worker = asyncio.get_running_loop().run_in_executor(None, work, home)
                assert {job.state for job in await yard.wait(jobs)} == {State.PASSED}
                ended = await yard.wait(batch)
                assert [job.exit_code for job in ended] == [1, 2]
                assert (await yard.get_batch(batch)).failed == 2
                assert await yard.logs(jobs[3]) == ("3\n", "")
                assert [piece async for piece in yard.follow(jobs[4])] == [("stdout", b"4\n")]
                assert (await yard.explain(ended[0])).text == "failed: exit code 1"
                assert len((await yard.list(state="passed")).jobs) == 20
                assert (await yard.events(jobs[0]))[0].job_id == jobs[0].id
                await worker
                again = await yard.retry(batch)
                assert {job.state for job in again} == {State.QUEUED}
                assert {job.state for job in await yard.cancel(batch)} == {State.CANCELLED}
                assert (await yard.get(again[0])).state is State.CANCELLED
                with pytest.raises(NotFound):
                    await yard.get("nope")

        asyncio.run(talk())

    def test_it_needs_a_server(self, home: Path) -> None:
        with pytest.raises(InvalidRequest, match="no server is named"):
            AsyncRunyard()


def test_logs_come_as_they_were_written(home: Path, yard: Runyard, place: Serving) -> None:
    jobs = [
        yard.submit("head -c 3000000 /dev/zero | tr '\\0' x"),
        yard.submit("printf '\\377\\0'"),
        yard.submit("printf 'ž\ufffd'; printf é >&2"),
    ]
    work(home)
    remote = Remote(Keyring(Credentials(place.url, place.user("eve"))))

    assert remote.jobs.logs(jobs[0].id) == (b"x" * 3_000_000, b"")
    assert remote.jobs.logs(jobs[1].id) == (b"\xff\0", b"")
    assert remote.jobs.logs(jobs[2].id) == ("ž\ufffd".encode(), "é".encode())
    assert remote.jobs.tail(yard.get(jobs[0]), "stdout", 10) == b"x" * 10
    remote.close()


def test_batches_are_listed(yard: Runyard, place: Serving) -> None:
    first = yard.submit_batch([{"command": "x"}], name="first")
    second = yard.submit_batch([{"command": "x"}], name="second")
    yard.cancel(second)

    page = yard.list_batches(limit=1)
    assert [batch.id for batch in page.batches] == [second.id]
    rest = yard.list_batches(cursor=page.next)
    assert [batch.id for batch in rest.batches] == [first.id]
    assert [one.name for one in yard.list_batches(state="cancelled").batches] == ["second"]
    assert [one.name for one in yard.list_batches(text="FIR").batches] == ["first"]

    async def asked() -> list[str]:
        async with AsyncRunyard(url=place.url, token=place.user("eve")) as other:
            return [one.name for one in (await other.list_batches(state=State.QUEUED)).batches]

    assert asyncio.run(asked()) == ["first"]


def test_jobs_are_listed_by_whose_they_are_and_by_name(yard: Runyard, place: Serving) -> None:
    yard.submit(["true"], name="nightly build")
    yard.submit(["true"], name="other")

    async def asked(**only: str) -> list[str]:
        async with AsyncRunyard(url=place.url, token=place.user(f"eve-{len(only)}")) as other:
            return [job.name for job in (await other.list(**only)).jobs]

    assert [job.name for job in yard.list(text="LY BU").jobs] == ["nightly build"]
    assert len(yard.list(submitted_by="max").jobs) == 2
    assert asyncio.run(asked(submitted_by="max", text="oth")) == ["other"]
    assert asyncio.run(asked(submitted_by="eve")) == []


def test_a_batch_may_have_many_jobs(yard: Runyard) -> None:
    batch = yard.submit_batch({"command": ["true"]} for _ in range(10_001))
    assert batch.total == 10_001


def test_one_with_too_many_is_refused_before_it_is_sent(
    yard: Runyard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is an endless one read to its end."""
    monkeypatch.setattr(job_asks, "MOST_JOBS", 10)
    with pytest.raises(
        InvalidRequest, match="at most 10 jobs in one batch: submit them as several"
    ):
        yard.submit_batch({"command": ["true"]} for _ in itertools.count())
