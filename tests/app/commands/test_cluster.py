"""Three replicas under load while they and PostgreSQL are restarted: nobody sees it, all agree."""

import http.client
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.commands.cluster import Cluster, handed_on
from app.mode import APART
from app.settings import Settings
from jobs.invariants import broken
from jobs.witness import Journal, Witness
from storage.place import apart
from storage.postgres_reader import PostgresReader
from tests.app.running import CATALOGUE, eventually

CALLERS = 4


@dataclass
class Load:
    """Callers who ask and rate until stopped, and write down what was acknowledged to them."""

    address: str
    outcomes: set[str] = field(default_factory=set)
    thumbs: dict[tuple[str, str, int], float | None] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def call(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self.stopping.is_set():
            prompt = f"What is {rng.randrange(100)} * 7?"
            answer = self._post("/complete", {"prompt": prompt, "task": "maths"})
            if answer is None:
                continue
            self.outcomes.add(answer["id"])
            thumbs = rng.choice(["up", "down"])
            self._rate(answer["id"], thumbs)

    def _rate(self, decision_id: str, thumbs: str) -> None:
        """Rate until it is acknowledged: while the store is away nothing is, and 503 says so."""
        rating = None
        while rating is None and not self.failures:
            rated = {"id": decision_id, "thumbs": thumbs, "rater": "ann"}
            rating = self._post("/feedback", rated, unless="store_unavailable")
            if rating is None:
                time.sleep(0.2)
        if rating is not None:
            revision = decision_id, "ann", rating["revision"]
            self.thumbs[revision] = 1.0 if thumbs == "up" else 0.0

    def _post(self, path: str, body: object, unless: str = "nothing") -> Any:
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=90)
        try:
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{path}: {error!r}")
            return None
        finally:
            connection.close()
        if response.status == 503 and json.loads(text)["error"]["code"] == unless:
            return None
        if response.status != 200:
            self.failures.append(f"{path}: {response.status} {text}")
            return None
        return json.loads(text)


@pytest.fixture
def cluster(open_folder: Path) -> Iterator[Cluster]:
    given = {"arms": CATALOGUE, "database": open_folder / "turnpike.db", "control_share": 0}
    with Cluster(open_folder, Settings.load({}, given), 3) as running:
        yield running


def test_a_replica_is_given_what_is_set_here_and_is_no_ones_own_secrets_too() -> None:
    given = {
        "alarm_webhook": "https://hooks.example.com/x",
        "log_level": "debug",
        "control_share": 0,
    }
    ours = Settings.load({}, {**given, "api_key": "0123456789abcdef"})
    theirs = Settings.load(handed_on(ours))
    assert theirs == Settings.load({}, given)


@pytest.mark.slow
def test_restarts_of_replicas_and_of_the_store_are_seen_by_nobody(cluster: Cluster) -> None:
    load = Load(cluster.url.removeprefix("http://"))
    callers = [threading.Thread(target=load.call, args=(k,), daemon=True) for k in range(CALLERS)]
    for caller in callers:
        caller.start()
    assert cluster.server is not None
    for disturb in (
        lambda: cluster.restart(0),
        lambda: cluster.server.restart(signal.SIGQUIT),  # type: ignore[union-attr]
        lambda: cluster.restart(1, signal.SIGKILL),
    ):
        enough = len(load.thumbs) + 20
        assert eventually(lambda: len(load.thumbs) > enough, 60)  # noqa: B023  asked at once
        disturb()
    time.sleep(1)
    load.stopping.set()
    for caller in callers:
        caller.join()
    assert load.failures[:3] == []
    policies = cluster.agree()
    assert policies is not None, cluster.policies()
    journal = Journal(frozenset(load.outcomes), load.thumbs)
    with PostgresReader(str(apart(cluster.database, APART))) as log:
        assert log.position() == policies[0]["learned_events"]
        # A replica that was killed leaves decisions without an end, until the keeper gives it one.
        assert broken(log, Witness(journal=journal, is_quiet=False)) == []
    assert len(load.thumbs) > 60
