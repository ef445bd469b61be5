"""Times of the calendar, also where clocks are changed."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runyard.errors import InvalidRequest
from runyard.service.cron import Cron

PRAGUE = "Europe/Prague"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()


def at(text: str, zone: str = PRAGUE) -> float:
    """``2026-03-29 01:30``; with a plus behind it, the second of the two that there are."""
    when = datetime.fromisoformat(text.removesuffix("+")).replace(tzinfo=ZoneInfo(zone))
    return when.replace(fold=int(text.endswith("+"))).timestamp()


def due(cron: str, since: str, count: int, zone: str = PRAGUE) -> list[str]:
    """In UTC: what the clocks show there is what is in question."""
    found = islice(Cron(cron, zone).after(at(since, zone)), count)
    return [f"{datetime.fromtimestamp(instant, UTC):%m-%d %H:%M}" for instant in found]


class TestChangedClocks:
    """In Prague, 02:00 to 03:00 was left out on 29 March 2026, and came twice on 25 October."""

    def test_what_is_left_out_runs_right_after_the_change(self) -> None:
        assert due("30 2 * * *", "2026-03-28 00:00", 3) == [
            "03-28 01:30",
            "03-29 01:00",
            "03-30 00:30",
        ]

    def test_several_that_are_left_out_are_one(self) -> None:
        assert due("0,30 2 * * *", "2026-03-29 00:00", 2) == ["03-29 01:00", "03-30 00:00"]

    def test_what_comes_twice_runs_once(self) -> None:
        assert due("30 2 * * *", "2026-10-24 12:00", 2) == ["10-25 00:30", "10-26 01:30"]

    def test_also_if_the_first_is_over(self) -> None:
        assert due("30 2 * * *", "2026-10-25 02:15+", 1) == ["10-26 01:30"]
        assert due("30 2 * * *", "2026-10-25 02:30", 1) == ["10-26 01:30"]

    def test_every_hour_is_every_hour_that_passes(self) -> None:
        assert due("0 * * * *", "2026-10-25 01:30", 3) == [
            "10-25 00:00",
            "10-25 01:00",
            "10-25 02:00",
        ]
        assert due("*/30 * * * *", "2026-03-29 01:30", 2) == ["03-29 01:00", "03-29 01:30"]

    def test_utc_has_no_such_days(self) -> None:
        assert due("30 2 * * *", "2026-03-28 12:00", 1, "UTC") == ["03-29 02:30"]

    @given(
        st.sampled_from(
            ["30 2 * * *", "*/20 * * * *", "0 1,2,3 * * *", "15 */2 * * 0", "5 2 1 * 1"]
        ),
        st.integers(int(at("2026-01-01 00:00")), int(at("2027-01-01 00:00"))),
        st.sampled_from([PRAGUE, "America/New_York", "Australia/Lord_Howe", "UTC"]),
    )
    def test_time_goes_forward(self, cron: str, since: int, zone: str) -> None:
        found = list(islice(Cron(cron, zone).after(float(since)), 20))

        assert found == sorted(set(found))
        assert found[0] > since
        assert all(instant % 60 == 0 for instant in found)
        # Wherever one begins, the times are the same.
        for begin, expected in zip([since, *found], found, strict=False):
            assert Cron(cron, zone).next_after(float(begin)) == expected


class TestLatest:
    @given(
        st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 1 * *"]),
        st.integers(0, 40 * 86400),
        st.integers(1, 100),
    )
    def test_are_the_last_of_all(self, cron: str, span: int, most: int) -> None:
        times, until = Cron(cron, PRAGUE), at("2026-11-02 12:34")
        since = times.next_after(until - span)
        assert since is not None
        every = []
        for instant in times.after(since - 60):
            if instant > until or len(every) > 3000:
                break
            every.append(instant)
        if len(every) <= 3000:
            assert times.latest(since, until, most) == every[-most:]

    def test_years_of_minutes_are_not_looked_at(self) -> None:
        begin = at("1990-01-01 00:00")
        found = Cron("* * * * *").latest(begin, NOW, 100)
        assert found == [NOW - 60.0 * n for n in reversed(range(100))]


class TestCheck:
    @pytest.mark.parametrize(
        "cron", ["0 2 * * *", "*/5 8-18 * * MON-FRI", "0 0 L * *", "0 0 29 2 *"]
    )
    def test_what_is_one(self, cron: str) -> None:
        Cron(cron, PRAGUE).check(NOW)

    @pytest.mark.parametrize(
        ("cron", "words"),
        [
            ("", "it has five fields"),
            ("0 2 * *", "it has five fields"),
            ("0 0 2 * * *", "it has five fields"),  # seconds
            ("@daily", "it has five fields"),
            ("0 25 * * *", "Bad hour"),
            ("x * * * *", "Bad minute"),
            ("0 0 30 2 *", "Bad day-of-month"),
            ("0 0 * * MON#1/2", "Bad day-of-week"),
            ("* * * * *" + " " * 200, "it has five fields"),
        ],
    )
    def test_what_is_none(self, cron: str, words: str) -> None:
        with pytest.raises(InvalidRequest, match=words):
            Cron(cron).check(NOW)

    @pytest.mark.parametrize(
        "zone", ["", "Europe", "Nowhere/City", "../etc/passwd", "/etc", "a\0b"]
    )
    def test_what_is_no_time_zone(self, zone: str) -> None:
        with pytest.raises(InvalidRequest, match="there is no time zone"):
            Cron("0 2 * * *", zone).check(NOW)

    @given(st.lists(st.text("0123456789*/,-L#WMONabc²", max_size=6), min_size=5, max_size=5))
    def test_any_text_is_one_or_is_refused(self, fields: list[str]) -> None:
        with suppress(InvalidRequest):
            Cron(" ".join(fields)).check(NOW)
