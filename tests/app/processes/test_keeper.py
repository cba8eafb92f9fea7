"""The chores of a running service."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from jobs.intake import of_key, of_revocation
from policy.decide import decide, seeded
from storage.handover import hand_over
from storage.keys import Revocation
from tests.app.running import BESIDE, Provider, eventually, running
from tests.policy.test_decide import ARMS, BELIEFS, FULL, asked
from tests.storage.rounds import DECISION, NOON_S, but
from tests.storage.test_keys import KEY

DAY_S = 86_400.0


def test_a_decision_that_nothing_can_still_end_is_abandoned_while_the_service_runs(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that a request may still be busy with are left alone."""
    monkeypatch.setattr("app.processes.keeper.ABANDON_EVERY_S", 0.0)
    with running(tmp_path, sandbox_url=provider.url) as service:
        log, now_s = service.parts.log, time.time()
        for name, age_s in (("new", 60.0), ("lost", DAY_S / 2), ("ancient", 3 * DAY_S)):
            log.decide(but(DECISION, id=name, decided_at_s=now_s - age_s)).wait()
        assert eventually(lambda: log.decision("lost").outcome is not None)
        assert log.decision("lost").outcome.status == "abandoned"  # type: ignore[union-attr]
        assert log.decision("new").outcome is None
        # Older than a day: only a start looks so far back, because the whole log is read for it.
        assert log.decision("ancient").outcome is None
    with running(tmp_path, sandbox_url=provider.url) as service:
        log = service.parts.log
        assert log.counts().decisions == log.counts().outcomes == 3


def test_a_clock_that_is_set_ahead_ends_no_decision_that_is_under_way(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.processes.keeper.ABANDON_EVERY_S", 0.0)
    monkeypatch.setattr("app.processes.keeper.busy_s", lambda _arms: 60.0)
    later_s = [0.0]
    ahead = SimpleNamespace(
        time=lambda: time.time() + DAY_S / 8 + later_s[0],
        monotonic=lambda: time.monotonic() + later_s[0],
    )
    with running(tmp_path, sandbox_url=provider.url) as service:
        log, now_s = service.parts.log, time.time()
        log.decide(but(DECISION, decided_at_s=now_s)).wait()
        monkeypatch.setattr("app.processes.keeper.time", ahead)
        time.sleep(1.5)
        assert log.decision(DECISION.id).outcome is None
        later_s[0] = 60.0
        assert eventually(lambda: log.decision(DECISION.id).outcome is not None)


def test_a_chore_that_always_fails_keeps_no_other_from_being_done_and_is_told_once(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parcel that is refused cannot be moved out of the way, because a file has its place."""
    monkeypatch.setattr("app.processes.keeper.ABANDON_EVERY_S", 0.0)
    monkeypatch.setattr("app.routing.live.SNAPSHOT_EVERY", 1)
    folder = tmp_path / BESIDE / "handover"
    folder.mkdir(parents=True)
    (folder / "rejected").touch()
    (folder / "junk.handover").write_bytes(b"junk")
    with capture_logs() as told, running(tmp_path, sandbox_url=provider.url) as service:
        log = service.parts.log
        log.decide(but(DECISION, decided_at_s=time.time() - DAY_S / 2)).wait()
        assert eventually(lambda: log.decision(DECISION.id).outcome is not None)
        assert eventually(lambda: any((tmp_path / BESIDE / "snapshots").glob("*.snapshot")))
        (folder / "rejected").unlink()
        assert eventually(lambda: any((folder / "rejected").glob("*")))
    assert [line["chore"] for line in told if "chore" in line] == ["take handovers"]


def test_parcels_that_make_no_sense_are_set_aside_and_the_next_one_is_taken(
    tmp_path: Path, provider: Provider
) -> None:
    folder = tmp_path / BESIDE / "handover"
    with running(tmp_path, sandbox_url=provider.url) as service:
        hand_over(folder, *of_revocation(Revocation(key_id="nope", at_s=NOON_S)))
        hand_over(folder, "prune", {"expiries": [{"decision_id": "x", "what": "comment"}]}, {})
        hand_over(folder, "retrain", {"fence": {"name": "retrain", "token": "abc"}}, {})
        stripped = {
            "decision_id": "x",
            "tenant": "t",
            "key_id": None,
            "sketch": "",
            "context": ["a"],
        }
        hand_over(folder, "forget", {}, {"stripped": json.dumps([stripped]).encode()})
        hand_over(folder, *of_key(KEY))
        assert eventually(lambda: service.parts.log.known_keys() != [])
        assert len(list((folder / "rejected").glob("*.handover"))) == 4
        assert not service.parts.log.standing.is_stopped


def test_what_a_budget_holds_for_a_call_that_cannot_go_on_is_given_back(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.processes.keeper.ABANDON_EVERY_S", 0.0)
    verdict = decide(ARMS, asked(), BELIEFS, seeded("d"), policy="thompson", allowance=FULL)
    with running(tmp_path, sandbox_url=provider.url, budget_usd=1.0) as service:
        pacing, now_s = service.parts.live._treasury.service, time.time()
        for name, age_s in (("lost", DAY_S / 2), ("new", 60.0)):
            pacing.decided(name, verdict, now_s - age_s, is_priced_here=False)
        assert eventually(lambda: list(pacing._held) == ["new"])
        assert service.parts.live.pacer.books.expected_usd == pytest.approx(
            verdict.hold.expected_usd
        )


def test_what_cannot_be_kept_at_the_end_is_told_and_keeps_nothing_else_from_being_kept(
    tmp_path: Path, provider: Provider
) -> None:
    """A file has the place of the folder in which what was learned is kept."""
    with capture_logs() as told, running(tmp_path, sandbox_url=provider.url) as service:
        service.rate(service.ask()["id"])
        while service.parts.traffic.advance():
            pass
        (tmp_path / BESIDE / "snapshots").touch()
    [line] = [each for each in told if each["event"] == "not kept at the end"]
    assert line["what"] == "what was learned"
    assert "snapshots" in line["reason"]
    assert list((tmp_path / BESIDE / "traffic").glob("*.snapshot"))
