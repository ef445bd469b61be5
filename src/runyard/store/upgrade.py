"""Bring a database's schema up to date; safe to call at any time, from any number of processes."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect, text

from runyard.errors import StoreError
from runyard.store.database import Store, Tx

HEAD = "0010"  # the newest migration; a test compares it with the scripts


def upgrade(store: Store) -> bool:
    """Create or upgrade the schema; returns whether anything had to be done."""
    with store.read() as tx:
        version = current(tx)
    if version == HEAD:
        return False
    if version is not None and version > HEAD:
        raise StoreError(
            f"the database has schema {version}, newer than this Runyard knows ({HEAD}): "
            "upgrade Runyard"
        )
    store.write(_migrate, repeatable=True)
    return True


def current(tx: Tx) -> str | None:
    """The schema's version; None for an empty database."""
    if not inspect(tx.conn).has_table("alembic_version"):
        return None
    return tx.conn.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(tx: Tx) -> None:
    # Slow to import, and needed once in the life of a database.
    from alembic import command
    from alembic.config import Config

    tx.dialect.lock_schema(tx.conn)
    if current(tx) == HEAD:
        return  # somebody else did it while we waited for the lock
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = tx.conn
    command.upgrade(config, "head")
