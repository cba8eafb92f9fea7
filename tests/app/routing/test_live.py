"""What has been learned survives everything: it is the fold of the log, byte for byte."""

import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.commands.evals import import_evals
from app.commands.training import retrain, rollback
from app.routing.goals import CONTROL_SHARE
from app.routing.live import MOST_UNTAUGHT
from jobs.learned import Learned
from policy.decide import Question, decide, seeded
from policy.eligibility import Demand
from policy.errors import ConfigError
from policy.exploration import Allowance, Control
from storage.events import OutcomeEvent
from storage.snapshots import digest, load, save
from storage.sqlite_reader import SqliteReader
from tests.app.faulty import STREAMED, endless, faulty
from tests.app.running import BESIDE, Provider, Running, evals_table, running

Damage = Callable[[Path], None]


def learn(service: Running, rounds: int = 8) -> None:
    """Let a service learn from answers, thumbs, a change of mind and a withdrawal."""
    asked = [service.ask(f"What is {n} * 3?", task="maths") for n in range(rounds)]
    for n, answer in enumerate(asked):
        service.rate(answer["id"], "down" if n % 3 else "up")
    service.rate(asked[0]["id"], "down")
    service.rate(asked[1]["id"], "neutral")


def folded(service: Running) -> str:
    """Return the digest of the serving policy version folded from the first event."""
    log = service.parts.log
    policy = log.latest_policy()
    assert policy is not None
    return digest(Learned.start(policy).fold(log.events()).to_arrays())


def keep(_snapshots: Path) -> None:
    """Leave the snapshots alone."""


def delete(snapshots: Path) -> None:
    shutil.rmtree(snapshots)


def flip(snapshots: Path) -> None:
    """Change one byte in the middle of every snapshot."""
    for path in snapshots.iterdir():
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)


def cut(snapshots: Path) -> None:
    for path in snapshots.iterdir():
        path.write_bytes(path.read_bytes()[:-100])


def run_ahead(snapshots: Path) -> None:
    """Pretend that the log was put back to an earlier state than the snapshots."""
    path = max(snapshots.iterdir())
    newest, mark = load(path), path.stem.rpartition("-")[2]
    save(snapshots, 1, newest.upto_seq + 1_000, newest.arrays, mark)


DAMAGES = [keep, delete, flip, cut, run_ahead]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_restart_knows_what_was_known_before(
    tmp_path: Path, provider: Provider, damage: Damage
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        learn(service)
        known = service.digest
        assert known == folded(service)
    damage(tmp_path / BESIDE / "snapshots")
    with running(tmp_path, sandbox_url=provider.url) as service:
        assert service.digest == known


def test_after_an_older_copy_was_put_back_nothing_counts_that_the_log_has_lost(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        learn(service, 2)
    shutil.copy(tmp_path / "turnpike.db", tmp_path / "backup.db")
    with running(tmp_path, sandbox_url=provider.url) as service:
        learn(service, 4)
        service.parts.traffic.now()
    (tmp_path / "backup.db").rename(tmp_path / "turnpike.db")
    with running(tmp_path, sandbox_url=provider.url) as service:
        learn(service, 12)  # further than what was lost had come
        shutil.copytree(tmp_path, tmp_path / "killed")
    with running(tmp_path / "killed", sandbox_url=provider.url) as service:
        assert service.digest == folded(service)
        assert service.parts.traffic.now().total().requests == 14


def test_a_restart_takes_the_snapshot_and_folds_only_what_came_after(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        learn(service)
        service.parts.live.snapshot()
        learn(service)
        known = service.digest
        shutil.copytree(tmp_path, tmp_path / "copy")
    with running(tmp_path / "copy", sandbox_url=provider.url) as service:
        assert service.digest == known
        assert folded(service) == known


def test_a_log_of_a_version_with_other_hyper_parameters_is_refused_and_stays_as_it_is(
    tmp_path: Path, provider: Provider
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        learn(service)
        known = service.digest
    with closing(sqlite3.connect(tmp_path / "turnpike.db")) as log:
        log.execute("UPDATE policies SET hyper = json_insert(hyper, '$.mood', 1.0)")
        log.commit()
    named = "policy version 1 of the log was made by another Turnpike .*'mood'"
    with pytest.raises(ConfigError, match=named), running(tmp_path, sandbox_url=provider.url):
        pass
    with closing(sqlite3.connect(tmp_path / "turnpike.db")) as log:
        log.execute("UPDATE policies SET hyper = json_remove(hyper, '$.mood')")
        log.commit()
    with running(tmp_path, sandbox_url=provider.url) as service:
        assert service.digest == known


def test_a_process_that_died_has_lost_nothing(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        learn(service)
        known, counts = service.digest, service.parts.log.counts()
        shutil.copytree(tmp_path, tmp_path / "copy")
    with running(tmp_path / "copy", sandbox_url=provider.url) as service:
        assert (service.digest, service.parts.log.counts()) == (known, counts)


def test_a_decision_that_died_without_an_end_is_abandoned_and_teaches_nothing(
    tmp_path: Path,
) -> None:
    with faulty(tmp_path, {"a": endless}) as made:
        response = made.service.client.post("/complete", json=STREAMED, buffered=False)
        next(response.iter_encoded())
        known = made.service.learned.beliefs
        shutil.copytree(tmp_path, tmp_path / "copy")
        response.close()
    arms = tmp_path / "arms.toml"
    with running(tmp_path / "copy", arms=arms, sandbox="off") as service:
        [found] = service.parts.log.decisions()
        assert found.outcome is not None
        assert found.outcome.status == "abandoned"
        assert dict(service.learned.beliefs.quality.rated) == dict(known.quality.rated) == {}


def test_what_decides_knows_a_thumb_at_once_and_an_answer_soon(service: Running) -> None:
    live = service.parts.live
    answer = service.ask()
    within_s = time.monotonic() + 60.0
    while live.lately.upto_seq < service.parts.log.position():
        assert time.monotonic() < within_s
        time.sleep(0.01)
    for thumbs in ("up", "down", "neutral"):
        service.ask()
        service.rate(answer["id"], thumbs)
        assert live.lately.upto_seq == service.parts.log.position()
    assert digest(live.lately.to_arrays()) == service.digest == folded(service)


def test_what_is_handed_on_again_teaches_nothing_twice(service: Running) -> None:
    learn(service)
    known, log = service.digest, service.parts.log
    service.parts.live._follow(list(log.events(0, log.position())))
    assert service.digest == known == folded(service)


def test_a_long_log_without_thumbs_does_not_pile_up_before_it_is_learned(service: Running) -> None:
    service.ask("What is 2 * 3?")
    live, log = service.parts.live, service.parts.log
    (event,) = (event for event in log.events() if isinstance(event, OutcomeEvent))
    for first in range(log.position() + 1, log.position() + 3_001, 500):
        live._follow([replace(event, seq=seq) for seq in range(first, first + 500)])
        assert len(live._untaught) < MOST_UNTAUGHT
    assert live.learned.upto_seq == log.position() + 3_000


@pytest.mark.slow
@pytest.mark.parametrize("damage", [keep, delete])
def test_a_restart_after_a_retrain_and_after_a_rollback_knows_the_same(
    tmp_path: Path, provider: Provider, damage: Damage
) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        settings = service.parts.settings
        learn(service)
        first = service.learned
        import_evals(settings, evals_table(tmp_path / "evals.csv"))
        retrain(settings, "manual")
        learn(service)
        known = service.digest
        assert service.learned.policy_version == 2
        assert service.learned.space.version == 2
        assert service.get("/policy")["retrains"][0]["promoted"]
        assert known == folded(service)
    damage(tmp_path / BESIDE / "snapshots")
    with running(tmp_path, sandbox_url=provider.url) as service:
        assert service.digest == known
        rollback(settings, None)
        learn(service)
        known = service.digest
        assert service.learned.policy_version == 3
        assert service.learned.space.version == first.space.version
        assert service.learned.hyper == first.hyper
        assert known == folded(service)
    damage(tmp_path / BESIDE / "snapshots")
    with running(tmp_path, sandbox_url=provider.url) as service:
        assert service.digest == known


@pytest.mark.slow
def test_a_retrain_and_a_rollback_lose_no_thumb(tmp_path: Path, provider: Provider) -> None:
    with running(tmp_path, sandbox_url=provider.url) as service:
        import_evals(service.parts.settings, evals_table(tmp_path / "evals.csv"))
        learn(service)
        retrain(service.parts.settings, "manual")
        rated = [arm["belief"]["effective_n"] for arm in service.get("/policy")["arms"]]
        rollback(service.parts.settings, None)
        again = [arm["belief"]["effective_n"] for arm in service.get("/policy")["arms"]]
        assert again == pytest.approx(rated)


def test_every_decision_can_be_made_again_from_its_row(service: Running) -> None:
    """Fifty decisions by concurrent callers, while thumbs move the policy between them."""

    def call(number: int) -> None:
        with service.client.application.test_client() as client:
            asked = {"prompt": f"What is {number} * 7?", "task": "maths", "explore": number % 5 > 0}
            answer = client.post("/complete", json=asked).json
            thumbs = "up" if number % 2 else "down"
            client.post("/feedback", json={"id": answer["id"], "thumbs": thumbs})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(50)))
    arms = list(service.parts.catalogue().arms.values())
    with SqliteReader(service.parts.settings.database) as log:
        learned = Learned.start(log.policy_version(1))
        rows = sorted((each.decision for each in log.decisions()), key=lambda row: row.learned_seq)
        for row in rows:
            learned = learned.fold(log.events(learned.upto_seq, row.learned_seq))
            question = Question(
                context=learned.context(row),
                demand=Demand(input_tokens=row.input_tokens_estimated),
                willingness_to_pay_usd=row.willingness_to_pay_usd,
                words=row.words,
                explore=row.explore,
            )
            again = decide(
                arms,
                question,
                learned.beliefs,
                seeded(row.id),
                allowance=Allowance(row.allowance),
                control=Control(CONTROL_SHARE),
            )
            assert tuple(again.propensities.tolist()) == row.propensities
            assert (again.arm, again.propensity) == (row.arm, row.propensity)
            assert (again.eligible, again.policy) == (row.eligible, row.policy)
    assert len(rows) == 50
    assert len({row.learned_seq for row in rows}) > 10


def test_what_cannot_be_deleted_keeps_nobody_from_serving_and_is_told(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_folder: Path, _version: int) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("app.routing.live.snapshots.forget_before", refuse)
    with capture_logs() as said, running(tmp_path, sandbox_url=provider.url) as service:
        assert service.ask()["text"]
    told = {each["event"]: each.get("why") for each in said}
    assert "Permission denied" in told["snapshots of earlier policies stay"]
