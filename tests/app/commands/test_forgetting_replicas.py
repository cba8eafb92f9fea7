"""Somebody is forgotten in PostgreSQL: by every replica, whoever takes it out of the log."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from jobs.learned import Learned
from storage.erasing import FORGOTTEN
from storage.snapshots import digest
from tests.app.commands.test_cli import turnpike
from tests.app.commands.test_forgetting import OURS, RATER, SESSION, asked
from tests.app.running import Provider, Running, eventually, running
from tests.app.test_wiring_replicas import agree


def told(tmp_path: Path, url: str, *arguments: str, **dials: str) -> Any:
    ended = turnpike(
        tmp_path, *arguments, "--json", TURNPIKE_DATABASE=url, TURNPIKE_DATA=str(tmp_path), **dials
    )
    assert ended.exit_code == 0, ended.stderr
    return json.loads(ended.stdout[ended.stdout.index("{\n") :])


def everything(service: Running) -> str:
    """Return all that the tables hold, as text."""
    log = service.parts.log
    tables = log.ask(
        "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()", {}
    )
    held = (log.ask(f"SELECT * FROM {row['name']} t", {}) for row in tables)
    return repr([[dict(row) for row in rows] for rows in held])


def test_every_replica_forgets(tmp_path: Path, postgres_url: str, provider: Provider) -> None:
    dials = {"sandbox_url": provider.url, "database": postgres_url, "data": tmp_path}
    words: dict[str, Any] = {"prompts": "full", "cache": "exact"}
    with running(tmp_path, **dials, **words) as a, running(tmp_path, **dials, **words) as b:
        here, there = (
            Running(each.parts, each.client.application.test_client()) for each in (a, b)
        )
        ours = [asked(here), asked(there)]
        asked(there, session=None)
        assert all(word in everything(here) for word in OURS)
        assert (
            told(tmp_path, postgres_url, "export", str(tmp_path / "log.parquet"))["decisions"] == 3
        )
        assert RATER not in repr(pq.read_table(tmp_path / "log.parquet").to_pylist())
        said = told(tmp_path, postgres_url, "forget", "--tenant", "default", "--yes")
        assert (said["decisions"], said["comments"], said["policy_version"]) == (3, 2, 2)
        for each in (here, there):
            assert eventually(lambda service=each: service.learned.policy_version == 2, 20.0)
            assert eventually(
                lambda service=each: service.get("/policy")["cache"]["answers"] == 0, 20.0
            )
            shown = each.get(f"/decisions/{ours[0]}")
            assert (shown["prompt"], shown["answer"], shown["reward"]) == (None, None, 1.0)
        assert not [word for word in OURS if word in everything(here)]
        assert {each.decision.tenant for each in here.parts.log.decisions()} == {FORGOTTEN}
        assert agree([here, there])
        policy = here.parts.log.latest_policy()
        assert policy is not None
        fold = Learned.start(policy).fold(here.parts.log.events())
        assert here.digest == digest(fold.to_arrays())


def test_what_a_replica_had_learned_leaves_its_own_folder_too(
    tmp_path: Path, postgres_url: str, provider: Provider
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    dials = {"sandbox_url": provider.url, "database": postgres_url}
    with running(tmp_path, data=there, **dials) as replica:
        asked(replica)
        replica.parts.live.snapshot()
        assert snapshots_of(there) == ["v000001"]
        assert told(here, postgres_url, "forget", "--tenant", "default", "--yes")["decisions"] == 1
        assert eventually(lambda: replica.learned.policy_version == 2, 20.0)
        assert snapshots_of(there) == []


def snapshots_of(folder: Path) -> list[str]:
    """Return of which policy versions a folder holds what was learned."""
    return sorted(path.name.split("-")[1] for path in folder.glob("*-beside/snapshots/*"))


def test_words_whose_time_is_over_go(tmp_path: Path, postgres_url: str, provider: Provider) -> None:
    dials = {"sandbox_url": provider.url, "database": postgres_url, "data": tmp_path}
    with running(tmp_path, **dials, prompts="full") as service:
        identity = asked(service)
        assert told(tmp_path, postgres_url, "prune", "--yes", TURNPIKE_PROMPTS="full")["texts"] == 0
        gone = told(tmp_path, postgres_url, "prune", "--yes", TURNPIKE_PROMPTS="off")
        assert gone == {"texts": 1, "hashes": 1}
        assert service.get(f"/decisions/{identity}")["prompt"] is None
        assert SESSION in everything(service)
