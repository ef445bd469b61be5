"""Formats, unreadable files and schemas: what is looked at before a file's meaning."""

import io
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runyard.errors import InvalidJobFile
from runyard.service import documents, jobfile, yaml12
from runyard.service.jobfile import JobFile
from tests.service.job_files import load, refusal, tasks


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Formats


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.json", '{"tasks": [{"name": "a", "command": "x"}]}'),
        ("f.JSON", '\ufeff{"tasks": [{"name": "a", "command": "x"}]}'),
        ("f.toml", '[[tasks]]\nname = "a"\ncommand = "x"\n'),
        ("f.yaml", "tasks:\n- name: a\n  command: x\n"),
        ("f.yml", "tasks: [{name: a, command: x}]"),
        ("f", '{"tasks": [{"name": "a", "command": "x"}]}'),
        ("f", "{tasks: [{name: a, command: x}]}"),
        ("f", "tasks:\n- name: a\n  command: x\n"),
        ("f.conf", '[[tasks]]\nname = "a"\ncommand = "x"\n'),
    ],
)
def test_the_format_follows_from_the_suffix_or_else_from_the_content(name: str, text: str) -> None:
    assert load(text, name).specs[0].name == "a"


@pytest.mark.parametrize("text", ['{"tasks": []}', "tasks: []"])
def test_standard_input(text: str) -> None:
    assert jobfile.load("-", stdin=io.BytesIO(text.encode())) == JobFile("", [])


def test_words_of_yaml_stay_words() -> None:
    text = "tasks: [{name: on, command: yes, env: {NO: off}}, {name: y, command: n}]"
    first, second = load(text, "f.yaml").specs
    assert (first.name, first.command, first.env) == ("on", "yes", {"NO": "off"})
    assert (second.name, second.command) == ("y", "n")


def test_what_has_colons_in_it_is_no_number_in_yaml() -> None:
    long = ":".join(["1"] * 1000)
    text = f"tasks: [{{name: 1:30, command: '1:30:00.5', env: {{A: 12:30, B: {long}.5}}}}]"
    found = load(text, "f.yaml").specs[0]
    assert (found.name, found.env) == ("1:30", {"A": "12:30", "B": f"{long}.5"})


_texts = st.text(st.characters(exclude_categories=["Cs"])) | st.text(
    " \n\t:-#'|yesno1.", max_size=9
)
_documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=9,
)


@given(_documents)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_as_yaml_is_read_as_it_was(value: Any) -> None:
    assert documents.written("f", yaml12.dump(value)).value == value


@pytest.mark.parametrize("text", ["", "a: b", "- a\n- b", '{"a": 1}', "{a: 1}", "[a, 1]"])
def test_what_is_written_into_a_form_is_json_or_yaml(text: str) -> None:
    assert documents.written("f", text).value == yaml12.load(text, 9)


def test_toml_is_not_written_into_forms() -> None:
    began = time.monotonic()
    text = ".".join(["a"] * 100_000) + " = 1"
    assert documents.written("f", text).value == text
    assert time.monotonic() - began < 5


def test_dates_are_text_or_instants() -> None:
    text = "tasks: [{name: a, command: x, env: {D: 2030-01-02}, run_after: 2030-01-02T03:04:05Z}]"
    found = load(text, "f.yaml").specs[0]
    assert found.env == {"D": "2030-01-02"}
    assert found.run_after == 1893553445


# Faults of files


def test_faults_of_files(here: Path) -> None:
    for path, sentence in {
        "missing.json": "missing.json: there is no such file",
        ".": ".: this is a directory, not a file",
        "/proc/self/mem": "/proc/self/mem: cannot be read: ",
        "a\nb": r"a\nb: there is no such file",
    }.items():
        with pytest.raises(InvalidJobFile) as caught:
            jobfile.load(path)
        assert str(caught.value).startswith(sentence)


def test_a_directory_that_is_gone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = here / "f.json"
    path.write_text('{"tasks": [{"name": "a", "command": "x"}]}')
    (here / "sub").mkdir()
    monkeypatch.chdir(here / "sub")
    (here / "sub").rmdir()
    for given_, stdin in (("-", io.BytesIO(b'{"tasks": []}')), (str(path), None)):
        with pytest.raises(InvalidJobFile, match="the current directory is gone"):
            jobfile.load(given_, stdin=stdin)
    monkeypatch.chdir(here)


def test_a_file_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 1 << 20)
    with pytest.raises(InvalidJobFile, match="larger than 1 MiB"):
        jobfile.load("/dev/zero")


def test_not_utf_8() -> None:
    assert refusal(b'{\n"tasks": "\xff"}') == "f.json: not UTF-8 text: byte 0xff in line 2"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("f.json", "", "not valid JSON: line 1, column 1: "),
        ("f.json", '{"tasks": [\n  {"name": }\n]}', "not valid JSON: line 2, column 12: "),
        ("f.json", '{"tasks": []} x', "not valid JSON: line 1, column 15: Extra data"),
        ("f.json", '{"tasks": [NaN]}', "NaN is no JSON number"),
        ("f.json", '{"a": 1e999}', "a: inf is no finite number"),
        ("f.json", "[" + "1" * 5000 + "]", "cannot be read: Exceeds the limit"),
        ("f.json", '{"tasks": [], "tasks": []}', "the key 'tasks' stands twice in one object"),
        (
            "f.json",
            '{"tasks": [{"name": "a", "command": "x", "command": "y"}]}',
            "the key 'command' stands twice in one object (in the object named 'a')",
        ),
        ("f.json", r'{"tasks": ["\ud800"]}', "tasks[0]: half a surrogate pair is no valid Unicode"),
        ("f.toml", "tasks = [\n\n}", "not valid TOML: Invalid value (at line 3, column 1)"),
        ("f.toml", "a = 1\na = 2\n", "not valid TOML: Cannot overwrite a value (at line 2"),
        ("f.toml", "a = nan", "a: nan is no finite number"),
        ("f.toml", "a = 0x" + "f" * 6000, "a: the number has too many digits"),
        ("f.yaml", "tasks: [\n  }", "not valid YAML: line 2, column 3: "),
        ("f.yaml", "a: 1\nb: 1\na: 2", "line 3, column 1: the key 'a' stands twice"),
        ("f.yaml", "a: 2030-13-45", "line 1, column 4: '2030-13-45' is no timestamp"),
        ("f.yaml", f"a: !!float {'1:' * 1000}1.5", "line 1, column 4: '1:1:"),
        ("f.yaml", "a: !!python/object:os.system x", "line 1, column 4: could not determine"),
        ("f.yaml", "a: *b", "line 1, column 4: found undefined alias"),
        ("f.yaml", "--- 1\n--- 2", "line 2, column 1: but found another document"),
        ("f.yaml", "a: \x00", "not valid YAML: unacceptable character"),
        ("f.yaml", "? [a]\n: b", "line 1, column 3: found unhashable key"),
        ("f.yaml", "8080: x", "the top level: the key 8080 must be text: put it into quotes"),
        ("f.yaml", "a: !!set {x}", "a: a value of type set has no place here"),
        ("f.yaml", "", 'the top level must be an object with "tasks", not null'),
        ("f", '{"tasks": [', "not valid JSON: line 1, column 12: "),
        ("f", "tasks: [", "not valid YAML: "),
    ],
)
def test_what_cannot_be_parsed(name: str, text: str, sentence: str) -> None:
    found = refusal(text, name)
    assert found.startswith(f"{name}: ")
    assert sentence in found


@pytest.mark.parametrize(
    ("name", "start", "opening", "middle", "closing"),
    [
        ("f.json", "", "[", "", "]"),
        ("f.json", "", '{"a":', "1", "}"),
        ("f.toml", "a = ", "[", "", "]"),
        ("f.yaml", "", "[", "", "]"),
        ("f.yaml", "", "{a: ", "1", "}"),
        ("f.yaml", "", "- ", "x", ""),
    ],
)
def test_depth_ends_nothing(name: str, start: str, opening: str, middle: str, closing: str) -> None:
    whole = start + opening * 150 + middle + closing * 150
    for text in (whole, start + opening * 200_000):
        assert refusal(text, name) == f"{name}: nested deeper than 100 levels"


def test_aliases_that_grow_are_refused_soon() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    begin = time.monotonic()
    assert "aliases stand for too many values" in refusal("\n".join(lines), "f.yaml")
    merges = ["a0: &a0 {x: 1}"]
    merges += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    assert 'there is no "tasks"' in refusal("\n".join(merges), "f.yaml")
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}"])
def test_aliases_of_themselves_are_refused(text: str) -> None:
    assert "nested deeper" in refusal(text, "f.yaml")


def test_merges_that_override_each_other_are_no_double_keys() -> None:
    text = "x-b: &b {timeout: 1}\nx-m: {d: {y: &m {<<: *b, timeout: 2}}}\n"
    text += "tasks: [{<<: *m, name: a, command: x}]"
    assert load(text, "f.yaml").specs[0].timeout == 2


# Schemas


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"required": ["x"]}, "f.json: $: 'x' is a required property (by the schema s.json)"),
        (
            {"properties": {"tasks": {"items": {"properties": {"name": {"enum": ["a"]}}}}}},
            "f.json: $.tasks[0].name: 't0' is not one of ['a'] (by the schema s.json)",
        ),
        (False, "f.json: $: False schema does not allow"),
        ([], "s.json: not a JSON schema: it must be an object"),
        ({"type": "foo"}, "s.json: not a JSON schema: $.type: 'foo' is not valid under any of"),
        ({"properties": {"tasks": {"pattern": "("}}}, "s.json: not a JSON schema: "),
        ({"$schema": 3}, "s.json: not a JSON schema: "),
        ({"$ref": "#"}, "s.json: its references lead in a circle"),
        ({"$ref": "http://localhost:1/x"}, "s.json: its reference 'http://localhost:1/x' leads no"),
        ('{"type": ', "s.json: not valid JSON: line 1, column 10: "),
    ],
)
def test_a_schema_is_obeyed_or_refused(schema: Any, sentence: str) -> None:
    assert refusal(tasks({}), schema=schema).startswith(sentence)


def test_a_violation_stays_short() -> None:
    assert len(refusal(tasks({"name": "x" * 3000}), schema={"maxProperties": 0})) < 400


def test_a_missing_schema() -> None:
    with pytest.raises(InvalidJobFile, match=r"^nope\.json: there is no such file$"):
        jobfile.load("nope.json", "nope.json")
