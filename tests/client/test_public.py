"""What ``import runyard`` offers is what it says it offers."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import runyard
from runyard import errors


def test_every_public_name_is_there() -> None:
    for name in runyard.__all__:
        assert getattr(runyard, name) is not None
    assert sorted(runyard.__all__) == list(runyard.__all__)


def test_a_star_import_gives_the_public_names() -> None:
    found: dict[str, object] = {}
    exec("from runyard import *", found)

    assert set(runyard.__all__) <= found.keys()


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'runyard' has no attribute 'nonsense'"):
        _ = runyard.nonsense  # type: ignore[attr-defined]


def test_importing_it_costs_next_to_nothing() -> None:
    code = "import sys, runyard; print([m for m in ('sqlalchemy', 'pydantic') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout

    assert out == b"[]\n"


def test_every_method_of_the_client_is_explained() -> None:
    for name, method in inspect.getmembers(runyard.Runyard, inspect.isroutine):
        if not name.startswith("_"):
            assert method.__doc__, name
            assert "return" in inspect.get_annotations(method), name


def test_every_error_is_in_the_tree_that_is_drawn() -> None:
    drawn = errors.__doc__ or ""
    for name, thing in vars(errors).items():
        if inspect.isclass(thing):
            assert issubclass(thing, errors.RunyardError)
            assert name in drawn
            assert thing.__doc__
