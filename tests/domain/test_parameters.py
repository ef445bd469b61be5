"""Parameters: which there are, which are required, and what is filled in."""

from __future__ import annotations

import re
from typing import Any

import pytest

from runyard.domain.parameters import Parameter, read, values
from runyard.domain.placeholders import Wrong


def test_a_text_is_the_default_and_null_is_required() -> None:
    given = {"a": "x", "b": None, "c": 3, "d": True, "e": {"default": "y", "description": "what"}}

    assert list(read(given).values()) == [
        Parameter(name="a", default="x"),
        Parameter(name="b"),
        Parameter(name="c", default="3"),
        Parameter(name="d", default="true"),
        Parameter(name="e", default="y", description="what"),
    ]
    assert read(None) == {}


@pytest.mark.parametrize(
    ("given", "place", "text"),
    [
        ([], ("parameters",), "must be an object"),
        ({"a b": "x"}, ("parameters",), "'a b' is no name for a parameter"),
        ({"a": []}, ("parameters", "a"), "must be text"),
        ({"a": 1.5}, ("parameters", "a"), "put the number into quotes"),
        ({"a": {"defualt": 1}}, ("parameters", "a"), "unknown field 'defualt'"),
        ({"a": {"default": []}}, ("parameters", "a", "default"), "must be text"),
        ({"a": {"description": []}}, ("parameters", "a", "description"), "must be text"),
    ],
)
def test_what_declares_none(given: Any, place: tuple[str, ...], text: str) -> None:
    with pytest.raises(Wrong, match=re.escape(text)) as wrong:
        read(given)
    assert wrong.value.place == place


def test_what_is_given_wins_over_the_default() -> None:
    declared = read({"a": "x", "b": None})

    assert values(declared, {"b": ""}) == {"a": "x", "b": ""}
    assert values(declared, {"a": "y", "b": "z"}) == {"a": "y", "b": "z"}


def test_one_that_is_missing_or_not_known() -> None:
    with pytest.raises(Wrong, match="the parameter 'b' needs a value"):
        values(read({"a": "x", "b": None}), {})
    with pytest.raises(Wrong, match="no parameter is called 'c': there are a, b"):
        values(read({"a": "x", "b": None}), {"c": ""})
    with pytest.raises(Wrong, match="no parameter is called 'c': there are none"):
        values({}, {"c": ""})
