"""Alembic's entry: the connection comes from ``store.upgrade``, never from a file."""

from alembic import context

from runyard.store import indexes, template_tables, user_tables  # noqa: F401 - the metadata's
from runyard.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
context.run_migrations()
