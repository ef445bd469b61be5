"""Python snippets: each a program of its own, though it starts in a warm interpreter."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from tests.support.launching import Bench
from tests.support.processes import are_gone


@pytest.fixture
def bench(shared_bench: Bench) -> Bench:
    return shared_bench


class TestItIsAProgramOfItsOwn:
    def test_it_runs_as_main(self, bench: Bench) -> None:
        code = "print(__name__, sys.argv)"
        ran = bench.snippet(f"import sys; {code}; import __main__; print(__main__.sys is sys)")

        assert ran.out == b"__main__ ['<snippet>']\nTrue\n"

    def test_its_output_is_its_own(self, bench: Bench) -> None:
        code = "import sys; print('out'); print('err', file=sys.stderr)"
        ran = bench.snippet(f"{code}; import os; os.system('echo child')")

        assert sorted(ran.out.split()) == [b"child", b"out"]
        assert ran.err == b"err\n"

    def test_the_output_of_twenty_at_once_is_not_mixed(self, bench: Bench) -> None:
        code = "for i in range(300): print({0}, 'x' * 200, flush=True)"
        keys = [bench.start(code.format(n), kind="python") for n in range(20)]

        for n, key in enumerate(keys):
            assert bench.ran(key).out == f"{n} {'x' * 200}\n".encode() * 300

    def test_it_leads_its_own_session(self, bench: Bench) -> None:
        assert bench.snippet("import os; print(os.getsid(0) == os.getpid())").out == b"True\n"

    def test_it_finds_its_directory_and_environment(self, bench: Bench) -> None:
        (bench.root / "here").mkdir()
        (bench.root / "here" / "neighbour.py").write_text("word = 'found'")
        code = "import os, neighbour; print(neighbour.word, os.environ['A'], os.getcwd())"

        ran = bench.snippet(code, env={"A": "b"}, cwd=str(bench.root / "here"))

        assert ran.out.decode() == f"found b {bench.root / 'here'}\n"

    def test_its_environment_reaches_what_it_starts(self, bench: Bench) -> None:
        code = "import subprocess; subprocess.run(['sh', '-c', 'echo $A $RUNYARD_ATTEMPT'])"
        key = bench.start(code, kind="python", env={"A": "b"})

        assert bench.ran(key).out.decode() == f"b {key}\n"

    def test_standard_input_is_empty(self, bench: Bench) -> None:
        ran = bench.snippet("try: input()\nexcept EOFError: print('end')")

        assert ran.out == b"end\n"

    def test_it_has_no_descriptor_of_the_launcher(self, bench: Bench) -> None:
        others = [bench.start("sleep 600") for _ in range(3)]
        ran = bench.snippet("import os; print(os.listdir('/proc/self/fd'))")

        assert ran.out == b"['0', '1', '2', '3']\n"  # the last one is the listing's own
        bench.launcher.kill(others, "cancelled")

    def test_a_descriptor_it_opens_stays_open(self, bench: Bench) -> None:
        """Garbage of the launcher's must not close it."""
        code = (
            "import gc, os, tempfile\n"
            "files = [tempfile.TemporaryFile() for _ in range(40)]\n"
            "gc.collect()\n"
            "print([os.fstat(f.fileno()).st_size for f in files] == [0] * 40)"
        )

        assert bench.snippet(code).out == b"True\n"

    def test_it_inherits_no_compiler_flags(self, bench: Bench) -> None:
        ran = bench.snippet("def f(x: int): ...\nprint(f.__annotations__)")

        assert ran.out == b"{'x': <class 'int'>}\n"

    def test_its_builtins_are_a_module_as_in_any_main(self, bench: Bench) -> None:
        assert bench.snippet("print(__builtins__.len('four'))").out == b"4\n"

    def test_random_numbers_differ(self, bench: Bench) -> None:
        code = "import random, uuid; print(random.random(), uuid.uuid4())"

        assert bench.snippet(code).out != bench.snippet(code).out

    def test_what_it_changes_is_not_seen_by_the_next(self, bench: Bench) -> None:
        bench.snippet("import builtins, os, sys; builtins.leak = sys.leak = os.environ['L'] = 'x'")
        code = "import builtins, os, sys; print(*[hasattr(builtins, 'leak'), hasattr(sys, 'leak')])"

        assert bench.snippet(f"{code}; print('L' in os.environ)").out == b"False False\nFalse\n"


class TestFailing:
    def test_the_traceback_of_an_exception_quotes_the_lines_of_the_snippet(
        self, bench: Bench
    ) -> None:
        ran = bench.snippet("def broken():\n    raise KeyError('key')  # here\n\nbroken()\n")

        assert ran.end.exit_code == 1
        lines = ran.err.decode().splitlines()
        assert [line for line in lines if set(line) - set(" ^~")] == [
            "Traceback (most recent call last):",
            '  File "<snippet>", line 4, in <module>',
            "    broken()",
            '  File "<snippet>", line 2, in broken',
            "    raise KeyError('key')  # here",
            "KeyError: 'key'",
        ]

    def test_so_does_that_of_a_syntax_error(self, bench: Bench) -> None:
        ran = bench.snippet("fine = 1\nnot fine = 2")

        assert ran.end.exit_code == 1
        first, quoted, *_ = ran.err.decode().splitlines()
        assert (first, quoted) == ('  File "<snippet>", line 2', "    not fine = 2")

    def test_lines_are_counted_as_python_counts_them(self, bench: Bench) -> None:
        ran = bench.snippet("a = '\x0c\x1c\u2028'\r\nb = 2\r\nraise ValueError(b)  # quoted")

        assert "line 3, in <module>\n    raise ValueError(b)  # quoted\n" in ran.err.decode()

    def test_causes_are_shown(self, bench: Bench) -> None:
        code = "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise OSError('top') from e"
        error = bench.snippet(code).err.decode()

        assert "ZeroDivisionError" in error
        assert "direct cause" in error
        assert "runyard" not in error

    def test_its_own_hook_is_asked(self, bench: Bench) -> None:
        code = "import sys; sys.excepthook = lambda *e: print('mine', e[1]); raise OSError('x')"
        ran = bench.snippet(code)

        assert (ran.out, ran.err, ran.end.exit_code) == (b"mine x\n", b"", 1)


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("import sys; sys.exit()", 0, b""),
        ("import sys; sys.exit(None)", 0, b""),
        ("import sys; sys.exit(0)", 0, b""),
        ("import sys; sys.exit(True)", 1, b""),
        ("import sys; sys.exit(77)", 77, b""),
        ("import sys; sys.exit(-1)", 255, b""),
        ("import sys; sys.exit('why')", 1, b"why\n"),
        ("raise SystemExit(5)", 5, b""),
        ("import os; os._exit(9)", 9, b""),
        ("exit(6)", 6, b""),
    ],
)
def test_it_ends_with_the_code_it_says(bench: Bench, code: str, status: int, error: bytes) -> None:
    ran = bench.snippet(code)

    assert (ran.end.exit_code, ran.err) == (status, error)


class TestEnding:
    def test_what_was_printed_is_there(self, bench: Bench) -> None:
        assert bench.snippet("print('x' * 100_000, end='')").out == b"x" * 100_000

    def test_so_is_what_a_c_library_printed(self, bench: Bench) -> None:
        code = "import ctypes; ctypes.CDLL(None).printf(b'%d', 42)"

        assert bench.snippet(code).out == b"42"

    def test_a_file_that_was_not_closed_is_written(self, bench: Bench) -> None:
        code = (
            "import sys\n"
            "kept = open('kept', 'w'); kept.write('é')\n"
            "def f(): f.file = open('inside', 'wb'); f.file.write(b'x')\n"
            "f(); f.itself = f\n"
            "sys.hidden = open('hidden', 'w'); sys.hidden.write('y')\n"
        )
        bench.snippet(code)

        files = [(bench.root / name).read_text() for name in ("kept", "inside", "hidden")]
        assert files == ["é", "x", "y"]

    def test_one_is_also_written_when_a_daemon_thread_holds_it(self, bench: Bench) -> None:
        code = (
            "import threading, time\n"
            "file = open('held', 'w'); file.write('x')\n"
            "def hold():\n    while file: time.sleep(0.001)\n"
            "threading.Thread(target=hold, daemon=True).start(); time.sleep(0.05)\n"
        )
        ran = bench.snippet(code)

        assert (bench.root / "held").read_text() == "x"
        assert ran.err == b""

    def test_objects_are_told(self, bench: Bench) -> None:
        code = (
            "class Told:\n    def __del__(self): print('told', flush=True)\n"
            "a = Told(); ring = [Told()]; ring.append(ring); del a, ring; last = Told()"
        )
        assert bench.snippet(code).out == b"told\n" * 3

    def test_exit_functions_run_last_first_and_after_threads(self, bench: Bench) -> None:
        code = (
            "import atexit, threading, time\n"
            "atexit.register(print, 'first'); atexit.register(print, 'second')\n"
            "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\n"
            "print('end')"
        )
        assert bench.snippet(code).out.split() == [b"end", b"thread", b"second", b"first"]

    def test_temporary_directories_are_removed(self, bench: Bench) -> None:
        ran = bench.snippet("import tempfile; d = tempfile.TemporaryDirectory(); print(d.name)")

        assert not os.path.exists(ran.out.decode().strip())

    def test_output_that_cannot_be_written_fails_it_as_it_would_python(self, bench: Bench) -> None:
        code = "import os; print('lost'); os.dup2(os.open('/dev/full', os.O_WRONLY), 1)"

        assert bench.snippet(code).end.exit_code == 120

    @pytest.mark.parametrize("stream", ["None", "open('other', 'w')", "object()"])
    def test_its_streams_may_be_replaced(self, bench: Bench, stream: str) -> None:
        code = f"import sys; print('first', flush=True); sys.stdout = {stream}"
        ran = bench.snippet(code)

        assert (ran.out, ran.err) == (b"first\n", b"")

    def test_a_child_it_forks_ends_like_itself(self, bench: Bench) -> None:
        code = (
            "import atexit, os\natexit.register(lambda: print('bye'))\n"
            "pid = os.fork()\nprint('in both', end=' ')\n"
            "if pid: os.waitpid(pid, 0)"
        )
        assert bench.snippet(code).out == b"in both bye\n" * 2


class TestConcurrency:
    def test_an_endless_loop_can_be_ended(self, bench: Bench) -> None:
        ran = bench.snippet("print('on', flush=True)\nwhile True: pass", timeout=0.3)

        assert (ran.end.cause, ran.end.signal) == ("timeout", signal.SIGTERM)
        assert ran.out == b"on\n"

    def test_it_may_handle_a_request_to_end(self, bench: Bench) -> None:
        code = (
            "import signal, sys, time\n"
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))\n"
            "print('on', flush=True); time.sleep(600)"
        )
        key = bench.start(code, kind="python")
        bench.words(key)
        bench.launcher.kill([key], "cancelled")

        assert bench.end_of(key).exit_code == 4

    def test_threads(self, bench: Bench) -> None:
        code = (
            "from concurrent.futures import ThreadPoolExecutor\n"
            "with ThreadPoolExecutor(8) as pool: print(sum(pool.map(int, '12345678')))"
        )
        assert bench.snippet(code).out == b"36\n"

    @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
    def test_other_processes(self, bench: Bench, method: str) -> None:
        code = (
            "import multiprocessing, operator\n"
            f"with multiprocessing.get_context('{method}').Pool(2) as pool:\n"
            "    print(pool.starmap(operator.mul, [(6, 7), (2, 3)]))"
        )
        ran = bench.snippet(code)
        assert (ran.out, ran.err, ran.end.exit_code) == (b"[42, 6]\n", b"", 0)

    def test_a_class_it_defines_is_sent_to_its_processes(self, bench: Bench) -> None:
        code = (
            "import multiprocessing, pickle\n"
            "class Point:\n    def __init__(self, x): self.x = x\n"
            "def double(point): return Point(point.x * 2)\n"
            "print(pickle.loads(pickle.dumps(Point(3))).x)\n"
            "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
            "    print([p.x for p in pool.map(double, [Point(1), Point(2)])])"
        )
        assert bench.snippet(code).out == b"3\n[2, 4]\n"

    def test_processes_it_forgot_are_ended_with_it(self, bench: Bench) -> None:
        code = (
            "import os, subprocess\n"
            "print(subprocess.Popen(['sleep', '600']).pid)\n"
            "print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)"
        )
        pids = bench.snippet(code).out.split()

        assert len(pids) == 2
        assert are_gone(*map(int, pids))

    def test_asyncio(self, bench: Bench) -> None:
        code = "import asyncio\nasync def main(): print(await asyncio.sleep(0, 'slept'))\n"

        assert bench.snippet(code + "asyncio.run(main())").out == b"slept\n"


def test_a_used_up_launcher_file_table_is_not_theirs_to_fix(bench: Bench) -> None:
    """A snippet that opens many files leaves the launcher as it was."""
    code = "import os; fds = [os.dup(1) for _ in range(500)]; print(len(fds))"

    assert bench.snippet(code).out == b"500\n"
    assert bench.snippet(code).out == b"500\n"


def test_two_hundred_snippets_are_quicker_than_two_hundred_interpreters(bench: Bench) -> None:
    """Usually about four times as quick; the bound leaves room for a busy machine."""

    def seconds(count: int, command: str | list[str], **fields: str) -> float:
        begun = time.monotonic()
        keys = [bench.start(command, **fields) for _ in range(count)]
        assert all(bench.end_of(key).exit_code == 0 for key in keys)
        return (time.monotonic() - begun) / count

    fresh = seconds(40, [sys.executable, "-c", "print(6 * 7)"])
    warm = seconds(200, "print(6 * 7)", kind="python")

    assert warm < fresh
