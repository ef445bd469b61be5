"""Tables as wide as what they hold."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from runyard.cli.lists import Column, print_list, print_page


class Thing(BaseModel):
    name: str
    size: float | None = None
    count: int = 0


COLUMNS: list[Column[Thing]] = [
    Column("NAME", lambda thing: thing.name),
    Column("SIZE", lambda thing: thing.size),
    Column("COUNT", lambda thing: thing.count),
    Column("AGAIN", lambda thing: thing.name),
]
THINGS = [
    Thing(name="a much longer name than usual", size=1234.56, count=7),
    Thing(name="b", count=12_345),
    Thing(name="c\x1b[31m\n", size=0),
]


def test_columns_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    print_list("things", THINGS, COLUMNS, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "NAME                             SIZE  COUNT  AGAIN",
        "a much longer name than usual  1234.6      7  a much longer name than usual",
        "b                                      12345  b",
        "c\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}                           "
        "0.0      0  c\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}",
    ]


def test_without_any_there_is_a_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_list("things", [], COLUMNS, as_json=False)
    assert capsys.readouterr().out == "NAME  SIZE  COUNT  AGAIN\n"


def test_a_page_leads_on_to_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    print_page("things", THINGS[:1], COLUMNS[:1], as_json=False, following=7, option="--before")
    said = capsys.readouterr()
    assert said.err == "more: the same with --before 7\n"
    print_page("things", THINGS[1:2], COLUMNS[:1], as_json=True, following="x")
    said = capsys.readouterr()
    assert said.out == '{"things": [{"name": "b", "size": null, "count": 12345}], "next": "x"}\n'
    assert said.err == ""
