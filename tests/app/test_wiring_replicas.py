"""Several processes on one PostgreSQL: they learn the same, and what must be done once is."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from app.mode import beside_log, in_force
from app.processes.berth import berths, is_taken, waiting_beside
from app.settings import Settings
from policy.types import DAY_S
from storage.postgres_log import PostgresLog
from storage.snapshots import of_state
from storage.spool import Spare
from storage.spool_file import SpoolFile
from tests.app.commands.test_cli import turnpike
from tests.app.commands.test_distrusting import changed_by, without
from tests.app.running import Provider, Running, evals_table, eventually, running
from tests.storage.rounds import ATTEMPT, DECISION, OUTCOME, but

ROOT = Path(__file__).parents[2]
USE = {"prompt": "What is the capital of France?", "cache": "use"}


@pytest.fixture
def replicas(tmp_path: Path, postgres_url: str, provider: Provider) -> Iterator[list[Running]]:
    dials = {"sandbox_url": provider.url, "database": postgres_url, "data": tmp_path}
    with running(tmp_path, **dials) as a, running(tmp_path, **dials) as b:
        # Clients that leave no context open: those of two services would get in each other's way.
        yield [Running(each.parts, each.client.application.test_client()) for each in (a, b)]


def agree(replicas: list[Running], within_s: float = 20.0) -> bool:
    newest = replicas[0].parts.log.position()
    return eventually(
        lambda: (
            all(each.learned.upto_seq == newest for each in replicas)
            and len({each.digest for each in replicas}) == 1
        ),
        within_s,
    )


def test_a_thumb_at_one_replica_is_learned_by_all(replicas: list[Running]) -> None:
    here, there = replicas
    before = here.digest
    answer = here.ask()
    assert there.rate(answer["id"])["status"] == "recorded"
    assert here.rate(answer["id"])["status"] == "duplicate"
    assert agree(replicas)
    assert here.digest != before


def test_a_thumb_down_at_one_replica_takes_the_answer_from_all(replicas: list[Running]) -> None:
    here, there = replicas
    given = [each.ask(**USE) for each in (here, there, here, there)]
    assert [answer["cache"] for answer in given] == ["miss", "miss", "hit", "hit"]
    there.rate(given[2]["id"], "down")
    assert eventually(lambda: here.get("/policy")["cache"]["answers"] == 0, 10.0)
    assert here.ask(**USE)["cache"] == "miss"
    assert there.ask(**USE)["cache"] == "hit"


def test_a_change_found_by_thumbs_that_are_withdrawn_is_undone_at_all_replicas(
    replicas: list[Running], tmp_path: Path, postgres_url: str
) -> None:
    here, there = replicas
    arm = changed_by(here, "mallory")
    assert agree(replicas)
    assert len(there.learned.changed_at_s(arm)) == 1
    dials = {"TURNPIKE_DATABASE": postgres_url, "TURNPIKE_DATA": str(tmp_path / "shell")}
    ended = turnpike(tmp_path, "distrust", "--rater", "mallory", "--yes", **dials)
    assert ended.stdout.endswith("; policy 2 serves\n"), ended.output
    assert agree(replicas)
    assert [each.learned.changed_at_s(arm) for each in replicas] == [[], []]
    assert [each.digest for each in replicas] == [without(here, "mallory")] * 2


def test_stored_answers_are_cleared_at_all_replicas(replicas: list[Running]) -> None:
    here, there = replicas
    for cleared in range(2):
        assert [each.ask(**USE)["cache"] for each in (here, there)] == ["miss", "miss"], cleared
        assert here.client.delete("/cache").json == {"evicted": 1}
        assert eventually(lambda: there.get("/policy")["cache"]["answers"] == 0, 10.0)


@pytest.mark.parametrize("how", ["disliked", "cleared", "forgotten"])
def test_a_replica_that_was_away_gives_no_answer_that_was_taken_back_meanwhile(
    how: str, tmp_path: Path, postgres_url: str, provider: Provider
) -> None:
    dials = {"sandbox_url": provider.url, "database": postgres_url, "secret": "s" * 40}
    other = {"prompt": "What is the capital of Peru?", "cache": "use"}
    with running(tmp_path, data=tmp_path / "here", **dials) as here:
        with running(tmp_path, data=tmp_path / "there", **dials) as there:
            answer, kept = there.ask(**USE), there.ask(**other)
        assert (answer["cache"], kept["cache"]) == ("miss", "miss")
        if how == "disliked":
            here.rate(answer["id"], "down")
            here.rate(kept["id"], "up")
        elif how == "cleared":
            assert here.client.delete("/cache").json == {"evicted": 0}
        else:
            shell = {"TURNPIKE_DATABASE": postgres_url, "TURNPIKE_DATA": str(tmp_path / "here")}
            ended = turnpike(tmp_path, "forget", "--tenant", "default", "--yes", **shell)
            assert ended.exit_code == 0, ended.stderr
        with running(tmp_path, data=tmp_path / "there", **dials) as there:
            assert there.ask(**USE)["cache"] == "miss"
            assert there.ask(**other)["cache"] == ("hit" if how == "disliked" else "miss")


def test_many_callers_leave_every_replica_with_the_same_belief(replicas: list[Running]) -> None:
    def call(number: int) -> None:
        asked, rated = replicas[number % 2], replicas[number // 2 % 2]
        with asked.client.application.test_client() as client:
            prompt = {"prompt": f"What is {number} * 7?", "task": "maths"}
            answer = client.post("/complete", json=prompt).json
        thumbs = {"id": answer["id"], "thumbs": "up" if number % 3 else "down"}
        with rated.client.application.test_client() as client:
            assert client.post("/feedback", json=thumbs).status_code == 200

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(60)))
    assert agree(replicas)
    counts = replicas[0].parts.log.counts()
    assert (counts.decisions, counts.outcomes, counts.rated) == (60, 60, 60)


def test_replicas_that_start_together_adopt_one_first_policy(
    tmp_path: Path, postgres_url: str, provider: Provider
) -> None:
    dials = {"sandbox_url": provider.url, "database": postgres_url, "secret": "s" * 40}

    def start(number: int) -> list[int]:
        with running(tmp_path, data=tmp_path / str(number), **dials) as service:
            return [event.seq for event in service.parts.log.events()]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(start, range(3))) == [[1]] * 3


def test_each_process_has_a_folder_of_its_own(replicas: list[Running]) -> None:
    own = berths(beside_log(replicas[0].parts.settings))
    assert [each.name for each in own] == ["process-0", "process-1"]
    for each in own:
        assert (each / "log-spool").exists()
        assert (each / "cache.db").exists()


def test_what_died_while_no_process_ran_for_days_is_abandoned_after_the_next_start(
    tmp_path: Path, postgres_url: str, provider: Provider
) -> None:
    """Of a process that lives on it is found within minutes, so nobody looks so far back again."""
    dials = {"sandbox_url": provider.url, "database": postgres_url, "data": tmp_path}
    with running(tmp_path, **dials) as service:
        service.parts.log.decide(but(DECISION, decided_at_s=time.time() - 3 * DAY_S)).wait()
    with running(tmp_path, **dials) as service:
        log = service.parts.log
        assert eventually(lambda: log.decision(DECISION.id).outcome is not None, 20.0)
        assert log.decision(DECISION.id).outcome.status == "abandoned"


@pytest.mark.parametrize("is_old", [False, True], ids=["", "of an earlier version"])
def test_what_a_process_has_left_that_does_not_come_again_is_brought_by_another(
    is_old: bool, tmp_path: Path, postgres_url: str, provider: Provider
) -> None:
    dials = {"sandbox_url": provider.url, "database": postgres_url, "data": tmp_path}
    with running(tmp_path, **dials) as service:
        settings, log = service.parts.settings, service.parts.log
        left = (tmp_path if is_old else beside_log(settings)) / "process-3" / "log-spool"
        left.parent.mkdir()
        real = log.decision(service.ask()["id"])
        rows = [replace(real.decision, id="d"), replace(ATTEMPT, decision_id="d"), OUTCOME]
        with (left.parent / "lock").open("w") as held:
            assert not is_taken(held.fileno())
            file = SpoolFile(left, 100_000)
            file.append([Spare.of(each, None).to_bytes() for each in rows])
            file.close()
            assert not eventually(lambda: waiting_beside(settings) != 3, 2.0)
        assert eventually(lambda: waiting_beside(settings) == 0, 20.0)
        assert log.decision("d").outcome == replace(OUTCOME, seq=log.position())
        assert not left.exists()
        service.ask()
        assert log.standing.waiting == 0


def test_a_policy_that_only_a_newer_version_can_read_leaves_a_replica_as_it_was(
    replicas: list[Running],
) -> None:
    here, there = replicas
    log = here.parts.log
    first = log.policy_version(1)
    newer = replace(first, version=2, hyper={**first.hyper, "of_a_newer_version": 1.0})
    log.adopt(newer).wait()
    before = here.digest
    assert there.rate(here.ask()["id"])["status"] == "recorded"
    assert agree(replicas)
    assert here.digest != before
    assert {each.get("/healthz")["policy_version"] for each in replicas} == {1}
    log.adopt(replace(first, version=3)).wait()
    assert agree(replicas)
    assert {each.get("/healthz")["policy_version"] for each in replicas} == {3}


@pytest.mark.slow
def test_a_retrain_is_adopted_by_all_and_made_once(
    replicas: list[Running], tmp_path: Path, postgres_url: str
) -> None:
    dials = {"TURNPIKE_DATABASE": postgres_url, "TURNPIKE_DATA": str(tmp_path / "job")}
    table = evals_table(tmp_path / "evals.csv")
    assert turnpike(tmp_path, "import", str(table), **dials).exit_code == 0
    made = turnpike(tmp_path, "retrain", "--trigger", "schedule", **dials)
    assert "promoted: " in made.stdout, made.output
    again = turnpike(tmp_path, "retrain", "--trigger", "schedule", **dials)
    assert (again.exit_code, "nothing to do" in again.stdout) == (0, True)
    assert agree(replicas)
    assert {each.get("/healthz")["policy_version"] for each in replicas} == {2}
    kept = replicas[0].parts.log.saved_state(2)
    assert kept is not None
    assert (kept.policy_version, of_state(kept).upto_seq) == (2, kept.upto_seq)
    assert turnpike(tmp_path, "rollback", **dials).exit_code == 0
    assert agree(replicas)
    assert {each.get("/healthz")["policy_version"] for each in replicas} == {3}


def test_while_another_retrains_nothing_is_done(
    replicas: list[Running], tmp_path: Path, postgres_url: str
) -> None:
    replicas[0].parts.log.lease("retrain", "another", 60.0)
    dials = {"TURNPIKE_DATABASE": postgres_url, "TURNPIKE_DATA": str(tmp_path / "job")}
    ended = turnpike(tmp_path, "retrain", **dials)
    assert (ended.exit_code, "another process is retraining" in ended.stdout) == (0, True)


def test_the_doctor_knows_the_server(
    replicas: list[Running], tmp_path: Path, postgres_url: str
) -> None:
    dials = {"TURNPIKE_DATABASE": postgres_url, "TURNPIKE_DATA": str(tmp_path)}
    found = json.loads(turnpike(tmp_path, "doctor", "--json", **dials).stdout)
    told = {each["says"] for each in found if each["about"] == "postgresql"}
    # The server of the tests forgets what a power cut would take.
    assert "fsync is off there, so what we acknowledge can be lost: set it to on" in told
    assert [each["level"] for each in found if each["about"] == "log"] == ["ok"]


def test_the_sandbox_has_a_schema_of_its_own(tmp_path: Path, postgres_url: str) -> None:
    given = {"database": postgres_url, "data": tmp_path, "sandbox": "on"}
    settings = in_force(Settings.load({}, given))
    assert settings.folder == tmp_path / "sandbox"
    assert isinstance(settings.database, str)
    with PostgresLog(settings.database) as log:
        [found] = log.ask("SELECT current_schema() AS schema", {})
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        own = connection.execute("SELECT current_schema()").fetchone()
        assert own is not None
        assert found["schema"] == f"{own[0]}_sandbox"
        connection.execute(f"DROP SCHEMA {found['schema']} CASCADE")


def test_the_driver_is_loaded_after_the_loop_has_patched_what_waits() -> None:
    """Loaded before, it would wait for the server in a way that holds up every other request."""
    asked = (
        "import sys, app.processes.gunicorn_conf; assert 'psycopg' not in sys.modules\n"
        "from gevent import monkey; monkey.patch_all()\n"
        "import app.processes.wsgi, storage.postgres_log, psycopg.waiting as w\n"
        "print(w.wait.__name__)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() in {"wait_selector", "wait_poll", "wait_select"}
