"""The Python client on the store of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runyard import JobSpec, Runyard
from runyard.domain.event import EventKind
from runyard.domain.job import State
from runyard.errors import (
    Conflict,
    HomeUnusable,
    InvalidGraph,
    InvalidRequest,
    NotFound,
    RunyardError,
    StoreCorrupt,
    WaitTimeout,
)
from tests.support.background import background_workers, stop_background_workers
from tests.support.working import work


@pytest.fixture
def yard(home: Path) -> Iterator[Runyard]:
    with Runyard(background_worker=False) as yard:
        yield yard


class TestHome:
    def test_it_is_the_one_of_the_environment(self, yard: Runyard, home: Path) -> None:
        assert yard.home == home

    def test_another_may_be_named(self, yard: Runyard, tmp_path: Path) -> None:
        job = yard.submit(["true"])
        with Runyard(tmp_path / "other", background_worker=False) as other:
            assert other.home == tmp_path / "other"
            with pytest.raises(NotFound):
                other.get(job.id)

    def test_a_relative_one_stays_where_it_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with Runyard("relative", background_worker=False) as yard:
            monkeypatch.chdir("/")
            yard.submit(["true"])
            assert yard.home == tmp_path / "relative"

    def test_two_clients_see_the_same_jobs(self, yard: Runyard) -> None:
        job = yard.submit(["true"])
        with Runyard(background_worker=False) as other:
            assert other.get(job).id == job.id

    def test_it_may_be_used_again_after_it_was_closed(self, yard: Runyard) -> None:
        job = yard.submit(["true"])
        yard.close()
        yard.close()

        assert yard.get(job).id == job.id

    def test_one_that_cannot_be_used(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(HomeUnusable):
            Runyard(tmp_path / "file")
        (tmp_path / "odd").mkdir()
        (tmp_path / "odd" / "runyard.db").write_bytes(b"not a database" * 1000)
        with pytest.raises(StoreCorrupt):
            Runyard(tmp_path / "odd")


class TestSubmit:
    def test_a_string_is_a_shell_line_and_a_list_a_command(self, yard: Runyard) -> None:
        assert yard.submit("a && b").kind == "shell"
        assert yard.submit(["a", "b"]).kind == "command"
        assert yard.submit("print(1)", kind="python").kind == "python"

    def test_it_returns_the_job_at_once(self, yard: Runyard) -> None:
        job = yard.submit("sleep 600", name="n", labels={"a": "b"}, payload={"x": [1, None]})

        assert (job.state, job.name, job.labels, job.payload) == (
            State.QUEUED,
            "n",
            {"a": "b"},
            {"x": [1, None]},
        )
        assert yard.get(job) == job

    def test_a_time_may_be_given_in_several_ways(self, yard: Runyard) -> None:
        later = datetime.now(UTC) + timedelta(hours=1)
        for when in (later, later.isoformat(), later.timestamp()):
            assert yard.submit(["true"], run_after=when).state is State.DELAYED

    def test_a_directory_may_be_a_path(self, yard: Runyard, home: Path, tmp_path: Path) -> None:
        job = yard.submit(["pwd"], cwd=tmp_path)
        work(home)

        assert yard.logs(job)[0].strip() == str(tmp_path)

    @pytest.mark.parametrize(
        "fields",
        [
            {"command": ""},
            {"command": []},
            {"command": "a\0b"},
            {"command": 7},
            {"command": ["a", 7]},
            {"command": "x", "timeout": -1},
            {"command": "x", "timeout": float("nan")},
            {"command": "x", "nonsense": 1},
            {"command": "x", "kind": "nonsense"},
            {"command": "x", "env": {"A=B": "c"}},
            {"command": "x", "env": {"A": 1}},
            {"command": "x", "cwd": 7},
            {"command": "x", "priority": 11},
            {"command": "x", "run_after": "tomorrow"},
            {"command": "x", "run_after": 1e300},
            {"command": "x", "payload": object()},
            {"command": "x", "payload": {"a": float("inf")}},
            {"command": "x", "payload": "\ud800"},
            {"command": "x", "labels": {"": "x"}},
            {"command": "x", "depends_on": [""]},
            {"command": "x", "idempotency_key": ""},
        ],
    )
    def test_what_cannot_be_right_is_refused_and_not_saved(
        self, yard: Runyard, fields: dict[str, object]
    ) -> None:
        with pytest.raises(InvalidRequest):
            yard.submit(**fields)  # type: ignore[arg-type]

        assert yard.list().jobs == []

    def test_a_payload_that_nests_without_end_is_refused(self, yard: Runyard) -> None:
        """It could be saved, but never be read again, nor any list it is in."""
        deep: list[object] = []
        for _ in range(150):
            deep = [deep]
        circle: list[object] = []
        circle.append(circle)
        for payload in (deep, circle):
            with pytest.raises(InvalidRequest, match="payload"):
                yard.submit("x", payload=payload)
        fine: list[object] = []
        for _ in range(98):
            fine = [fine]
        job = yard.submit("x", payload=fine)

        assert yard.list().jobs[0].payload == job.payload == fine

    def test_brackets_in_text_are_no_nesting(self, yard: Runyard) -> None:
        text = '["' * 300 + "\\"
        assert yard.submit("x", payload={text: text}).payload == {text: text}

    def test_an_unknown_dependency(self, yard: Runyard) -> None:
        with pytest.raises(NotFound):
            yard.submit("x", depends_on=["nope"])

    def test_the_same_key_gives_the_same_job_and_another_job_a_conflict(
        self, yard: Runyard
    ) -> None:
        job = yard.submit("x", idempotency_key="k")

        assert yard.submit("x", idempotency_key="k").id == job.id
        with pytest.raises(Conflict):
            yard.submit("y", idempotency_key="k")


class TestSubmitBatch:
    def test_specs_and_dictionaries_may_be_mixed_and_generated(
        self, yard: Runyard, home: Path
    ) -> None:
        def jobs() -> Iterator[JobSpec | dict[str, object]]:
            yield JobSpec(command=["true"], name="spec")
            yield {"command": "true", "name": "fields", "depends_on": ["spec"]}
            yield JobSpec(command=["pwd"], cwd="/", name="here")

        batch = yard.submit_batch(jobs(), name="mixed")
        assert (batch.name, batch.total, batch.state) == ("mixed", 3, "queued")
        work(home)

        members = yard.list(batch=batch).jobs
        assert {job.name: job.state for job in members} == {
            "spec": "passed",
            "fields": "passed",
            "here": "passed",
        }
        here = next(job for job in members if job.name == "here")
        assert yard.logs(here)[0] == "/\n"

    def test_all_are_saved_or_none(self, yard: Runyard) -> None:
        with pytest.raises(InvalidRequest):
            yard.submit_batch([{"command": ["true"]}, {"command": ""}])
        with pytest.raises(InvalidGraph):
            yard.submit_batch(
                [
                    {"command": "x", "name": "a", "depends_on": ["b"]},
                    {"command": "x", "name": "b", "depends_on": ["a"]},
                ]
            )
        with pytest.raises(NotFound):
            yard.submit_batch([{"command": "x"}, {"command": "x", "depends_on": ["nope"]}])

        assert yard.list().jobs == []

    def test_an_error_of_the_generator_s_own_comes_through(self, yard: Runyard) -> None:
        def jobs() -> Iterator[dict[str, object]]:
            yield {"command": "x"}
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            yard.submit_batch(jobs())
        assert yard.list().jobs == []

    def test_an_empty_one_is_over(self, yard: Runyard) -> None:
        batch = yard.submit_batch([])

        assert (batch.total, batch.state) == (0, "passed")
        assert yard.wait(batch) == []

    def test_it_may_say_what_it_is(self, yard: Runyard) -> None:
        batch = yard.submit_batch([{"command": "x"}], name="n", description="every night")

        assert yard.get_batch(batch).description == "every night"
        for name, description in (("x" * 301, ""), ("a\0", ""), ("", "x" * 10_001)):
            with pytest.raises(InvalidRequest, match="characters of Unicode without NUL"):
                yard.submit_batch([{"command": "x"}], name=name, description=description)

    @pytest.mark.parametrize("more", [{}, {"depends_on": ["first"]}, {"matrix": {"os": ["a"]}}])
    def test_the_job_with_a_fault_is_named(self, yard: Runyard, more: dict[str, object]) -> None:
        jobs = [{"name": "first", "command": "x"}, {"command": "x", "timeout": -1, **more}]
        with pytest.raises(InvalidRequest, match=r"^jobs\[1\]\.timeout: Input should be greater"):
            yard.submit_batch(jobs)

        jobs[1]["name"] = "second"
        with pytest.raises(InvalidRequest, match=r"^jobs\[1\] \('second.*'\)\.timeout: Input"):
            yard.submit_batch(jobs)

    def test_a_key_of_one_of_its_jobs_is_refused(self, yard: Runyard) -> None:
        """It would not keep the job from being submitted twice."""
        for job in (
            {"command": "x", "idempotency_key": "k"},
            JobSpec(command="x", idempotency_key="k"),
        ):
            with pytest.raises(InvalidRequest, match="key belongs to a submission as a whole"):
                yard.submit_batch([{"command": "x"}, job])


class TestLooking:
    def test_a_job_may_be_named_by_itself_its_id_or_a_prefix(self, yard: Runyard) -> None:
        job = yard.submit("x")

        assert yard.get(job) == yard.get(job.id) == yard.get(job.id[:12]) == job
        for nothing in ("", "nope", job.id + "x"):
            with pytest.raises(NotFound):
                yard.get(nothing)

    def test_a_batch_may_be_named_in_the_same_ways(self, yard: Runyard) -> None:
        batch = yard.submit_batch([{"command": "x"}])

        assert yard.get_batch(batch).id == yard.get_batch(batch.id[:10]).id == batch.id
        with pytest.raises(NotFound):
            yard.get_batch("b-nope")

    def test_a_list_can_be_narrowed_and_paged(self, yard: Runyard, home: Path) -> None:
        yard.submit(["true"], labels={"x": "1"})
        work(home)
        jobs = [yard.submit("x", labels={"x": "2"}, target="t") for _ in range(5)]

        page = yard.list(state="queued", limit=2)
        assert [job.id for job in page.jobs] == [jobs[4].id, jobs[3].id]
        rest = yard.list(state=[State.QUEUED, "running"], cursor=page.next, limit=10)
        assert [job.id for job in rest.jobs] == [jobs[2].id, jobs[1].id, jobs[0].id]
        assert rest.next is None
        assert len(yard.list(labels={"x": None}).jobs) == 6
        assert len(yard.list(labels={"x": "1"}).jobs) == 1
        assert len(yard.list(target="t", org_id="default").jobs) == 5
        assert yard.list(app_version_id="v").jobs == []

    @pytest.mark.parametrize(
        ("wanted", "error"),
        [
            ({"state": "nonsense"}, InvalidRequest),
            ({"state": ["queued", "nonsense"]}, InvalidRequest),
            ({"limit": 0}, InvalidRequest),
            ({"limit": 1001}, InvalidRequest),
            ({"batch": "b-nope"}, NotFound),
            ({"cursor": "nonsense"}, RunyardError),
        ],
    )
    def test_a_list_that_cannot_be(
        self, yard: Runyard, wanted: dict[str, object], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            yard.list(**wanted)  # type: ignore[arg-type]

    def test_what_happened_is_told_in_order(self, yard: Runyard, home: Path) -> None:
        first, second = yard.submit(["true"]), yard.submit(["false"])
        work(home, slots=1)

        kinds = [event.kind for event in yard.events(first)]
        assert kinds == [EventKind.SUBMITTED, EventKind.CLAIMED, EventKind.PASSED]
        both = yard.events([first, second])
        assert [event.seq for event in both] == sorted(event.seq for event in both)
        assert {event.job_id for event in both} == {first.id, second.id}

    def test_output_that_is_no_text_is_made_readable(self, yard: Runyard, home: Path) -> None:
        job = yard.submit(r"printf 'a\377b'; echo err >&2")
        work(home)

        assert yard.logs(job) == ("a\ufffdb", "err\n")
        assert yard.logs(job, attempt=1) == yard.logs(job.id)
        with pytest.raises(NotFound):
            yard.logs(job, attempt=2)


class TestWait:
    def test_one_job_gives_one_job_and_several_give_a_list(self, yard: Runyard, home: Path) -> None:
        jobs = [yard.submit(["true"]) for _ in range(3)]
        batch = yard.submit_batch([{"command": ["false"]}])
        work(home)

        assert yard.wait(jobs[0]).id == yard.wait(jobs[0].id).id == jobs[0].id
        assert [job.id for job in yard.wait(jobs)] == [job.id for job in jobs]
        assert [job.state for job in yard.wait(batch)] == [State.FAILED]
        assert len(yard.wait([*jobs, batch, batch.id])) == 4
        assert yard.wait([]) == []

    def test_the_id_of_a_batch_alone_is_refused_with_advice(self, yard: Runyard) -> None:
        batch = yard.submit_batch([{"command": "x"}])

        with pytest.raises(InvalidRequest, match=r"wait\(\['b-"):
            yard.wait(batch.id)

    def test_it_gives_up_when_its_time_is_over(self, yard: Runyard) -> None:
        job = yard.submit("x")
        begun = time.monotonic()

        with pytest.raises(WaitTimeout, match="1 of 1"):
            yard.wait(job, timeout=0.2)

        assert 0.2 <= time.monotonic() - begun < 5
        assert yard.get(job).state is State.QUEUED

    def test_an_unknown_job_is_not_waited_for(self, yard: Runyard) -> None:
        with pytest.raises(NotFound):
            yard.wait("nope")


class TestChanging:
    def test_cancel(self, yard: Runyard) -> None:
        jobs = [yard.submit("x") for _ in range(2)]
        batch = yard.submit_batch([{"command": "x"}])

        assert [job.state for job in yard.cancel(jobs[0])] == [State.CANCELLED]
        assert [job.state for job in yard.cancel([jobs[1], batch])] == [State.CANCELLED] * 2
        assert [job.state for job in yard.cancel(jobs)] == [State.CANCELLED] * 2
        assert yard.cancel([]) == []
        with pytest.raises(NotFound):
            yard.cancel("nope")

    def test_retry(self, yard: Runyard, home: Path) -> None:
        bad, good = yard.submit(["false"]), yard.submit(["true"])
        work(home)

        assert [job.state for job in yard.retry(bad)] == [State.QUEUED]
        for other in (good, bad):
            with pytest.raises(Conflict):
                yard.retry(other)
        assert yard.retry([]) == []


def test_threads_may_share_one(yard: Runyard, home: Path) -> None:
    errors: list[BaseException] = []
    ids: list[str] = []

    def use(n: int) -> None:
        try:
            for _ in range(10):
                job = yard.submit(["true"], labels={"thread": str(n)})
                ids.append(job.id)
                assert yard.get(job.id).labels == {"thread": str(n)}
                yard.list(labels={"thread": str(n)})
            yard.wait(ids[-1], 60)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    work(home, idle_exit=1.0)
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(set(ids)) == 80
    assert len(yard.list(limit=1000).jobs) == 80


def test_its_worker_comes_by_itself(home: Path) -> None:
    with Runyard() as yard:
        job = yard.submit("echo $((6 * 7))")
        assert yard.wait(job, 60).state is State.PASSED
        assert yard.logs(job)[0] == "42\n"
    assert len(background_workers(home)) == 1


def test_a_retry_brings_one_too(home: Path, tmp_path: Path) -> None:
    with Runyard(background_worker=False) as yard:
        job = yard.submit("[ -e go ]", cwd=str(tmp_path))
    work(home)
    (tmp_path / "go").touch()
    with Runyard() as yard:
        yard.retry(job)
        assert yard.wait(job, 60).state is State.PASSED


def test_it_works_on_postgresql(home: Path, pg_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNYARD_DATABASE_URL", pg_url)
    with Runyard() as yard:
        batch = yard.submit_batch({"command": ["true"]} for _ in range(20))
        assert {job.state for job in yard.wait(batch, 60)} == {State.PASSED}
    assert not (home / "runyard.db").exists()
    stop_background_workers(home)


class TestMatrix:
    def test_one_job_for_each_combination(self, yard: Runyard, home: Path, tmp_path: Path) -> None:
        (tmp_path / "linux").mkdir()
        batch = yard.submit_batch(
            [
                {
                    "name": "where",
                    "command": "pwd",
                    "working_dir": f"{tmp_path}/{{os}}",
                    "matrix": {"os": ["linux", "mac"]},
                },
                {"name": "once", "command": ["true"]},
            ],
            matrix={"n": [1, 2]},
        )
        work(home)

        states = {job.name: job.state for job in yard.list(batch=batch).jobs}
        assert states == {
            "where linux": "passed",
            "where mac": "failed",
            "once 1": "passed",
            "once 2": "passed",
        }

    def test_several_without_a_batch_may_have_one(self, yard: Runyard) -> None:
        jobs = [{"name": "a", "command": "x{n}", "matrix": {"n": [1, 2]}}, {"command": "y"}]
        made = yard.submit_many(jobs, idempotency_key="k")

        assert [job.command for job in made] == ["x1", "x2", "y"]
        assert {job.batch_id for job in made} == {None}
        assert yard.submit_many(jobs, idempotency_key="k") == made
        with pytest.raises(Conflict):
            yard.submit_many([{"command": "z"}], idempotency_key="k")

    def test_a_single_job_has_none(self, yard: Runyard) -> None:
        with pytest.raises(InvalidRequest, match="submit_many and submit_batch take it"):
            yard.submit("true", matrix={"n": [1]})
