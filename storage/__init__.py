"""The log, its snapshots and migrations: SQLite through sqlite-utils."""
