"""Alembic's entry: the connection comes from ``store.upgrade``, never from a file."""

from alembic import context

from runyard.store import indexes, user_tables  # noqa: F401 - part of the metadata
from runyard.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
context.run_migrations()
