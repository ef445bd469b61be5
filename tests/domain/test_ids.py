"""Ids: short, readable, random."""

import re
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runyard.domain import ids

JOB_ID = re.compile(rf"[{ids.ALPHABET}]{{{ids.LENGTH}}}")


@given(st.integers(0, 50))
def test_as_many_ids_as_asked_for(count: int) -> None:
    made = ids.job_ids(count)
    assert len(made) == count
    assert all(JOB_ID.fullmatch(one) for one in made)


def test_ids_do_not_repeat() -> None:
    made = ids.job_ids(100_000)
    assert len(set(made)) == len(made)


def test_every_character_of_an_id_is_random() -> None:
    made = ids.job_ids(5_000)
    for position in range(ids.LENGTH):
        assert {one[position] for one in made} == set(ids.ALPHABET)


def test_no_two_characters_look_alike() -> None:
    assert len(set(ids.ALPHABET)) == 32
    assert not set("ilou") & set(ids.ALPHABET)
    assert list(ids.ALPHABET) == sorted(ids.ALPHABET)


def test_different_random_bits_give_different_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for bit in range(65):
        monkeypatch.setattr(
            secrets, "token_bytes", lambda size, bit=bit: (1 << bit).to_bytes(size, "little")
        )
        seen.update(ids.job_ids(1))
    assert len(seen) == 65


def test_a_batch_id_is_told_from_a_job_id() -> None:
    assert ids.is_batch_id(ids.batch_id())
    assert ids.is_batch_id(ids.batch_id()[:4])
    assert not any(map(ids.is_batch_id, ids.job_ids(1000)))


def test_errors_say_what_an_id_is_of() -> None:
    assert str(ids.no_such("job", "b-x")).endswith("that is how the id of a batch begins")
    assert str(ids.no_such("job", "x")) == "there is no job 'x'"
    assert str(ids.several("batch", "b", ["b-1", "b-2"])) == "'b' fits several batches (b-1, b-2)"
