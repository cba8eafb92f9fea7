"""The schema of the log in PostgreSQL: the same changes as for SQLite, in PostgreSQL's words.

What SQLite brings along and our statements use is defined first, as functions of the same name.
Processes that start together wait for each other, so that each change is made once.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from policy.errors import ConfigError
from storage.migrations import CHANGES, statements
from storage.place import shown
from storage.postgres_sql import LOCK_WITHIN, PostgresConnection, PostgresSql, unhurried

# "turnpike" as a number: whoever changes the schema holds this lock, for as long as that takes; for
# the tables it waits no longer than others do, because all others wait behind it.
LOCK = f"""
SET LOCAL lock_timeout = 0;
SELECT pg_advisory_xact_lock(8391739299332713317);
SET LOCAL lock_timeout = '{LOCK_WITHIN}'
"""

CHANGES_TABLE = """
CREATE TABLE IF NOT EXISTS schema_changes (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
)
"""

APPLIED = "SELECT name FROM schema_changes ORDER BY n"

HAS_CHANGES = "SELECT to_regclass('schema_changes') IS NOT NULL AS found"

RECORD = "INSERT INTO schema_changes (name) VALUES (:name)"

WORDS = {
    "STRICT": "",
    "INTEGER": "BIGINT",
    "REAL": "DOUBLE PRECISION",
    "BLOB": "BYTEA",
    # SQLite compares text by its bytes; so both stores sort alike.
    "TEXT": 'TEXT COLLATE "C"',
}

WORD = re.compile(rf"\b({'|'.join(WORDS)})\b")

FUNCTIONS = (
    """
    CREATE FUNCTION json_extract(text, text) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT AS
    $$ SELECT (jsonb_path_query_first($1::jsonb, $2::jsonpath) #>> '{}')::double precision $$
    """,
    """
    CREATE FUNCTION json_each(text) RETURNS TABLE (key bigint, value text)
    LANGUAGE sql IMMUTABLE STRICT AS
    $$ SELECT n - 1, value
       FROM json_array_elements_text($1::json) WITH ORDINALITY AS each (value, n) $$
    """,
    """
    CREATE FUNCTION printf(text, double precision) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT AS
    $$ SELECT CASE $1 WHEN '%.2f' THEN to_char($2, 'FM999999999990.00') END $$
    """,
    """
    CREATE FUNCTION julianday(text) RETURNS double precision LANGUAGE sql VOLATILE STRICT AS
    $$ SELECT CASE $1 WHEN 'now'
       THEN extract(epoch FROM clock_timestamp()) / 86400.0 + 2440587.5 END $$
    """,
    """
    CREATE FUNCTION joined(text, text, text) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$ SELECT COALESCE($1 || $3, '') || $2 $$
    """,
    "CREATE AGGREGATE group_concat(text, text) (SFUNC = joined, STYPE = text)",
)

# Beside the ones of older logs, which told the time of whoever asked.
FUNCTIONS_IN_UTC = (
    """
    CREATE FUNCTION datetime(double precision, text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT AS
    $$ SELECT to_char(to_timestamp($1) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') $$
    """,
    """
    CREATE FUNCTION date(double precision, text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT AS
    $$ SELECT to_char(to_timestamp($1) AT TIME ZONE 'UTC', 'YYYY-MM-DD') $$
    """,
)

# Which group each writer committed last: what became of a commit whose answer was lost.
COMMITS = """
CREATE TABLE commits (writer text PRIMARY KEY, n bigint NOT NULL, at timestamptz NOT NULL)
"""

# Whoever waits for events is woken when a transaction with some is committed.
ANNOUNCE = (
    """
    CREATE FUNCTION announce() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('turnpike', current_schema()); RETURN NULL; END $$
    """,
    """
    CREATE TRIGGER announced AFTER UPDATE ON log_position
    FOR EACH STATEMENT EXECUTE FUNCTION announce()
    """,
)


def translated(ddl: str) -> str:
    """Return a statement of the schema in PostgreSQL's words.

    >>> translated("CREATE TABLE t (a TEXT NOT NULL, b REAL, c BLOB, d INTEGER) STRICT")
    'CREATE TABLE t (a TEXT COLLATE "C" NOT NULL, b DOUBLE PRECISION, c BYTEA, d BIGINT) '
    """
    return WORD.sub(lambda found: WORDS[found.group()], ddl)


def migrate(url: str, connection: PostgresConnection) -> None:
    """Record every change the database does not have yet, all of them or none.

    Each may take as long as a long log needs, and who starts meanwhile waits for it.

    raises : ConfigError if a newer Turnpike, or another program, has made this database
    """
    with _explained(url):
        if not pending(url, connection):
            return
    with _explained(url), unhurried(connection):
        connection.execute(LOCK)
        db = PostgresSql(connection)
        _make_schema(db)
        db.execute(CHANGES_TABLE)
        have = _applied(url, db)
        for name, change in _changes().items():
            if name not in have:
                for statement in change:
                    db.execute(statement)
                db.execute(RECORD, {"name": name})


def pending(url: str, connection: PostgresConnection) -> list[str]:
    """Return the changes this database does not have yet.

    raises : ConfigError if a newer Turnpike has made this database
    """
    db = PostgresSql(connection)
    [row] = db.query(HAS_CHANGES)
    have = _applied(url, db) if row["found"] else []
    return [name for name in _changes() if name not in have]


def _make_schema(db: PostgresSql) -> None:
    """Make the schema that the URL names, if there is none: a log kept apart has its own."""
    if db.query("SELECT current_schema() AS schema")[0]["schema"] is None:
        named = db.query("SHOW search_path")[0]["search_path"].partition(",")[0].strip('" ')
        db.execute(f'CREATE SCHEMA "{named}"')


def _changes() -> dict[str, tuple[str, ...]]:
    same = {name: tuple(map(translated, statements(each))) for name, each in CHANGES.items()}
    return {
        "functions": (*FUNCTIONS, COMMITS),
        "functions_in_utc": FUNCTIONS_IN_UTC,
        **same,
        "announce": ANNOUNCE,
    }


def _applied(url: str, db: PostgresSql) -> list[str]:
    have = [row["name"] for row in db.query(APPLIED)]
    known = _changes()
    newer = [name for name in have if name not in known]
    if newer:
        raise ConfigError(
            f"the log {shown(url)} was written by a newer Turnpike (it has "
            f"{newer[-1]}): use that version, or another database"
        )
    return have


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        raise ConfigError(
            f"cannot bring the log {shown(url)} up to date: {error}; "
            "give an empty database, or a schema of its own, that this user may change"
        ) from error
