"""The log, its snapshots and migrations: SQLite by sqlite-utils, PostgreSQL by psycopg."""
