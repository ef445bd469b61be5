"""Where a job may begin: missing, forbidden and outside are three different sentences."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runyard.execution.workdirs import NoEntry, Workdirs, enter, is_within
from tests.support.launching import Bench

NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with one below it, beside what a job has no business with."""
    (tmp_path / "root" / "below").mkdir(parents=True)
    (tmp_path / "root-2").mkdir()
    (tmp_path / "secret").mkdir()
    return tmp_path / "root"


@pytest.fixture(autouse=True)
def back_again() -> Iterator[None]:
    before = os.getcwd()
    yield
    os.chdir(before)


def checked(directory: Path | str | None, *allowed: Path | str, **options: bool) -> str:
    """What is wrong with a directory at submission, "" if nothing is."""
    try:
        Workdirs(tuple(map(str, allowed))).check(
            None if directory is None else str(directory), **options
        )
    except NoEntry as error:
        return str(error)
    return ""


def entered(directory: Path | str, *allowed: Path | str) -> str:
    """The same just before a start."""
    try:
        enter(str(directory), tuple(map(str, allowed)))
    except NoEntry as error:
        return str(error)
    return ""


both = pytest.mark.parametrize("tried", [checked, entered])
Tried = Callable[..., str]


@both
class TestInside:
    def test_is_the_root_and_what_is_below(self, tried: Tried, root: Path) -> None:
        for directory in (root, root / "below", f"{root}/", f"{root}//below/../below/."):
            assert tried(directory, root) == ""
            assert tried(directory, "/no/such", root) == ""
            assert tried(directory, f"{root}/") == ""

    def test_is_everything_below_slash(self, tried: Tried, root: Path) -> None:
        assert tried(root, "/") == ""
        assert tried("/", "/") == ""

    def test_is_what_a_link_within_leads_to(self, tried: Tried, root: Path) -> None:
        (root / "link").symlink_to("below")

        assert tried(root / "link", root) == ""

    def test_a_root_may_be_a_link_itself(self, tried: Tried, root: Path, tmp_path: Path) -> None:
        (tmp_path / "alias").symlink_to(root)

        assert tried(tmp_path / "alias" / "below", tmp_path / "alias") == ""
        assert tried(root / "below", tmp_path / "alias") == ""
        assert tried(tmp_path / "alias" / "below", root) == ""


@both
class TestOutside:
    def test_is_what_dots_and_links_lead_to(self, tried: Tried, root: Path, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        (root / "link").symlink_to(secret)
        (root / "up").symlink_to("..")
        (root / "chain").symlink_to("link")
        outside = f"is not inside of {root}, where jobs may run"
        for directory in (
            secret,
            tmp_path,
            "/",
            tmp_path / "root-2",  # begins with the same letters
            f"{root}/../secret",
            root / "link",
            root / "up",
            root / "up" / "secret",
            root / "chain",
            f"{root}/link/../secret",  # the parent of where the link leads
        ):
            assert tried(directory, root) == f"directory {directory} {outside}"

    def test_nobody_learns_what_there_is(self, tried: Tried, root: Path, tmp_path: Path) -> None:
        (tmp_path / "secret" / "file").touch()
        (root / "link").symlink_to(tmp_path / "secret")
        for name in ("no-such", "file", "file/deeper"):
            for directory in (tmp_path / "secret" / name, root / "link" / name):
                assert "is not inside of" in tried(directory, root)

    def test_all_the_roots_are_named(self, tried: Tried, root: Path, tmp_path: Path) -> None:
        said = tried("/", root, tmp_path / "root-2")

        assert said == f"directory / is not inside of {root} or {tmp_path}/root-2, " + (
            "where jobs may run"
        )


@both
class TestNoDirectory:
    def test_missing(self, tried: Tried, root: Path) -> None:
        (root / "file").touch()
        (root / "dangling").symlink_to("nowhere")
        for name in ("no-such", "file", "file/deeper", "dangling"):
            assert tried(root / name, root) == f"no such directory: {root / name}"

    def test_links_in_a_circle(self, tried: Tried, root: Path) -> None:
        (root / "a").symlink_to("b")
        (root / "b").symlink_to("a")

        assert tried(root / "a", root).startswith(f"directory {root}/a cannot be entered: Too many")

    def test_a_name_that_is_too_long(self, tried: Tried, root: Path) -> None:
        assert "cannot be entered: File name too long" in tried(root / ("x" * 300), root)

    def test_forbidden(self, tried: Tried) -> None:
        # Not below pytest's own directory, which nobody else may enter.
        with TemporaryDirectory() as name:
            root = Path(name).resolve()
            root.chmod(0o755)
            (root / "below").mkdir(mode=0)
            for directory in (root / "below", root / "below" / "deeper"):
                expected = f"directory {directory} may not be entered: permission denied"
                assert as_nobody(partial(tried, directory, root)) == expected


def as_nobody(work: Callable[[], str]) -> str:
    """What ``work`` says when a user does it who may not do everything."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = b"it was broken off"
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            said = work().encode()
        finally:
            os.write(writer, said)
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with open(reader, "rb") as pipe:
        return pipe.read().decode()


class TestWithoutRoots:
    def test_anything_may_be_submitted(self, root: Path) -> None:
        """Who submits may see other directories than the workers do."""
        for directory in (root, "/no/such", None, "relative"):
            assert checked(directory) == ""

    def test_a_worker_still_looks(self, root: Path) -> None:
        assert entered(root) == ""
        assert entered("/no/such") == "no such directory: /no/such"


class TestDefault:
    def test_no_directory_means_the_default_one(self, root: Path) -> None:
        assert Workdirs(("/a", "/b"), "/c").of(None) == "/c"
        assert Workdirs((), "/c").of(None) == "/c"
        assert Workdirs().of(None) is None

    def test_which_is_the_first_that_is_allowed(self) -> None:
        assert Workdirs(("/a", "/b")).of(None) == "/a"

    def test_relative_ones_start_from_it(self) -> None:
        assert Workdirs(("/a",), "/a/b").of("c") == "/a/b/c"
        assert Workdirs(("/a",)).of("/c") == "/c"
        assert Workdirs().of("c") == "c"

    def test_they_are_looked_at_as_any_other(self, root: Path, tmp_path: Path) -> None:
        assert checked("below", root) == ""
        assert checked(None, root) == ""
        assert "is not inside of" in checked("../secret", root)
        assert checked(None, tmp_path / "gone") == f"no such directory: {tmp_path}/gone"


def test_what_is_made_later_need_not_be_there_but_inside(root: Path, tmp_path: Path) -> None:
    assert checked(root / "later", root, may_be_missing=True) == ""
    (root / "link").symlink_to(tmp_path / "secret")
    assert "is not inside of" in checked(root / "link" / "later", root, may_be_missing=True)


class TestLauncher:
    def test_what_a_job_asks_for_has_to_be_inside(self, root: Path, tmp_path: Path) -> None:
        with Bench(tmp_path, allowed=[str(root)]) as bench:
            assert bench.run("pwd", cwd=str(root / "below")).out.decode() == f"{root}/below\n"
            end = bench.run("pwd", cwd=f"{root}/../secret").end
            assert (end.cause, end.detail) == (
                "not_started",
                f"directory {root}/../secret is not inside of {root}, where jobs may run",
            )
            # The commands of targets begin where the launcher does.
            assert bench.run("pwd").out.decode() == f"{tmp_path}\n"

    def test_a_link_that_is_changed_meanwhile_leads_nowhere_else(
        self, root: Path, tmp_path: Path
    ) -> None:
        """Each of many jobs begins inside or not at all, wherever the link points to just then."""
        link, spare, over = root / "link", root / "spare", threading.Event()
        link.symlink_to(root / "below")

        def change() -> None:
            while not over.is_set():
                for place in (tmp_path / "secret", root / "below"):
                    spare.symlink_to(place)
                    spare.rename(link)

        changing = threading.Thread(target=change)
        with Bench(tmp_path, allowed=[str(root)]) as bench:
            changing.start()
            try:
                keys = [bench.start(["pwd", "-P"], cwd=str(link)) for _ in range(300)]
                ran = [bench.ran(key) for key in keys]
            finally:
                over.set()
                changing.join()

        assert {out for end, out, _ in ran if end.cause == "exited"} <= {f"{root}/below\n".encode()}
        assert {end.cause for end, _, _ in ran} <= {"exited", "not_started"}


def test_a_root_is_no_beginning_of_a_name(root: Path) -> None:
    assert not is_within(f"{root}-2", [str(root)])
    assert not is_within(str(root.parent), [str(root)])
