"""The log, the snapshots and the schema: the only room that knows a database."""
