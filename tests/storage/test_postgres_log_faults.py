"""Rows G of the matrix of faults that one server and a cut in the wire can play."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from policy.errors import StoreUnavailable
from storage.events import FeedbackEvent, OutcomeEvent
from storage.postgres_log import PostgresLog
from storage.postgres_reader import PostgresReader
from storage.postgres_sql import LATE_S, connect
from storage.postgres_state import NEEDED, state
from storage.spool import Spool, Spooling
from tests.storage.between import Moment, between
from tests.storage.rounds import DECISION, HOUR_S, NOON_S, OUTCOME
from tests.storage.test_postgres_log import within

WAITS_FOR_US = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'outcomes'::regclass"
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'crowded'"


@pytest.mark.parametrize("moment", get_args(Moment))
def test_g2_a_commit_whose_answer_is_lost_is_there_once(postgres_url: str, moment: Moment) -> None:
    with between(postgres_url) as proxy, PostgresLog(proxy.url) as log:
        proxy.cut_at(b"COMMIT", moment)
        log.decide(DECISION).wait()
        proxy.cut_at(b"COMMIT", moment)
        log.settle(OUTCOME).wait()
        proxy.cut_at(b"COMMIT", moment)
        rating = log.rate("d", "ann", 1.0, at_s=NOON_S, tenant="acme", window_s=HOUR_S)
        assert proxy.cuts == 3
        assert rating.status == "recorded"
        assert [type(event) for event in log.events()] == [OutcomeEvent, FeedbackEvent]
        assert [event.seq for event in log.events()] == [1, 2]


@pytest.fixture
def crowded(postgres_server: str, postgres_url: str) -> Iterator[str]:
    """The URL of somebody who may be denied connections, which a superuser never is."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        schema = urlsplit(postgres_url).query.rpartition("%3D")[2]
        connection.execute("CREATE ROLE crowded LOGIN")
        connection.execute(f'GRANT ALL ON SCHEMA "{schema}" TO crowded')
    parts = urlsplit(postgres_url)
    where = parts.netloc.rpartition("@")[2]
    yield urlunsplit(parts._replace(netloc=f"crowded@{where}"))
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("DROP OWNED BY crowded CASCADE")
        connection.execute("DROP ROLE crowded")


def test_g5_where_no_connection_is_free_what_is_written_waits_for_one(
    crowded: str, postgres_server: str, tmp_path: Path
) -> None:
    spool = Spool.beside(tmp_path / "log", Spooling(65_536))  # where it waits if that takes long
    with (
        psycopg.connect(postgres_server, autocommit=True) as other,
        PostgresLog(crowded, spool) as log,
    ):
        log.decide(DECISION).wait()
        other.execute("ALTER ROLE crowded CONNECTION LIMIT 0")
        other.execute(END_SESSIONS)
        settled = log.settle(OUTCOME)
        with pytest.raises(StoreUnavailable, match="too many connections"):
            PostgresLog(crowded)
        other.execute("ALTER ROLE crowded CONNECTION LIMIT -1")
        settled.wait()
        assert within(60, lambda: read(log) == [OutcomeEvent])


def test_g5_a_transaction_that_is_ended_for_a_deadlock_is_made_again(
    postgres_url: str, tmp_path: Path
) -> None:
    spool = Spool.beside(tmp_path / "log", Spooling(65_536))
    with PostgresLog(postgres_url, spool) as log, psycopg.connect(postgres_url) as other:
        log.decide(DECISION).wait()
        other.execute("SET deadlock_timeout = '60s'")  # so that the server ends ours
        other.commit()
        other.execute("LOCK TABLE outcomes IN EXCLUSIVE MODE")
        settled = log.settle(OUTCOME)
        with psycopg.connect(postgres_url, autocommit=True) as looking:
            assert within(8, lambda: looking.execute(WAITS_FOR_US).fetchone() == (1,))
        other.execute("SELECT seq FROM log_position FOR UPDATE")  # has it once ours is ended
        other.rollback()
        settled.wait()
        assert within(60, lambda: read(log) == [OutcomeEvent])


def test_g10_a_server_that_does_not_flush_is_told_of(postgres_server: str) -> None:
    with psycopg.connect(postgres_server) as connection:
        off = {name for name in NEEDED if connection.execute(f"SHOW {name}").fetchone() == ("off",)}
    assert set(state(postgres_server).unsafe) == off  # both, on the server of the tests


def test_g10_what_a_server_would_put_off_is_flushed_for_us(postgres_url: str) -> None:
    with PostgresLog(postgres_url) as log:
        [row] = log.ask("SELECT current_setting('synchronous_commit') AS it", {})
        assert row["it"] == "on"


def test_g3_a_server_from_which_nothing_comes_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for opened in (PostgresLog, PostgresReader):
            began_s = time.monotonic()
            with pytest.raises(StoreUnavailable, match="timeout"):
                opened(f"postgresql://ann@127.0.0.1:{port}/x?connect_timeout=2")
            assert time.monotonic() - began_s < 60


def read(log: PostgresLog) -> list[type]:
    with suppress(StoreUnavailable):  # readers have connections of their own, and patience for 5 s
        return [type(event) for event in log.events()]
    return []


def is_back(log: PostgresLog) -> bool:
    with suppress(StoreUnavailable):
        log.bring_back()
    return not log.standing.is_behind


@pytest.mark.slow
def test_g3_a_connection_that_stands_and_brings_no_answer_is_given_up(
    postgres_url: str, tmp_path: Path
) -> None:
    spool = Spool.beside(tmp_path / "log", Spooling(65_536, rest=0.1))
    with between(postgres_url) as proxy, PostgresLog(proxy.url, spool) as log:
        log.decide(DECISION).wait()
        proxy.swallows = True
        settled = log.settle(OUTCOME)
        settled.wait(120)
        assert settled.durable == "spool"
        assert "has not answered for 10 s" in log.standing.why
        proxy.swallows = False
        assert within(120, lambda: is_back(log))
        assert within(60, lambda: read(log) == [OutcomeEvent])


def test_g3_a_connection_that_hangs_while_it_is_made_is_given_up_soon(postgres_url: str) -> None:
    with between(postgres_url) as proxy:
        proxy.hang_at(b"SET statement_timeout")
        with pytest.raises(psycopg.OperationalError, match="has not answered for 3 s"):
            connect(proxy.url)
        with connect(proxy.url) as connection:  # whoever asks later is heard
            assert connection.answers_within_s == LATE_S
