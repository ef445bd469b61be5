"""The only truth: every verb that reads or changes the database, on SQLite and PostgreSQL."""
