"""Trouble is told when it begins and when it is over."""

from __future__ import annotations

import logging

import pytest

from runyard.engine.trouble import Trouble
from runyard.errors import StoreBusy, StoreFull


@pytest.fixture
def trouble(caplog: pytest.LogCaptureFixture) -> Trouble:
    caplog.set_level(logging.WARNING, "runyard")
    return Trouble("it is broken: %s", "it is well again")


def test_it_is_told_once_however_long_it_lasts(
    trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(3):
        trouble.met(StoreBusy(f"refused {n}"))
    trouble.over()
    trouble.over()
    assert caplog.messages == ["it is broken: refused 0", "it is well again"]


def test_the_next_is_told_again(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        trouble.met(StoreBusy("refused"))
        trouble.over()
    assert caplog.messages == ["it is broken: refused", "it is well again"] * 2


def test_one_of_another_kind_is_told(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    trouble.met(StoreBusy("refused"))
    trouble.met(StoreFull("no space left"))
    assert caplog.messages == ["it is broken: refused", "it is broken: no space left"]


def test_nothing_is_told_of_what_works(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    trouble.over()
    assert caplog.messages == []
