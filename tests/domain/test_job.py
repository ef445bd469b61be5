"""What users may ask for, and what they are told when it cannot be right."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runyard.domain.batch import state_of
from runyard.domain.job import PRIORITY_NAMES, Attempt, AttemptState, Job, JobSpec, Kind, State

NUL = "a\0b"


def spec(**fields: Any) -> JobSpec:
    return JobSpec(**({"command": ["true"]} | fields))


def refusal(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        spec(**fields)
    return "; ".join(error["msg"] for error in caught.value.errors())


# Commands


def test_a_list_is_a_command_and_a_string_a_shell_line() -> None:
    assert spec(command=["ls", "-l"]).kind is Kind.COMMAND
    assert spec(command="ls | wc").kind is Kind.SHELL
    assert spec(command="print(1)", kind="python").kind is Kind.PYTHON


@pytest.mark.parametrize(
    ("command", "kind", "wanted"),
    [
        ("ls", "command", "a job of kind command takes its command as a list of arguments"),
        (["ls"], "shell", "a job of kind shell takes its command as one string"),
        (["ls"], "python", "a job of kind python takes its command as one string"),
    ],
)
def test_a_command_has_the_form_its_kind_takes(command: Any, kind: str, wanted: str) -> None:
    assert wanted in refusal(command=command, kind=kind)


def test_an_unknown_kind_is_refused_with_the_kinds_there_are() -> None:
    assert "'command', 'shell', 'python' or 'test'" in refusal(kind="perl")


@pytest.mark.parametrize("command", ["", "  \n", [], [""], [" ", "x"]])
def test_an_empty_command_is_refused(command: Any) -> None:
    assert "the command is empty" in refusal(command=command)


def test_an_empty_argument_is_fine() -> None:
    assert spec(command=["printf", ""]).command == ["printf", ""]


@pytest.mark.parametrize("command", [NUL, ["echo", NUL]])
def test_a_command_cannot_hold_nul(command: Any) -> None:
    assert "NUL" in refusal(command=command)


@pytest.mark.parametrize("command", ["ls \udcff", ["ls", "\udcff"]])
def test_a_command_that_no_file_could_hold_is_refused(command: Any) -> None:
    assert "not valid Unicode" in refusal(command=command)


# Text that reaches the operating system or PostgreSQL, neither of which takes NUL


@pytest.mark.parametrize(
    "field",
    [
        {"name": NUL},
        {"cwd": NUL},
        {"org_id": NUL},
        {"target": NUL},
        {"app_version_id": NUL},
        {"idempotency_key": NUL},
        {"depends_on": [NUL]},
        {"labels": {NUL: "x"}},
        {"labels": {"x": NUL}},
        {"env": {NUL: "x"}},
        {"env": {"x": NUL}},
    ],
    ids="-".join,
)
def test_nul_is_refused_everywhere(field: dict[str, Any]) -> None:
    refusal(**field)


def test_a_limit_that_no_database_holds_is_refused() -> None:
    assert "less than" in refusal(limit_key="licence", limit=2**31)
    assert spec(limit_key="licence", limit=2**31 - 1).limit


def test_text_in_any_language_is_fine() -> None:
    made = spec(name="Prüfung 测试 🚂", labels={"größe": "zwei\nZeilen"}, env={"X": "a=b\n"})
    assert JobSpec.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize("field", ["org_id", "target", "app_version_id", "idempotency_key"])
def test_names_are_neither_empty_nor_endless(field: str) -> None:
    refusal(**{field: ""})
    refusal(**{field: "x" * 301})
    spec(**{field: "x" * 300})


def test_a_variable_cannot_have_an_equals_sign_in_its_name() -> None:
    refusal(env={"A=B": "x"})
    refusal(env={"": "x"})


def test_an_unknown_field_is_refused() -> None:
    assert "not permitted" in refusal(timeuot=5)


# Priorities


@pytest.mark.parametrize(("name", "number"), PRIORITY_NAMES.items())
def test_a_priority_may_be_a_name(name: str, number: int) -> None:
    assert spec(priority=name).priority == number
    assert spec(priority=name.upper()).priority == number


@pytest.mark.parametrize(("given", "number"), [(0, 0), (10, 10), ("7", 7)])
def test_a_priority_may_be_a_number(given: Any, number: int) -> None:
    assert spec(priority=given).priority == number


@pytest.mark.parametrize("given", ["urgent", "", "-1", "5.5"])
def test_an_unknown_priority_is_refused_with_the_names_there_are(given: str) -> None:
    assert (
        "priority is a whole number from 0 to 10 or one of low, normal, high, critical"
        in refusal(priority=given)
    )


@pytest.mark.parametrize("given", [-1, 11, 2.5, None, "11", "²"])
def test_a_priority_outside_the_range_is_refused(given: Any) -> None:
    refusal(priority=given)


# Numbers


@pytest.mark.parametrize("field", ["timeout", "silent_timeout"])
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e12, "soon"])
def test_a_timeout_is_a_sensible_number_of_seconds(field: str, seconds: Any) -> None:
    refusal(**{field: seconds})


def test_a_timeout_may_be_a_fraction_of_a_second_or_absent() -> None:
    assert spec(timeout=0.25).timeout == 0.25
    assert spec().timeout is None


@pytest.mark.parametrize("given", [0, -1, 1001, 1.5, "many"])
def test_the_number_of_attempts_is_sensible(given: Any) -> None:
    refusal(max_attempts=given)


@pytest.mark.parametrize("given", [-1, float("nan"), float("inf"), 86401])
def test_the_retry_delay_is_sensible(given: float) -> None:
    refusal(retry_delay=given)


# Times


@pytest.mark.parametrize(
    ("given", "instant"),
    [
        (1700000000.5, 1700000000.5),
        ("2023-11-14T22:13:20Z", 1700000000),
        ("2023-11-14T22:13:20", 1700000000),
        ("2023-11-15T00:13:20+02:00", 1700000000),
        ("2023-11-14", 1699920000),
        (datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), 1700000000),
        (datetime(2023, 11, 15, 0, 13, 20, tzinfo=timezone(timedelta(hours=2))), 1700000000),
        (datetime(2023, 11, 14, 22, 13, 20), 1700000000),  # noqa: DTZ001 - no zone means UTC
    ],
)
def test_a_time_is_iso_8601_or_posix_seconds_and_utc_without_a_zone(
    given: Any, instant: float
) -> None:
    assert spec(run_after=given).run_after == instant


@pytest.mark.parametrize("given", ["tomorrow", "", "5", -1, float("nan"), "0001-01-01"])
def test_no_other_time_is_taken(given: Any) -> None:
    refusal(run_after=given)


@pytest.mark.parametrize("given", [1e300, "9999-12-31T23:59:59-02:00"])
def test_a_time_that_no_calendar_names_is_refused(given: Any) -> None:
    refusal(run_after=given)


# Payloads


@pytest.mark.parametrize("payload", [0, "", [], {"deep": [{"er": None}]}, "Prüfung 🚂", 10**30])
def test_a_payload_is_any_json(payload: Any) -> None:
    made = spec(payload=payload)
    assert JobSpec.model_validate_json(made.model_dump_json()).payload == payload


def nested(levels: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(levels - 1):
        inner = [inner]
    return inner


@pytest.mark.parametrize("payload", [{1, 2}, object(), float("nan"), float("inf"), b"x", "\udcff"])
def test_what_json_cannot_hold_is_no_payload(payload: Any) -> None:
    assert "not JSON" in refusal(payload=payload)
    assert "not JSON" in refusal(payload={"inside": [payload]})


def test_a_payload_that_could_not_be_read_again_is_refused() -> None:
    spec(payload=nested(100))
    assert "deeper than 100 levels" in refusal(payload=nested(101))
    assert "not JSON" in refusal(payload=nested(100_000))
    spec(payload=["[" * 5000])


# The whole


def test_a_dependency_named_twice_is_one() -> None:
    assert spec(depends_on=["b", "a", "b"]).depends_on == ["b", "a"]


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        spec().name = "other"


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10)
short = text.filter(bool)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {"command": st.lists(short.filter(str.strip), min_size=1, max_size=3)},
        optional={
            "name": text,
            "priority": st.integers(0, 10),
            "timeout": st.floats(0.001, 1e6),
            "max_attempts": st.integers(1, 1000),
            "retry_on": st.none() | st.lists(st.integers(0, 255), max_size=3),
            "run_after": st.none() | st.floats(0, 4e9),
            "labels": st.dictionaries(short, text, max_size=3),
            "env": st.dictionaries(short.filter(lambda name: "=" not in name), text, max_size=3),
            "payload": json_values,
        },
    )
)
def test_a_spec_survives_being_stored(fields: dict[str, Any]) -> None:
    made = spec(**fields)
    assert JobSpec.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"name": "unit tests", "command": "make"}, "unit tests"),
        ({"command": "  make test\nmake lint"}, "make test"),
        ({"command": ["echo", "a b"]}, "echo a b"),
        ({"command": ["x" * 200]}, "x" * 80),
    ],
)
def test_the_title_is_the_name_or_the_beginning_of_the_command(
    fields: dict[str, Any], title: str
) -> None:
    assert spec(**fields).title == title


def job(**fields: Any) -> Job:
    basic = {"id": "1", "name": "n", "kind": "shell", "command": "true", "state": "running"}
    return Job(**basic, org_id="o", target="t", priority=5, **fields)


def test_a_job_shows_its_times_as_iso_8601_in_json_and_as_seconds_in_python() -> None:
    attempt = Attempt(number=1, state=AttemptState.RUNNING, started_at=1700000000)
    shown = job(submitted_at=1700000000.5, attempts=[attempt])
    assert shown.model_dump()["submitted_at"] == 1700000000.5
    in_json = shown.model_dump(mode="json")
    assert in_json["submitted_at"] == "2023-11-14T22:13:20.500Z"
    assert in_json["attempts"][0]["started_at"] == "2023-11-14T22:13:20.000Z"
    assert in_json["finished_at"] is None


def test_a_job_took_the_time_from_its_start_to_its_end() -> None:
    assert job(started_at=10.0, finished_at=12.5).seconds == 2.5
    assert job(started_at=10.0).seconds is None


@pytest.mark.parametrize(
    ("passed", "failed", "cancelled", "running", "waiting", "state"),
    [
        (0, 0, 0, 0, 3, State.QUEUED),
        (0, 0, 0, 1, 2, State.RUNNING),
        (1, 0, 0, 0, 2, State.RUNNING),
        (3, 0, 0, 0, 0, State.PASSED),
        (1, 1, 1, 0, 0, State.FAILED),
        (1, 0, 1, 0, 0, State.CANCELLED),
        (0, 0, 0, 0, 0, State.PASSED),
    ],
)
def test_a_batch_is_running_until_all_is_over_then_the_worst_of_what_happened(
    passed: int, failed: int, cancelled: int, running: int, waiting: int, state: State
) -> None:
    assert state_of(passed, failed, cancelled, running, waiting) is state


class TestOtherNames:
    def test_mean_the_same(self) -> None:
        spec = JobSpec.model_validate({"command": "x", "working_dir": "/a", "queue": "device"})

        assert spec == JobSpec.model_validate({"command": "x", "cwd": "/a", "target": "device"})

    def test_are_not_given_twice(self) -> None:
        with pytest.raises(ValidationError, match="working_dir and cwd mean the same"):
            JobSpec.model_validate({"command": "x", "working_dir": "/a", "cwd": "/a"})
