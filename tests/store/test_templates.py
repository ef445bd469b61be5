"""Templates are kept by org and name."""

from __future__ import annotations

from runyard.clock import ManualClock
from runyard.store import templates
from runyard.store.database import Store
from runyard.store.templates import TemplateRow
from tests.store.support import in_parallel


def save(store: Store, org: str, name: str, document: str = "{}", user: str = "ann") -> TemplateRow:
    return store.write(lambda tx: templates.save(tx, org, name, document, "/srv", user))


def names(store: Store, org: str | None, limit: int, after: tuple[str, str]) -> list[str]:
    with store.read() as tx:
        return [f"{t.org_id}/{t.name}" for t in templates.some(tx, org, limit, after)]


def test_the_later_one_holds_and_the_first_is_remembered(store: Store, clock: ManualClock) -> None:
    first = save(store, "acme", "nightly")
    clock.advance(60)
    later = save(store, "acme", "nightly", '{"tasks": []}', "bob")

    with store.read() as tx:
        assert templates.get(tx, "acme", "nightly") == later
    assert (later.document, later.updated_by) == ('{"tasks": []}', "bob")
    assert later.updated_at - first.updated_at == 60
    assert (later.created_by, later.created_at) == ("ann", first.created_at)


def test_a_name_means_another_one_in_another_org(store: Store) -> None:
    save(store, "acme", "nightly", "1")
    save(store, "other", "nightly", "2")

    assert store.write(lambda tx: templates.remove(tx, "acme", "nightly")) is True
    assert store.write(lambda tx: templates.remove(tx, "acme", "nightly")) is False
    with store.read() as tx:
        assert templates.get(tx, "acme", "nightly") is None
        assert getattr(templates.get(tx, "other", "nightly"), "document", "") == "2"


def test_pages_are_in_order_of_org_and_name(store: Store) -> None:
    for org, name in (("b", "x"), ("a", "y"), ("a", "X"), ("a", "x")):
        save(store, org, name)

    assert names(store, None, 2, ("", "")) == ["a/X", "a/x"]
    assert names(store, None, 9, ("a", "x")) == ["a/y", "b/x"]
    assert names(store, "a", 9, ("a", "X")) == ["a/x", "a/y"]
    assert names(store, "c", 9, ("", "")) == []


def test_two_may_save_at_once(store: Store) -> None:
    in_parallel(*(lambda n=n: save(store, "a", "x", str(n)) for n in range(4)))

    with store.read() as tx:
        (only,) = templates.some(tx, None, 9, ("", ""))
    assert only.document in {"0", "1", "2", "3"}
