"""What ``runyard run`` prints, on a terminal and elsewhere."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import (
    Terminal,
    code,
    nothing_is_open,
    pids,
    plain,
    run,
    run_json,
    sleeper,
    started,
    task,
    write,
)

pytestmark = pytest.mark.usefixtures("here")

REASONS = [
    task("code", "exit 3"),
    task("signal", "kill -9 $$"),
    task("slow", "sleep 60", timeout=0.2),
    task("silent", "sleep 60", silent_timeout=0.3),
    task("absent", ["no-such-program"]),
    task("nowhere", cwd="/no/such/directory"),
    task("child", "true", "code"),
    task("grandchild", "true", "child"),
    task("flaky", 'test "$RUNYARD_ATTEMPT_NUMBER" = 2', max_attempts=2, retry_delay=0),
    task("hopeless", "exit 7", max_attempts=2, retry_delay=0),
    code("raises", "raise SystemExit(4)"),
]


def test_the_table_says_why() -> None:
    done = run(write(REASONS))
    table = done.stdout.split("\n\n")[0].splitlines()
    assert table[0].split() == ["TASK", "STATE", "SECONDS", "REASON"]
    found = {row.split()[0]: re.split(r"  +", row)[-1] for row in table[1:]}
    assert [row.split()[0] for row in table[1:]] == [t["name"] for t in REASONS]
    assert found == {
        "code": "exit code 3",
        "signal": "signal 9 (KILL)",
        "slow": "timeout after 0.2 s",
        "silent": "no output for 0.3 s",
        "absent": "no such command: no-such-program",
        "nowhere": "no such directory: /no/such/directory",
        "child": "needs code, which failed",
        "grandchild": "needs child, which was skipped",
        "flaky": "attempt 2",
        "hopeless": "exit code 7 (attempt 2)",
        "raises": "exit code 4",
    }
    counts, more = done.stdout.splitlines()[-2:]
    assert re.fullmatch(r"1 passed, 8 failed, 2 skipped in \d+\.\d s", counts)
    assert re.fullmatch(r"more: runyard logs [0-9a-z]{13}", more)


def test_lines_tell_how_it_goes_on_where_there_is_no_terminal() -> None:
    done = run(write(REASONS))
    lines = {line.split()[1]: line for line in done.stderr.splitlines() if line[0] != "r"}
    assert lines.keys() == {t["name"] for t in REASONS}
    assert re.fullmatch(r"failed     code        \d\.\d s  exit code 3", lines["code"])
    assert lines["child"] == "skipped    child       needs code, which failed"
    assert re.fullmatch(r"passed     flaky       \d\.\d s", lines["flaky"])
    assert "retried    hopeless    " in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_what_failed_tasks_said_last() -> None:
    tasks = [
        task("both", "seq 1 50; seq 1 12 >&2; exit 1"),
        task(
            "out", r"printf 'a\n\033[31mred\033[0m\n10%%\r20%%\r\n\tend\033]0;title\007\n'; false"
        ),
        task("mute", "exit 1"),
        task("endless", "head -c 200000 /dev/zero | tr '\\0' x; exit 1"),
    ]
    done = run(write(tasks))
    blocks = {b.split()[0]: b.splitlines() for b in done.stdout.split("\n\n")[1:]}
    assert blocks["both"][0].endswith(" failed: exit code 1; its last lines on stderr:")
    assert blocks["both"][1:] == [f"    {n}" for n in range(3, 13)]
    assert blocks["out"][1:] == ["    a", "    red", "    20%", "            end"]
    assert blocks["mute"][0].endswith(" failed: exit code 1; it wrote nothing")
    assert len(blocks["endless"][1]) == 4 + 500 + 1


def test_only_so_much_is_shown_of_many_failures() -> None:
    done = run(write([task(f"t{n}", "exit 1") for n in range(15)]))
    assert done.stdout.count("it wrote nothing") == 10
    assert "… and 5 more failed" in done.stdout


def test_of_many_tasks_those_that_did_not_pass_are_listed() -> None:
    tasks = [task(f"t{n}", ["false" if n in (7, 150) else "true"]) for n in range(220)]
    done = run(write([*tasks, task("last", "true", "t7")]))
    table = done.stdout.split("\n\n")[0].splitlines()[1:]
    assert [row.split()[0] for row in table] == ["t7", "t150", "last"]
    assert "218 passed, 2 failed, 1 skipped in" in done.stdout
    assert "failed     t150" in done.stderr


def test_names_cannot_play_with_the_terminal() -> None:
    done = run(write([task("[red]x[/red]\x1b[31m", "exit 1"), task("a\nb")]))
    assert "\x1b" not in done.stdout + done.stderr
    assert "[red]x[/red]\N{REPLACEMENT CHARACTER}[31m  failed" in done.stdout
    assert "a\N{REPLACEMENT CHARACTER}b" in done.stdout


def test_names_of_any_language_on_any_terminal() -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(write([task("Prüfung")]), env=plain)
    assert done.returncode == 0
    assert "Prüfung  passed" in done.stdout
    assert "passed     Prüfung" in done.stderr
    done = run("f.json", "--json", env=plain)
    assert json.loads(done.stdout)["jobs"][0]["name"] == "Prüfung"


def test_json_is_one_object_and_nothing_else() -> None:
    tasks = [task("a", r"printf 'out\377'; echo err >&2; exit 1"), code("b", "print('é')", "a")]
    found = run_json(tasks)
    assert found["exit_code"] == 1
    assert found["batch"].keys() >= {"id", "state", "seconds", "cancelled"}
    first, second = found["jobs"]
    assert (first["stdout"], first["stderr"]) == ("out\N{REPLACEMENT CHARACTER}", "err\n")
    assert (second["state"], second["stdout"], second["stderr"]) == ("skipped", "", "")
    assert first["batch_id"] == found["batch"]["id"]


def test_a_reader_that_leaves_does_not_change_the_exit_code() -> None:
    file = write([task(f"t{n}", "exit 1") for n in range(30)])
    with started(file, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        process.stderr.close()
        assert process.wait() == 1
    assert nothing_is_open()


def test_closed_streams_change_nothing() -> None:
    command = f"{sys.executable} -m runyard run {write([task('a')])} <&- >&- 2>&-"
    assert subprocess.run(command, shell=True, check=False).returncode == 0


def test_a_full_disk_is_one_sentence() -> None:
    file = write([task("a")])
    with Path("/dev/full").open("w") as full, started(file, stdout=full) as process:
        _, err = process.communicate()
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("runyard: the output cannot be written: No")


# On a terminal


def test_a_terminal_shows_a_bar_what_runs_and_what_failed() -> None:
    wild = sleeper("x") | {"name": "[red]x[/red]\x1b[31m"}
    file = write([wild, task("bad", "echo no >&2; exit 3")])
    with Terminal(file) as terminal:
        terminal.wait_for("1/2")
        terminal.wait_for("running")
        (pid,) = pids(1)
        terminal.wait_for("[red]x[/red]\N{REPLACEMENT CHARACTER}[31m")
        os.killpg(pid, signal.SIGTERM)
        exit_code, screen = terminal.end()
    assert exit_code == 1
    assert re.search(r"failed     bad  \d\.\d s  exit code 3", plain(screen))
    assert "\x1b[?25l" in screen
    assert "\x1b[?25h" in screen, "the cursor is back"
    assert "signal 15 (TERM)" in screen
    assert "[/red]\x1b[31m" not in screen


def test_no_color_means_none() -> None:
    with Terminal(write([task("bad", "exit 3"), task("good")]), NO_COLOR="1") as terminal:
        _, screen = terminal.end()
    assert "exit code 3" in screen
    assert not re.search(r"\x1b\[[0-9;]*m", screen)


def test_a_narrow_terminal() -> None:
    tasks = [task("n" * 200, "sleep 0.5; exit 3"), task("ö" * 100)]
    with Terminal(write(tasks), size=(6, 24)) as terminal:
        exit_code, screen = terminal.end()
    assert exit_code == 1
    report = plain(screen[screen.index("TASK") :])
    assert "1 passed, 1 failed" in report
    assert all(len(line) <= 24 for line in report.split("\n\n")[0].splitlines())


def test_a_dumb_terminal_gets_lines() -> None:
    with Terminal(write([task("a")]), TERM="dumb") as terminal:
        exit_code, screen = terminal.end()
    assert exit_code == 0
    assert re.match(r"passed     a  \d\.\d s\r\n", screen)
    assert "\x1b" not in screen
