"""What people write on one line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runyard.domain import written


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5h", 5400), (" 10 m ", 600), ("500ms", 0.5), ("2d", 172800)],
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, seconds: float) -> None:
    assert written.seconds(text) == seconds


def test_pairs_axes_and_combinations_are_told_apart_by_their_first_sign() -> None:
    assert written.pair("URL=http://x/?a=b") == ("URL", "http://x/?a=b")
    assert written.pair("slow", bare=True) == ("slow", None)
    assert written.axis("os=linux,mac") == ("os", ["linux", "mac"])
    assert written.combination("os=mac,browser=a=b") == {"os": "mac", "browser": "a=b"}


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (written.seconds, "soon"),
        (written.seconds, "-1"),
        (written.pair, "MODE"),
        (written.pair, "=x"),
        (written.axis, "os"),
        (written.combination, "os=mac,browser"),
    ],
)
def test_the_rest_is_refused_with_what_it_was(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=f"^'{text}' is no"):
        read(text)
