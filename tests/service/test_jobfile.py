"""What a job file may say, and the one sentence for everything it may not."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runyard.domain.job import JobSpec, Kind
from runyard.errors import InvalidGraph, InvalidJobFile
from runyard.service import jobfile
from runyard.service.documents import Document
from runyard.service.jobfile import Directories, JobFile
from tests.service.job_files import load, one, refusal, tasks

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The plain form


def test_the_plain_form() -> None:
    found = load(
        {
            "tasks": [
                {"name": "line", "type": "exec", "arguments": "echo $HOME"},
                {"name": "argv", "type": "exec", "arguments": ["echo", "$HOME"]},
                {
                    "name": "code",
                    "type": "eval",
                    "arguments": "print(1)",
                    "dependencies": ["line", "argv"],
                },
            ]
        }
    )
    assert [(s.name, s.kind, s.command, s.depends_on) for s in found.specs] == [
        ("line", Kind.SHELL, "echo $HOME", []),
        ("argv", Kind.COMMAND, ["echo", "$HOME"], []),
        ("code", Kind.PYTHON, "print(1)", ["line", "argv"]),
    ]


def test_no_tasks_are_fine() -> None:
    assert load({"tasks": []}).specs == []


@pytest.mark.parametrize("name", ["build.json", "failing.yaml", "matrix.yaml", "tasks.toml"])
def test_the_examples_are_fine(name: str) -> None:
    assert jobfile.load(str(EXAMPLES / name)).specs


def test_the_example_schema_accepts_the_plain_form_and_not_the_full_one() -> None:
    schema = str(EXAMPLES / "schema.json")
    assert len(jobfile.load(str(EXAMPLES / "build.json"), schema).specs) == 12
    with pytest.raises(InvalidJobFile, match="Additional properties"):
        jobfile.load(str(EXAMPLES / "failing.yaml"), schema)


# The full form


def test_a_task_takes_the_fields_of_a_spec() -> None:
    fields = {
        "command": ["make"],
        "kind": "command",
        "env": {"A": "1"},
        "org_id": "o",
        "app_version_id": "v",
        "target": "device",
        "priority": "high",
        "timeout": 5,
        "silent_timeout": 0.5,
        "max_attempts": 3,
        "retry_on": [1, 2],
        "retry_delay": 0,
        "run_after": "2030-01-01T00:00:00Z",
        "limit_key": "db",
        "limit": 2,
        "labels": {"a": ""},
        "payload": {"x": [1, None, True]},
        "depends_on": [],
    }
    wanted = JobSpec(name="t0", cwd=str(Path.cwd()), **fields)
    assert one(**fields) == wanted
    assert fields.keys() | {"name", "cwd"} == jobfile.FIELDS


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "exec", "command": ["make"]},
        {"kind": "command", "arguments": ["make"], "command": ...},
        {"arguments": ["make"], "command": ..., "depends_on": []},
        {"command": ["make"], "dependencies": []},
    ],
)
def test_both_spellings_may_be_mixed(fields: dict[str, Any]) -> None:
    assert (one(**fields).command, one(**fields).kind) == (["make"], Kind.COMMAND)


def test_fields_have_other_names_too() -> None:
    assert one(working_dir="/x", queue="device") == one(cwd="/x", target="device")
    assert "'working_dir' and 'cwd' mean the same" in refusal(tasks({"cwd": "", "working_dir": ""}))


def test_a_matrix_makes_many_tasks_of_one() -> None:
    found = load(
        {
            "matrix": {"browser": ["chromium", "firefox"], "os": ["linux", "mac"]},
            "exclude": [{"browser": "firefox", "os": "mac"}],
            "tasks": [
                {"name": "prepare", "command": "make", "matrix": {}},
                {
                    "name": "build",
                    "arguments": ["make", "{os}"],
                    "matrix": {"os": ["linux", "mac"]},
                    "dependencies": ["prepare"],
                },
                {
                    "name": "test",
                    "type": "exec",
                    "arguments": "npx test {browser}",
                    "env": {"OS": "{os}"},
                    "dependencies": ["build"],
                },
                {"name": "report", "command": "x", "matrix": None, "depends_on": ["test"]},
            ],
        }
    )
    assert {spec.name: spec.depends_on for spec in found.specs} == {
        "prepare": [],
        "build linux": ["prepare"],
        "build mac": ["prepare"],
        "test chromium linux": ["build linux"],
        "test chromium mac": ["build mac"],
        "test firefox linux": ["build linux"],
        "report": ["test chromium linux", "test chromium mac", "test firefox linux"],
    }
    test = found.specs[4]
    assert (test.command, test.env) == ("npx test chromium", {"OS": "mac"})
    assert test.labels == {"browser": "chromium", "os": "mac"}


def test_texts_that_are_no_text_in_the_end() -> None:
    task = {"matrix": {"n": [1, 20]}, "timeout": "{n}", "priority": "{n}"}
    assert "tasks[0].priority" in refusal(tasks(task))
    (spec,) = load(tasks({**task, "matrix": {"n": [7]}})).specs
    assert (spec.timeout, spec.priority) == (7.0, 7)


def test_tasks_may_be_called_jobs() -> None:
    assert load({"jobs": [{"name": "a", "command": "x"}]}).specs[0].name == "a"


def test_defaults_apply_to_each_task_and_tables_are_merged() -> None:
    defaults = {"timeout": 9, "env": {"A": "0", "B": "0"}, "labels": {"x": "0"}, "priority": "low"}
    own = {"timeout": 5, "env": {"A": "1"}, "labels": {"y": "1"}}
    first, second = load(tasks(own, {}, defaults=defaults)).specs
    assert (first.timeout, second.timeout) == (5, 9)
    assert (first.env, second.env) == ({"A": "1", "B": "0"}, {"A": "0", "B": "0"})
    assert first.labels == {"x": "0", "y": "1"}
    assert first.priority == second.priority == 2


def test_null_takes_a_default_back() -> None:
    assert load(tasks({"timeout": None}, defaults={"timeout": 9})).specs[0].timeout is None


def test_a_task_overrides_the_default_type() -> None:
    first, second = load(tasks({}, {"kind": "shell"}, defaults={"type": "eval"})).specs
    assert (first.kind, second.kind) == (Kind.PYTHON, Kind.SHELL)


def test_a_relative_directory_starts_from_the_file_and_none_is_the_current_one(here: Path) -> None:
    (here / "sub").mkdir()
    content = tasks({"cwd": "../data"}, {"cwd": "/abs"}, {})
    directories = [spec.cwd for spec in load(content, "sub/f.json").specs]
    assert directories == [str(here / "data"), "/abs", str(here)]


def test_a_file_names_its_batch_or_gives_it_its_own_name() -> None:
    assert load(tasks(name="nightly")).name == "nightly"
    assert load(tasks(), "build.v2.json").name == "build.v2"
    assert jobfile.named(load(tasks(name="nightly")), "other").name == "other"
    with pytest.raises(InvalidJobFile, match="--name: must be at most 300"):
        jobfile.named(load(tasks()), "x" * 301)


def test_keys_with_x_hold_what_anchors_name() -> None:
    text = """
    x-slow: &slow {timeout: 100, env: {A: "1"}}
    tasks:
      - {<<: *slow, name: a, command: x}
      - {<<: *slow, name: b, command: x, timeout: 1}
    """
    assert [spec.timeout for spec in load(text, "f.yaml").specs] == [100, 1]


# Faults of content


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], 'the top level must be an object with "tasks", not a list'),
        ("1", 'the top level must be an object with "tasks", not a number'),
        ({}, 'there is no "tasks"'),
        ({"task": []}, "there is no \"tasks\" (but 'task')"),
        ({"tasks": {}}, "tasks: must be a list, not an object"),
        ({"jobs": "x"}, "jobs: must be a list, not text"),
        ({"tasks": [], "jobs": []}, '"tasks" and "jobs" mean the same: give one of them'),
        (tasks(default={}), "the top level: unknown field 'default': did you mean 'defaults'?"),
        (tasks(defaults=[]), "defaults: must be an object, not a list"),
        (tasks(defaults={"name": "x"}), "defaults.name: each task has its own"),
        (tasks(defaults={"arguments": "x"}), "defaults.arguments: each task has its own"),
        (tasks(defaults={"timout": 1}), "defaults: unknown field 'timout': did you mean 'timeout'"),
        (tasks({}, defaults={"timeout": 0}), "defaults.timeout: input should be greater than 0"),
        (tasks(name=3), "name: must be text, not a number: put it into quotes"),
        (tasks(description=[]), "description: must be text, not a list"),
        (tasks(description="x" * 10_001), "description: must be at most 10000 characters"),
        (tasks(name="x" * 301), "name: must be at most 300 characters"),
        ({"tasks": [3]}, "tasks[0]: must be an object, not a number"),
        ({"tasks": [{}]}, "tasks[0]: has no name"),
        (tasks({"name": " "}), "tasks[0]: has no name"),
        (tasks({"name": None}), "tasks[0]: has no name"),
        (tasks({}, {"command": ...}), "tasks[1] ('t1'): has no command"),
        (tasks({"command": ..., "type": "exec"}), "tasks[0] ('t0'): has no arguments"),
        (tasks({"comand": "x"}), "tasks[0] ('t0'): unknown field 'comand': did you mean 'command'"),
        (tasks({"zzz": "x"}), "tasks[0] ('t0'): unknown field 'zzz'"),
        (tasks({"idempotency_key": "x"}), "tasks[0] ('t0'): unknown field 'idempotency_key'"),
        (tasks({"a\x1b\n": "x"}), r"unknown field 'a\x1b\n'"),
        (tasks({"arguments": "x"}), "tasks[0]: 'arguments' and 'command' mean the same: give one"),
        (
            tasks({"dependencies": [], "depends_on": []}),
            "tasks[0]: 'dependencies' and 'depends_on' mean the same: give one",
        ),
        (tasks({"type": "eval", "kind": "python"}), "tasks[0]: 'type' and 'kind' mean the same"),
        (tasks({"type": "shell"}), "tasks[0].type: must be exec or eval, not 'shell'"),
        (tasks({"type": ["exec"]}), "tasks[0].type: must be exec or eval, not a list"),
        (tasks({"kind": "exec"}), "tasks[0].kind: must be command or shell or python or"),
        (tasks({"type": "eval", "command": ["x"]}), "tasks[0]: a job of kind python takes its"),
        (tasks({"kind": "command"}), "tasks[0]: a job of kind command takes its command as a list"),
        (tasks({"name": 3}), "tasks[0].name: must be text, not a number: put it into quotes"),
        (tasks({"name": "x" * 301}), "tasks[0].name: string should have at most 300 characters"),
        (tasks({"name": "a\0"}), "tasks[0].name: string should match pattern"),
        (tasks({"command": ""}), "tasks[0].command: the command is empty"),
        (tasks({"command": ..., "arguments": []}), "tasks[0].arguments: the command is empty"),
        (tasks({"command": 3}), "tasks[0].command: must be text or a list of arguments, not a num"),
        (tasks({"command": ["sleep", 1]}), "tasks[0].command[1]: must be text, not a number: put"),
        (tasks({"command": "a\0"}), "tasks[0].command: the command holds a NUL character"),
        (tasks({"timeout": "soon"}), "tasks[0].timeout: input should be a valid number"),
        (tasks({"timeout": True}), "tasks[0].timeout: must not be a truth value"),
        (tasks({"timeout": []}), "tasks[0].timeout: input should be a valid number"),
        (tasks({"max_attempts": 0}), "tasks[0].max_attempts: input should be greater than or"),
        (tasks({"retry_on": [1, "x"]}), "tasks[0].retry_on[1]: input should be a valid integer"),
        (tasks({"priority": "urgent"}), "tasks[0].priority: priority is a whole number from 0"),
        (tasks({"run_after": "soon"}), "tasks[0].run_after: 'soon' is no instant; one is"),
        (tasks({"cwd": 3}), "tasks[0].cwd: must be text, not a number: put it into quotes"),
        (tasks({"env": []}), "tasks[0].env: must be an object of texts, not a list"),
        (tasks({"env": {"A": 3}}), "tasks[0].env.A: must be text, not a number: put it into quote"),
        (tasks({"env": {"A=": "3"}}), "tasks[0].env['A=']: string should match pattern"),
        (tasks({"labels": {"": ""}}), "tasks[0].labels['']: string should have at least 1 char"),
        (tasks({"dependencies": "t1"}), "tasks[0].dependencies: must be a list of names, not text"),
        (tasks({"dependencies": [1]}), "tasks[0].dependencies[0]: must be text, not a number"),
        (tasks({"depends_on": [""]}), "tasks[0].depends_on[0]: string should have at least 1"),
        (tasks({"matrix": {"a": "x"}}), "tasks[0].matrix.a: must be a list of values"),
        (tasks({"matrix": {"a b": ["x"]}}), "tasks[0].matrix: 'a b' is no name for an axis"),
        (tasks({"exclude": [{"a": "x"}]}), "tasks[0].exclude[0]: the matrix has no axis 'a'"),
        (tasks({}, matrix={"a": [1.5]}), "matrix.a[0]: put the number into quotes"),
        (tasks({}, defaults={"matrix": {}}), "defaults: unknown field 'matrix'"),
    ],
)
def test_what_a_file_cannot_ask_for(content: Any, sentence: str) -> None:
    assert refusal(content).startswith(f"f.json: {sentence}") or sentence in refusal(content)


# Faults of graphs


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (tasks({"name": "a"}, {}, {"name": "a"}), "tasks[0] and tasks[2] are both named 'a'"),
        (tasks({"depends_on": ["t0"]}), "'t0' needs itself"),
        (
            tasks({"name": "compile"}, {"depends_on": ["compil"]}),
            "'t1' needs 'compil', which is no task of this file: did you mean 'compile'?",
        ),
        (tasks({"depends_on": ["zzz"]}), "'t0' needs 'zzz', which is no task of this file"),
        (
            tasks({"name": "a", "depends_on": ["b"]}, {"name": "b", "depends_on": ["a"]}),
            "the dependencies form a cycle: a needs b needs a",
        ),
        (
            tasks(*[{"dependencies": [f"t{(n + 1) % 50}"]} for n in range(50)]),
            "the dependencies form a cycle: t0 needs t1 needs t2 needs t3 needs t4 needs t5 "
            "needs t6 needs t7 needs … needs t0",
        ),
        (
            tasks({"name": "a\n\x1b[31m", "depends_on": ["a\n\x1b[31m"]}),
            r"'a\n\x1b[31m' needs itself",
        ),
    ],
)
def test_what_is_no_graph(content: Any, sentence: str) -> None:
    assert refusal(content) == f"f.json: {sentence}"
    with pytest.raises(InvalidGraph):
        load(content)


def test_what_looks_like_the_id_of_a_job_may_be_one() -> None:
    assert one(depends_on=["0123456789abc"]).depends_on == ["0123456789abc"]
    assert "no task of this file" in refusal(tasks({"depends_on": ["0123456789abi"]}))
    assert "no task of this file" in refusal(tasks({"depends_on": ["0123456789ab"]}))


# Whatever comes

# A busy machine is no fault of ours, and the directory may be shared by all examples.
calmly = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["exec", "eval", "a", "b", "shell", "high"])
)
_words = st.sampled_from(
    [*jobfile.FIELDS, *jobfile.PLAIN, *jobfile.TOP_KEYS, "idempotency_key"]
) | st.text(max_size=3)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words, inner, max_size=5),
    max_leaves=20,
)
_tasks = st.fixed_dictionaries(
    {"name": st.sampled_from("abc"), "command": st.just("x")},
    optional=dict.fromkeys([*(jobfile.FIELDS - {"name", "command"}), "type"], _values),
)
_files = st.builds(lambda found: {"tasks": found}, st.lists(_tasks, max_size=3)) | _values


def survives(load_it: Callable[[], JobFile]) -> None:
    """It can be stored, or is refused in one sentence."""
    sentence = ""
    try:
        for spec in load_it().specs:
            JobSpec.model_validate_json(spec.model_dump_json())
    except (InvalidJobFile, InvalidGraph) as error:
        sentence = str(error)
    assert sentence.isprintable()


@given(_files)
@calmly
def test_any_value_is_a_job_file_or_refused(value: Any) -> None:
    survives(lambda: jobfile.parse(Document("f", value), Directories(Path("/"))))


@given(_files)
@calmly
def test_any_value_written_as_yaml_is_a_job_file_or_refused(value: Any) -> None:
    try:
        text = yaml.safe_dump(value)
    except yaml.YAMLError:
        return
    survives(lambda: jobfile.load("-", stdin=io.BytesIO(text.encode(errors="surrogatepass"))))


@given(st.binary(max_size=60) | st.text("{}[]:,-&*!<>|?'\"#%@` \n\tabtru01.e=", max_size=60))
@calmly
def test_any_text_is_a_job_file_or_refused(text: bytes | str) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    for suffix in (".json", ".yaml", ".toml", ""):
        Path(f"f{suffix}").write_bytes(data)
        survives(lambda suffix=suffix: jobfile.load(f"f{suffix}"))
