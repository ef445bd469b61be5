"""Upgrade: from nothing, from anywhere, by many at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from runyard.clock import ManualClock
from runyard.domain.user import Actor, Role, TokenScope
from runyard.errors import StoreError
from runyard.policy.fits import Scope
from runyard.service.accounts import Accounts
from runyard.service.credentials import Signer
from runyard.service.signin import SignIn
from runyard.store import indexes, migrations, rules, schema, template_tables, user_tables
from runyard.store.database import Store, Tx
from runyard.store.upgrade import HEAD, _migrate, current, upgrade
from tests.store.support import claim, in_processes, names, new, run_next, submit

assert indexes  # part of the metadata
assert user_tables  # likewise
assert template_tables


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("pg_url")
    return url


@pytest.fixture
def empty_store(empty_url: str) -> Iterator[Store]:
    store = Store(empty_url, ManualClock())
    yield store
    store.close()


def scripts() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


def version(store: Store) -> str | None:
    with store.read() as tx:
        return current(tx)


def tables(store: Store) -> set[str]:
    with store.read() as tx:
        return set(inspect(tx.conn).get_table_names())


def test_the_newest_version_is_that_of_the_newest_script() -> None:
    assert ScriptDirectory.from_config(scripts()).get_heads() == [HEAD]


def test_an_empty_database_is_upgraded_once(empty_store: Store) -> None:
    assert version(empty_store) is None
    assert upgrade(empty_store) is True
    assert upgrade(empty_store) is False
    assert version(empty_store) == HEAD
    submit(empty_store, "unit")
    assert names(claim(empty_store)) == ["unit"]


def test_the_migrations_make_the_tables_of_the_schema(store: Store) -> None:
    def differences(tx: Tx) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(tx.conn), schema.metadata))

    assert store.write(differences) == []


def test_the_migrations_make_the_same_constraints_as_the_schema(empty_store: Store) -> None:
    """What Alembic does not compare: CHECK constraints, what foreign keys do, partial indexes."""

    def made_by_the_schema(tx: Tx) -> dict[str, Any]:
        schema.metadata.create_all(tx.conn)
        made = described(tx.conn)
        schema.metadata.drop_all(tx.conn)
        return made

    wanted = empty_store.write(made_by_the_schema)
    upgrade(empty_store)
    assert empty_store.write(lambda tx: described(tx.conn)) == wanted


def described(conn: Connection) -> dict[str, Any]:
    seen = inspect(conn)

    def in_order(found: list[Any]) -> list[str]:
        return sorted(map(str, found))

    return {
        table: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in seen.get_columns(table)
            },
            "key": seen.get_pk_constraint(table)["constrained_columns"],
            "checks": in_order(
                [(check["name"], check["sqltext"]) for check in seen.get_check_constraints(table)]
            ),
            "foreign": in_order(seen.get_foreign_keys(table)),
            "unique": in_order(seen.get_unique_constraints(table)),
            "indexes": in_order(conn.execute(_INDEXES[conn.dialect.name], {"table": table}).all()),
            "options": options(conn, table),
        }
        for table in schema.metadata.tables
    }


_INDEXES = {
    "sqlite": text("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table"),
    "postgresql": text("SELECT indexdef FROM pg_indexes WHERE tablename = :table"),
}


def options(conn: Connection, table: str) -> tuple[bool, ...]:
    """What only SQLite has, and only its own text tells."""
    if conn.dialect.name != "sqlite":
        return ()
    query = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
    sql = conn.execute(query, {"name": table}).scalar_one()
    return ("AUTOINCREMENT" in sql, "WITHOUT ROWID" in sql)


def test_a_newer_database_is_left_alone(empty_store: Store) -> None:
    store = empty_store
    upgrade(store)
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    store.write(lambda tx: tx.conn.execute(newer))
    with pytest.raises(StoreError, match=rf"schema 9999, newer .* \({HEAD}\): upgrade Runyard"):
        upgrade(store)
    assert version(store) == "9999"


def test_an_upgrade_that_is_broken_off_leaves_nothing(empty_store: Store) -> None:
    def broken_off(tx: Tx) -> None:
        _migrate(tx)
        raise KeyError("the power")

    with pytest.raises(KeyError):
        empty_store.write(broken_off)
    assert tables(empty_store) == set()
    assert upgrade(empty_store) is True


def upgrade_and_submit(url: str, name: str) -> None:
    """What every process does that starts on an empty home."""
    store = Store(url)
    upgrade(store)
    submit(store, name)
    store.close()


def test_many_processes_may_upgrade_at_once(empty_url: str) -> None:
    jobs = [f"job {n}" for n in range(6)]
    in_processes(upgrade_and_submit, *((empty_url, job) for job in jobs))
    store = Store(empty_url)
    assert sorted(names(claim(store, 10))) == jobs
    assert upgrade(store) is False
    store.close()


REVISIONS = [script.revision for script in ScriptDirectory.from_config(scripts()).walk_revisions()]


def to(store: Store, revision: str) -> None:
    def go(tx: Tx) -> None:
        config = scripts()
        config.attributes["connection"] = tx.conn
        step = command.downgrade if revision < (current(tx) or "") else command.upgrade
        step(config, revision)

    store.write(go)


def contents(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables but of those whose rows nobody would miss."""
    with store.read() as tx:
        found = {}
        unmissed = {"alembic_version", "login_failures"}
        for name in sorted(set(inspect(tx.conn).get_table_names()) - unmissed):
            rows = tx.conn.execute(text(f"SELECT * FROM {name}")).mappings()
            found[name] = sorted((dict(row) for row in rows), key=str)
    return found


def fill(store: Store) -> None:
    """Something of everything that people would miss."""
    submit(store, "a", new("b", needs=[0], labels={"x": "y"}), batch="b-1")
    run_next(store)
    submit(store, new("c", org_id="acme", app_version_id="1.0", target="emulator"))
    claim(store)
    store.write(lambda tx: rules.limit(tx, Scope.KEY, "door", 5))
    accounts = Accounts(store, Actor("operator"))
    accounts.add("ada", Role.ADMIN, "acme", "correct horse")
    accounts.create_token("ci", TokenScope.FULL, user="ada")
    sign_in = SignIn(store, Signer((b"key" * 20,)))
    sign_in.by_link(accounts.login_link("ada"), "127.0.0.1")
    accounts.login_link("ada")


@pytest.mark.parametrize("revision", REVISIONS[1:])
def test_what_a_database_holds_outlives_each_migration(empty_store: Store, revision: str) -> None:
    store = empty_store
    upgrade(store)
    fill(store)
    wanted = contents(store)
    to(store, revision)
    before = contents(store)
    assert upgrade(store) is True
    assert version(store) == HEAD
    after = contents(store)
    assert before["jobs"]
    for table, rows in before.items():
        assert len(after[table]) == len(rows) == len(wanted[table])
        for row, now in zip(rows, after[table], strict=True):
            same = row.keys() & now.keys()
            assert {name: row[name] for name in same} == {name: now[name] for name in same}
    submit(store, "again")
    assert "again" in names(claim(store, 10))


def test_limits_that_jobs_asked_for_become_those_of_their_orgs(empty_store: Store) -> None:
    store = empty_store
    upgrade(store)
    for org in ("acme", "a/b"):
        submit(store, new(org_id=org, limit_key="db"))
    to(store, "0009")
    old = [("key", "db", 3, False), ("key", "gone", 4, False), ("key", "door", 5, True)]
    add = text("INSERT INTO limits VALUES (:kind, :name, :maximum, :by_hand)")
    columns = ("kind", "name", "maximum", "by_hand")
    rows = [dict(zip(columns, row, strict=True)) for row in old]
    store.write(lambda tx: tx.conn.execute(add, rows))

    def found() -> set[tuple[Any, ...]]:
        return {tuple(row[column] for column in columns) for row in contents(store)["limits"]}

    upgrade(store)
    new_ones = {("org-key", "acme/db", 3, False), ("org-key", "a%2Fb/db", 3, False)}
    assert found() == {("key", "door", 5, True), *new_ones}
    to(store, "0009")
    assert found() == {("key", "door", 5, True), ("key", "db", 3, False)}


def test_a_filled_database_goes_down_and_up_again(empty_store: Store) -> None:
    store = empty_store
    upgrade(store)
    submit(store, "a", new("b", needs=[0], labels={"x": "y"}), batch="b-1")
    run_next(store)
    claim(store)

    def down(tx: Tx) -> None:
        assert current(tx) == HEAD
        config = scripts()
        config.attributes["connection"] = tx.conn
        command.downgrade(config, "base")

    store.write(down)
    assert version(store) is None
    assert tables(store) == {"alembic_version"}
    assert upgrade(store) is True
    submit(store, "again")
    assert names(claim(store, 10)) == ["again"]
