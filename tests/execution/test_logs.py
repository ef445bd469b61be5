"""Logs: a flood is kept small while it is written, and read without losing what is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard.execution import logs
from runyard.execution.logs import STREAM_LIMIT, Flood, Tail, mark
from tests.support.launching import Bench
from tests.support.processes import eventually

LIMIT = 64 << 10
HALF = LIMIT // 2


def numbered(size: int) -> bytes:
    """Text in which every line says where it stands."""
    return b"".join(b"%015d\n" % n for n in range(0, size, 16))[:size]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stream"


@pytest.fixture
def small(tmp_path: Path):
    """A launcher that keeps little of a stream."""
    with Bench(tmp_path, stream_limit=LIMIT) as bench:
        yield bench


def used(path: Path) -> int:
    return path.stat().st_blocks * 512


class TestFlood:
    def test_a_gigabyte_is_kept_within_the_limit_and_quick(self, bench: Bench) -> None:
        begun = time.monotonic()
        key = bench.start("yes 'a line of some text that goes on and on' | head -c 1G")
        most = 0
        while key not in bench.ends:
            bench.ends.update((end.key, end) for end in bench.launcher.ended())
            most = max(most, used(bench.stdout(key)) if bench.stdout(key).exists() else 0)
            time.sleep(0.02)
        seconds = time.monotonic() - begun

        kept = bench.out(key)
        dropped = (1 << 30) - STREAM_LIMIT
        assert len(kept) == STREAM_LIMIT + len(mark(dropped))
        assert kept[STREAM_LIMIT // 2 :].startswith(mark(dropped))
        assert used(bench.stdout(key)) <= STREAM_LIMIT + (1 << 20)
        assert most < 800 << 20  # the limit, and what was written between two looks
        assert seconds < 30

    def test_the_first_and_the_last_half_are_kept_to_the_byte(self, small: Bench) -> None:
        data = numbered(10 * LIMIT + 12345)
        (small.root / "data").write_bytes(data)

        ran = small.run("cat data; cat data >&2")

        dropped = len(data) - LIMIT
        assert ran.out == ran.err == data[:HALF] + mark(dropped) + data[-HALF:]

    @pytest.mark.parametrize("over", [-1, 0, 1, 30, len(mark(32)), len(mark(32)) + 1, 4096, 4097])
    def test_at_the_edge_no_more_is_dropped_than_the_mark_says(
        self, small: Bench, over: int
    ) -> None:
        data = numbered(LIMIT + over)
        (small.root / "data").write_bytes(data)

        out = small.run("cat data").out

        if over <= len(mark(over)):
            assert out == data  # a mark would be longer than what it stands for
        else:
            assert out == data[:HALF] + mark(over) + data[-HALF:]

    def test_a_slow_flood_is_trimmed_while_it_runs(self, small: Bench) -> None:
        block = numbered(LIMIT * 2)
        (small.root / "data").write_bytes(block)
        key = small.start("for i in 1 2 3 4 5 6 7 8; do cat data; sleep 0.12; done")
        path = small.stdout(key)

        eventually(lambda: path.exists() and path.stat().st_size >= 8 * len(block))
        eventually(lambda: used(path) <= LIMIT + 8192)

        dropped = 8 * len(block) - LIMIT
        assert small.ran(key).out == block[:HALF] + mark(dropped) + block[-HALF:]

    def test_a_stream_whose_file_is_deleted_harms_nobody(self, small: Bench) -> None:
        line = "rm $(readlink /proc/$$/fd/1) $(readlink /proc/$$/fd/2); "
        silent = small.run(line)
        loud = small.start(line + "cat /dev/zero | head -c 1M; sleep 0.3; echo end")

        assert silent.end.exit_code == 0
        assert small.ran(loud) == (small.end_of(loud), b"", b"")
        assert small.run("echo next").out == b"next\n"

    def test_a_stream_that_its_job_begins_anew_is_kept(self, small: Bench) -> None:
        small.run("echo")
        open_files = f"/proc/{small.launcher.pid}/fd"
        before = len(os.listdir(open_files))

        line = "head -c 1M /dev/zero; sleep 0.3; : > $(readlink /proc/$$/fd/1); echo anew"
        assert small.run(line).out == b"anew\n"
        assert len(os.listdir(open_files)) == before


class TestRead:
    def test_a_stream_that_never_was_is_empty(self, path: Path) -> None:
        assert logs.read(path) == b""
        assert Tail(path).read() == b""

    def test_zeros_are_no_hole(self, path: Path) -> None:
        data = b"a" + b"\0" * 100_000 + b"b"
        path.write_bytes(data)

        assert logs.read(path) == data

    def test_a_hole_reads_as_a_mark(self, path: Path) -> None:
        path.write_bytes(numbered(4 * LIMIT))
        flood = Flood(str(path), LIMIT)
        flood.trim(4 * LIMIT)

        kept = numbered(4 * LIMIT)[:HALF] + mark(3 * LIMIT) + numbered(4 * LIMIT)[-HALF:]
        assert logs.read(path) == kept
        flood.close_up(4 * LIMIT)
        assert logs.read(path) == kept


class TestTail:
    def test_it_gives_what_was_added(self, path: Path) -> None:
        tail = Tail(path)
        path.write_bytes(b"one")
        assert tail.read() == b"one"
        assert tail.read() == b""
        with path.open("ab") as file:
            file.write(b"two")
        assert tail.read() == b"two"

    def test_it_begins_again_with_a_file_that_was_begun_again(self, path: Path) -> None:
        tail = Tail(path)
        path.write_bytes(b"a long beginning")
        tail.read()
        path.write_bytes(b"anew")

        assert tail.read() == b"anew"

    def test_a_hole_reads_as_a_mark_and_then_goes_on(self, path: Path) -> None:
        data = numbered(4 * LIMIT)
        path.write_bytes(data)
        flood = Flood(str(path), LIMIT)
        flood.trim(len(data))
        tail = Tail(path, LIMIT)

        assert everything(tail) == data[:HALF] + mark(3 * LIMIT) + data[-HALF:]
        flood.close_up(len(data))
        assert everything(tail) == b""

    @pytest.mark.parametrize(
        "position", [0, 5, HALF - 1, HALF, HALF + 1, LIMIT, 2 * LIMIT, 8 * LIMIT - 4096]
    )
    def test_wherever_it_stands_when_the_stream_is_closed_up_it_misses_nothing_that_is_kept(
        self, path: Path, position: int
    ) -> None:
        data = numbered(8 * LIMIT)
        path.write_bytes(data[:position])
        tail = Tail(path, LIMIT)
        seen = everything(tail)
        path.write_bytes(data)
        dropped = len(data) - LIMIT
        flood = Flood(str(path), LIMIT)
        flood.trim(len(data))
        flood.close_up(len(data))

        rest = everything(tail)

        assert seen == data[:position]
        if position <= HALF:
            assert seen + rest == logs.read(path)
        elif position < len(data) - HALF:
            assert rest == mark(dropped) + data[-HALF:]
        else:
            assert rest == data[position:]

    def test_a_mark_in_the_output_itself_confuses_nobody(self, path: Path) -> None:
        data = mark(1000) + numbered(4 * LIMIT)
        path.write_bytes(data)
        tail = Tail(path, LIMIT)
        for _ in range(2):
            tail.read()
        seen = everything(tail)
        flood = Flood(str(path), LIMIT)
        flood.close_up(len(data))

        assert everything(tail) == b""
        assert seen == b""

    @pytest.mark.parametrize("pause", [0.0, 0.01])
    def test_following_a_flood_ends_with_the_kept_tail(self, small: Bench, pause: float) -> None:
        block = numbered(LIMIT)
        (small.root / "data").write_bytes(block)
        key = small.start("for i in $(seq 40); do cat data; sleep 0.01; done; echo the end")
        tail = Tail(small.stdout(key), LIMIT)
        seen = []
        while key not in small.ends:
            seen.append(tail.read())
            small.ends.update((end.key, end) for end in small.launcher.ended())
            time.sleep(pause)
        seen.append(everything(tail))

        kept = small.out(key)
        assert kept.endswith(b"the end\n")
        assert b"".join(seen).startswith(kept[:HALF])
        assert b"".join(seen).endswith(kept[-HALF:])
        assert b"\0" not in b"".join(seen)


def everything(tail: Tail) -> bytes:
    return b"".join(iter(tail.read, b""))


def test_deleting_the_logs_of_a_job_takes_all_attempts_and_no_other_job(tmp_path: Path) -> None:
    for job, attempt in (("abc", 1), ("abc", 2), ("abcd", 1)):
        paths = logs.paths(tmp_path, job, attempt)
        paths.stdout.parent.mkdir(exist_ok=True)
        paths.stdout.touch()
        paths.stderr.touch()

    logs.delete(tmp_path, "abc")

    left = sorted(path.name for path in tmp_path.rglob("*.*"))
    assert left == ["abcd.1.err", "abcd.1.out"]


class TestSpares:
    """Files that stayed empty get another name and another attempt."""

    @pytest.fixture
    def spares(self) -> Iterator[logs.Spares]:
        spares = logs.Spares()
        yield spares
        spares.clear()

    def kept(self, spares: logs.Spares, path: Path) -> None:
        spares.keep(str(path), os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))

    def test_without_one_there_is_none(self, spares: logs.Spares, tmp_path: Path) -> None:
        assert spares.take(str(tmp_path / "b.out")) is None

    def test_what_is_written_has_the_new_name(self, spares: logs.Spares, tmp_path: Path) -> None:
        self.kept(spares, tmp_path / "a.out")
        fd = spares.take(str(tmp_path / "b.out"))
        assert fd is not None
        os.write(fd, b"b")
        os.close(fd)
        assert logs.read(tmp_path / "a.out") == b""
        assert logs.read(tmp_path / "b.out") == b"b"
        assert os.listdir(tmp_path) == ["b.out"]

    def test_who_opened_the_old_name_before_reads_nothing_of_it(
        self, spares: logs.Spares, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.kept(spares, tmp_path / "a.out")
        opened, real_open = [], os.open

        def open_late(path: Path, flags: int) -> int:
            """The other attempt begins, and writes, just after the old name was opened."""
            fd = real_open(path, flags)
            if not opened:
                opened.append(path)
                os.write(spares.take(str(tmp_path / "b.out")) or -1, b"secret")
            return fd

        monkeypatch.setattr(os, "open", open_late)
        assert logs.read(tmp_path / "a.out") == b""
        assert opened

    def test_one_that_was_deleted_is_given_up(self, spares: logs.Spares, tmp_path: Path) -> None:
        self.kept(spares, tmp_path / "a.out")
        (tmp_path / "a.out").unlink()
        assert spares.take(str(tmp_path / "b.out")) is None
        assert spares.take(str(tmp_path / "b.out")) is None

    def test_one_waits_until_the_directory_is_there(
        self, spares: logs.Spares, tmp_path: Path
    ) -> None:
        self.kept(spares, tmp_path / "a.out")
        assert spares.take(str(tmp_path / "new" / "b.out")) is None
        (tmp_path / "new").mkdir()
        fd = spares.take(str(tmp_path / "new" / "b.out"))
        assert fd is not None
        os.close(fd)

    def test_only_some_are_kept_and_none_is_left_over(
        self, spares: logs.Spares, tmp_path: Path
    ) -> None:
        for n in range(spares.MOST + 5):
            self.kept(spares, tmp_path / f"{n}.out")
        assert len(os.listdir(tmp_path)) == spares.MOST
        spares.clear()
        assert os.listdir(tmp_path) == []


def test_what_may_not_be_deleted_is_told_and_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = logs.paths(tmp_path, "abc", 1)
    files.stdout.mkdir(parents=True)  # a directory is no file to unlink, also not for root
    files.stderr.write_bytes(b"x")
    logs.delete(tmp_path, "abc")
    assert files.stdout.exists()
    assert not files.stderr.exists()
    assert f"{files.stdout} stays" in caplog.text
