"""A log moves from SQLite to PostgreSQL whole, or not at all, and teaches the same there."""

import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from storage.place import shown
from storage.postgres_reader import PostgresReader
from storage.postgres_schema import migrate
from storage.postgres_sql import SESSION, connect
from storage.snapshots import state
from storage.sqlite_reader import SqliteReader
from tests.app.commands.test_cli import turnpike
from tests.app.running import Provider, evals_table, running
from tests.storage.rounds import rows


@pytest.fixture
def used(tmp_path: Path, provider: Provider) -> Path:
    """Return the folder of a service that has learned from thumbs and from evals."""
    with running(tmp_path, sandbox_url=provider.url) as service:
        for number in range(20):
            answer = service.ask(f"What is {number} * 7?", task="maths")
            service.rate(answer["id"], "up" if number % 3 else "down", comment="é\t\\\n")
    table = str(evals_table(tmp_path / "evals.csv", 5))
    assert turnpike(tmp_path, "import", table).exit_code == 0
    return tmp_path


def test_everything_moves_and_the_posterior_is_the_same(
    used: Path, postgres_url: str, provider: Provider
) -> None:
    moved = turnpike(used, "migrate-to", postgres_url)
    assert moved.exit_code == 0, moved.output
    assert "moved and verified: " in moved.stdout
    bars = ("copying rows", "folding the old log", "folding the new log")
    assert [bar for bar in bars if bar not in moved.stderr] == []
    with connect(postgres_url) as connection:
        about = "SELECT reltuples FROM pg_class WHERE oid = 'decisions'::regclass"
        assert connection.execute(about).fetchall() == [{"reltuples": 20}]
    with SqliteReader(used / "turnpike.db") as before, PostgresReader(postgres_url) as after:
        assert after.position() == before.position()
        old, new = (list(log.decisions()) for log in (before, after))
        assert rows(each.decision for each in new) == rows(each.decision for each in old)
        assert [each.outcome for each in new] == [each.outcome for each in old]
        assert [each.reward for each in new] == [each.reward for each in old]
        assert after.counts() == before.counts()
    dials = {"sandbox_url": provider.url, "database": postgres_url}
    with running(used, data=used / "later", **dials) as service:
        service.rate(service.ask()["id"])
        assert service.parts.log.counts().rated == 21


@pytest.mark.parametrize("mode", ["off", "on"])
def test_the_command_that_is_told_opens_the_new_log_with_the_old_keys(
    tmp_path: Path, postgres_url: str, mode: str
) -> None:
    dials = {"TURNPIKE_SANDBOX": mode}
    if mode == "on":
        (tmp_path / "sandbox").mkdir()
    assert turnpike(tmp_path, "keys", "create", "shop", **dials).exit_code == 0
    moved = turnpike(tmp_path, "migrate-to", postgres_url, **dials)
    assert moved.exit_code == 0, moved.output
    told = dict(re.findall(r"(TURNPIKE_[A-Z]+)=(\S+)", moved.stdout))
    assert told == {"TURNPIKE_DATABASE": shown(postgres_url), "TURNPIKE_DATA": str(tmp_path)}
    found = turnpike(tmp_path, "doctor", **{**dials, **told, "TURNPIKE_DATABASE": postgres_url})
    assert "1 key opens the service" in found.output
    assert "open nothing" not in found.output


def test_only_an_empty_database_takes_a_log(used: Path, postgres_url: str) -> None:
    assert turnpike(used, "migrate-to", postgres_url).exit_code == 0
    again = turnpike(used, "migrate-to", postgres_url)
    assert (again.exit_code, "is not empty" in again.stderr) == (78, True)


def test_what_does_not_fit_leaves_nothing(used: Path, postgres_url: str) -> None:
    assert turnpike(used, "migrate-to", postgres_url).exit_code == 0
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("TRUNCATE decisions, evals CASCADE")
        connection.execute("ALTER TABLE evals ADD CHECK (score > 2)")
    failed = turnpike(used, "migrate-to", postgres_url)
    assert failed.exit_code == 1
    with PostgresReader(postgres_url) as log:
        assert log.counts().decisions == 0


def test_a_table_may_take_longer_than_a_statement_of_the_service(
    used: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(postgres_url) as connection:
        migrate(postgres_url, connection)
        connection.execute("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                           "$$ BEGIN PERFORM pg_sleep(2.5); RETURN NULL; END $$")  # fmt: skip
        connection.execute("CREATE TRIGGER slow AFTER INSERT ON decisions EXECUTE FUNCTION slow()")
    monkeypatch.setattr("storage.postgres_sql.LATE_S", 2.0)
    short = SESSION.replace("statement_timeout = '30s'", "statement_timeout = '2s'")
    monkeypatch.setattr("storage.postgres_sql.SESSION", short)
    moved = turnpike(used, "migrate-to", postgres_url)
    assert moved.exit_code == 0, moved.output


def test_what_a_service_has_left_there_before_its_first_request_makes_way(
    tmp_path: Path, postgres_url: str, provider: Provider
) -> None:
    for dials in ({}, {"database": postgres_url, "data": tmp_path / "later"}):
        with running(tmp_path, sandbox_url=provider.url, **dials) as service:
            log = service.parts.log
            assert service.client.delete("/cache").status_code == 200
            listed = replace(log.policy_version(1), version=2, source="catalogue")
            kept = state(2, 1, replace(service.learned, policy_version=2).to_arrays())
            log.receive(str(service.parts.settings.folder), "policy", 0.0, [listed, kept]).wait()
            if not dials:
                service.rate(service.ask()["id"])
    moved = turnpike(tmp_path, "migrate-to", postgres_url)
    assert moved.exit_code == 0, moved.output


def test_where_there_is_no_log_none_is_made_and_moved(tmp_path: Path, postgres_url: str) -> None:
    refused = turnpike(tmp_path, "migrate-to", postgres_url)
    assert (refused.exit_code, "there is no log at" in refused.stderr) == (78, True)
    assert not list(tmp_path.glob("turnpike.db*"))


def test_a_log_in_use_is_not_moved(tmp_path: Path, postgres_url: str, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url):
        refused = turnpike(tmp_path, "migrate-to", postgres_url)
    assert refused.exit_code == 78
    assert "is being written by process" in refused.stderr


@pytest.mark.parametrize(
    ("url", "says", "code"),
    [
        ("mysql://x/y", "give postgresql://", 2),
        ("foo", "give postgresql://", 2),
        ("postgresql://ann:ge/geheim@127.0.0.1:1/x", "a password as %40 %2F", 2),
        ("postgresql://ann:geheim@127.0.0.1:1/x", "failed", 1),
    ],
)
def test_a_place_that_cannot_take_it_is_told(used: Path, url: str, says: str, code: int) -> None:
    refused = turnpike(used, "migrate-to", url)
    assert refused.exit_code == code
    assert says in refused.stderr
    assert "geheim" not in refused.output
