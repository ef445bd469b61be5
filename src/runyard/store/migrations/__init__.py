"""Schema migrations (Alembic), run by ``store.upgrade``."""
