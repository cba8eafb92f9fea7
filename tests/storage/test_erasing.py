"""What is taken out of the log is gone, from its files too, and what stays is nobody's."""

import time
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest

from app.monitoring import alarms
from app.monitoring import reporting as report
from jobs import failures
from policy.errors import InvalidInput, UnknownDecision
from storage.allotments import NOW
from storage.erasing import FORGOTTEN, Whose, held, overdue, theirs, transcripts
from storage.latest import Latest
from storage.log import Log
from storage.recorder import HandoverRow
from storage.rows import Row
from storage.sql import Values
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader
from storage.words import Expiry, Form, Part, Stripped, Transcript
from tests.storage.rounds import ATTEMPT, DECISION, HOUR_S, NOON_S, OUTCOME, but

CANARY = "the-canary-sings-at-dawn"


def said(decision_id: str, part: Part = "prompt", form: Form = "full", at_s: float = NOON_S):
    return Transcript(
        decision_id=decision_id, part=part, at_s=at_s, form=form, text=f"{CANARY} {decision_id}"
    )


def decided(log: Log, n: int, **more: object) -> str:
    """Record a decision with its words, its attempt, its outcome and a thumb with a comment."""
    identity = f"d{n}"
    log.decide(but(DECISION, id=identity, decided_at_s=NOON_S + n, **more)).wait()
    for part in ("prompt", "answer"):
        log.keep(said(identity, part)).wait()
    log.attempt(but(ATTEMPT, decision_id=identity, message=f"we do not do {CANARY}")).wait()
    log.settle(but(OUTCOME, decision_id=identity)).wait()
    for rater in ("ann", "bob"):
        log.rate(identity, rater, 1.0, comment=f"{CANARY}!", at_s=NOON_S + n, tenant=None,
                 window_s=1e6)  # fmt: skip
    return identity


def take_out(log: Log, *records: HandoverRow, parcel: str = "p") -> bool:
    return log.receive(parcel, "forget", NOON_S + HOUR_S, records).wait()


def stripped(identity: str, tenant: str = FORGOTTEN) -> Stripped:
    return Stripped(
        decision_id=identity, tenant=tenant, key_id=None, sketch=b"facts", context=np.ones(3)
    )


def test_words_are_kept_beside_their_decision(log: Log) -> None:
    identity = decided(log, 1)
    kept = {each.part: each for each in transcripts(log.ask, identity)}
    assert kept == {part: said(identity, part) for part in ("prompt", "answer")}
    assert transcripts(log.ask, "nobody") == []


def test_words_need_a_decision_and_come_once(log: Log) -> None:
    with pytest.raises(UnknownDecision):
        log.keep(said("nobody")).wait()
    identity = decided(log, 1)
    with pytest.raises(InvalidInput, match="recorded already"):
        log.keep(said(identity)).wait()


@pytest.mark.parametrize(
    ("forms", "gone"),
    [(("redacted", "full"), {"old"}), (("redacted",), {"old", "new"}),
     ((), {"old", "new", "masked"})],
    ids=["full", "redacted", "none"],
)  # fmt: skip
def test_texts_are_overdue_by_age_or_because_their_form_is_not_kept_any_more(
    log: Log, forms: tuple[Form, ...], gone: set[str]
) -> None:
    kept: dict[str, tuple[Form, float]] = {
        "old": ("redacted", 0.0), "new": ("full", HOUR_S), "masked": ("redacted", HOUR_S)
    }  # fmt: skip
    for identity, (form, later) in kept.items():
        log.decide(but(DECISION, id=identity)).wait()
        log.keep(said(identity, form=form, at_s=NOON_S + later)).wait()
    found = overdue(log.ask, forms, NOON_S + 1, 0.0, 99)
    assert {each.decision_id for each in found} == gone
    assert {each.what for each in found} == {"text"}
    assert take_out(log, *found)
    assert overdue(log.ask, forms, NOON_S + 1, 0.0, 99) == []
    assert {i for i in kept if transcripts(log.ask, i)} == kept.keys() - gone


def test_hashes_are_overdue_by_age(log: Log) -> None:
    for n in range(3):
        decided(log, n)
    found = overdue(log.ask, ("redacted", "full"), 0.0, NOON_S + 2, 1)
    assert [each.what for each in found] == ["hash"]
    take_out(log, *overdue(log.ask, ("full",), 0.0, NOON_S + 2, 99))
    assert [log.decision(f"d{n}").decision.prompt_sha256 for n in range(3)] == [
        "", "", DECISION.prompt_sha256,
    ]  # fmt: skip
    assert overdue(log.ask, ("full",), 0.0, NOON_S + 2, 99) == []


def test_what_is_forgotten_stays_as_figures_of_nobody(log: Log) -> None:
    mine, yours = decided(log, 1, session="s", key_id="k"), decided(log, 2, tenant="other")
    before, others = log.decision(mine), log.decision(yours)
    take_out(log, stripped(mine))
    after = log.decision(mine)
    assert (after.decision.tenant, after.decision.session) == (FORGOTTEN, None)
    assert (after.decision.prompt_sha256, after.decision.sketch) == ("", b"facts")
    assert after.decision.context.tolist() == [1.0, 1.0, 1.0]
    assert after.decision.key_id is None
    assert after.decision.ineligible == {}
    assert after.outcome == before.outcome
    assert (after.reward, after.decision.propensities) == (1.0, before.decision.propensities)
    assert transcripts(log.ask, mine) == []
    assert [each.message for each in log.attempts(mine)] == [None]
    raters = log.ask("SELECT rater, comment FROM feedback WHERE decision_id = :id", {"id": mine})
    assert sorted((row["rater"], row["comment"]) for row in raters) == [
        (f"{FORGOTTEN} 0", None), (f"{FORGOTTEN} 1", None),
    ]  # fmt: skip
    assert log.decision(yours).decision.sketch == others.decision.sketch
    assert len(transcripts(log.ask, yours)) == 2
    with pytest.raises(UnknownDecision):
        log.rate(mine, "ann", 0.0, at_s=NOON_S, tenant="acme", window_s=1e6)


def test_what_a_key_has_spent_today_is_spent_although_it_is_forgotten(log: Log) -> None:
    now_s = log.ask(NOW, {})[0]["now_s"]
    made = [("k", now_s), ("k", now_s), ("l", now_s), ("k", now_s - 48 * HOUR_S)]
    for n, (key_id, at_s) in enumerate(made):
        log.decide(but(DECISION, id=f"d{n}", key_id=key_id)).wait()
        log.settle(but(OUTCOME, decision_id=f"d{n}", at_s=at_s, cost_usd=1.0)).wait()
    this_hour_s, all_usd = now_s - now_s % HOUR_S, log.spend_usd(0.0)
    for parcel in ("first", "second"):
        take_out(log, *(stripped(f"d{n}") for n in (0, 2, 3)), parcel=parcel)
        assert log.spend_usd(this_hour_s, key_id="k") == 2.0
        assert log.spend_usd(this_hour_s, key_id="l") == 1.0
        assert log.spend_usd(0.0, key_id="k") == 2.0  # no budget lasts longer than a day
        assert log.spend_usd(0.0) == all_usd


def test_what_a_call_under_way_is_expected_to_cost_is_spent_too(log: Log) -> None:
    log.decide(but(DECISION, key_id="k")).wait()
    log.decide(but(DECISION, key_id="k", id="stored", kind="cached")).wait()
    take_out(log, stripped(DECISION.id), stripped("stored"))
    log.settle(but(OUTCOME, at_s=time.time())).wait()
    assert log.spend_usd(0.0, key_id="k") == DECISION.cost_usd_predicted[0]
    assert log.spend_usd(0.0) == OUTCOME.cost_usd


def test_what_was_added_up_by_tenant_goes_and_alarms_stay(log: Log) -> None:
    for name in (report.NAME, alarms.NAME, failures.NAME):
        log.replace(Latest(name=name, at_s=NOON_S, version=1, body={"acme": "told"})).wait()
    take_out(log, stripped(decided(log, 1)))
    assert log.latest(report.NAME) is None
    for name in (alarms.NAME, failures.NAME):
        kept = log.latest(name)
        assert kept is not None
        assert kept.body == {"acme": "told"}


def test_to_be_forgotten_again_changes_nothing(log: Log) -> None:
    identity = decided(log, 1)
    assert log.received_at_s("forget") == 0.0
    assert take_out(log, stripped(identity))
    assert not take_out(log, stripped(identity))
    raters = log.ask("SELECT DISTINCT rater FROM feedback ORDER BY rater", {})
    assert take_out(log, stripped(identity), parcel="another")
    assert log.ask("SELECT DISTINCT rater FROM feedback ORDER BY rater", {}) == raters
    assert log.received_at_s("forget") == NOON_S + HOUR_S


def test_however_many_raters_there_were_they_stay_as_many(log: Log) -> None:
    identity = decided(log, 1)
    for n in range(12):
        log.rate(identity, f"rater {n}", n % 2, at_s=NOON_S, tenant=None, window_s=1e6)
    for parcel in ("first", "second"):
        take_out(log, stripped(identity, tenant="acme"), parcel=parcel)
        log.rate(identity, f"after the {parcel}", 1.0, at_s=NOON_S, tenant="acme", window_s=1e6)
    take_out(log, stripped(identity), parcel="third")
    raters = {row["rater"] for row in log.ask("SELECT rater FROM feedback", {})}
    assert raters == {f"{FORGOTTEN} {n}" for n in range(16)}


def test_who_calls_himself_as_the_forgotten_are_called_is_forgotten_too(log: Log) -> None:
    identity = decided(log, 1)
    raters = (f"{FORGOTTEN} 1", f"{FORGOTTEN} {CANARY}", f"{FORGOTTEN} 03")
    for rater in raters:
        log.rate(identity, rater, 1.0, comment=CANARY, at_s=NOON_S, tenant=None, window_s=1e6)
    take_out(log, stripped(identity))
    kept = log.ask("SELECT rater, comment FROM feedback ORDER BY rater", {})
    assert [tuple(row.values()) for row in kept] == [(f"{FORGOTTEN} {n}", None) for n in range(5)]


def test_what_is_theirs_is_found_in_small_pieces(log: Log) -> None:
    for n in range(5):
        decided(log, n, session=("s", "t")[n % 2])
    decided(log, 5, tenant="other", session="s")
    assert held(log.ask, Whose(tenant="acme")).decisions == 5
    both = held(log.ask, Whose(tenant="acme", session="s"))
    assert (both.decisions, both.transcripts, both.ratings, both.comments) == (3, 6, 6, 6)
    pages = [[row["id"] for row in page] for page in theirs(log.ask, Whose(session="s"), 2)]
    assert pages == [["d0", "d2"], ["d4", "d5"]]
    assert held(log.ask, Whose(tenant="nobody")).decisions == 0


def test_what_comes_while_it_is_looked_for_does_not_keep_it_from_its_end(log: Log) -> None:
    for n in range(5):
        decided(log, n)
    more = count(5)

    def asking(query: str, values: Values) -> list[Row]:
        found = list(log.ask(query, values))
        decided(log, next(more))
        return found

    pages = [len(page) for page in islice(theirs(asking, Whose(tenant="acme"), 3), 9)]
    assert pages == [3, 3, 1]


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_nothing_of_it_is_left_in_the_files(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        for n in range(40):
            decided(log, n, session=f"session-{CANARY}")
        assert CANARY.encode() in everything_in(tmp_path)
        take_out(log, *(stripped(f"d{n}") for n in range(40)))
        assert not log.unwiped
        assert CANARY.encode() not in everything_in(tmp_path)
        assert log.decision("d1").reward == 1.0


def test_a_text_whose_time_is_over_is_gone_from_the_files(tmp_path: Path) -> None:
    long = f"{CANARY} " * 2_000  # several pages of its own
    with SqliteLog(tmp_path / "turnpike.db") as log:
        log.decide(but(DECISION, id="d")).wait()
        log.keep(
            Transcript(decision_id="d", part="prompt", at_s=NOON_S, form="full", text=long)
        ).wait()
        take_out(log, Expiry(decision_id="d", what="text"))
        assert CANARY.encode() not in everything_in(tmp_path)


def test_while_somebody_reads_it_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "turnpike.db"
    with SqliteLog(path) as log:
        decided(log, 1)
        with SqliteReader(path) as reader:
            rows = reader._borrow().db.execute("SELECT * FROM transcripts")
            rows.fetchone()
            take_out(log, Expiry(decision_id="d1", what="text"))
            assert transcripts(log.ask, "d1") == []
            assert log.unwiped
            assert CANARY.encode() in everything_in(tmp_path)
            rows.close()
        while log.unwiped:
            log.bring_back()
        assert b"dawn d1" not in everything_in(tmp_path)
