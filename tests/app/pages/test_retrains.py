"""What the page of retrains says of those that there were."""

from dataclasses import replace

from app.pages.today import changes
from features.space import Space
from jobs.retrain import by_evidence
from policy.tuning import LOG_BAYES_FACTOR
from tests.app.running import Running
from tests.storage.rounds import RETRAIN, but


def test_what_it_takes_to_promote_by_evidence_is_what_was_asked_for(service: Running) -> None:
    decided = by_evidence(LOG_BAYES_FACTOR + 0.1, None)
    record = but(RETRAIN, promoted=True, reason=decided.reason, report=decided.report)
    service.parts.log.record_retrain(record).wait()
    text = service.client.get("/pages/retrains").text
    assert f"to promote by it takes {LOG_BAYES_FACTOR:g}." in text


def test_one_rating_has_come_however_often_it_was_changed(service: Running) -> None:
    answer = service.ask()
    for thumbs in ("up", "down", "up"):
        service.rate(answer["id"], thumbs)
    assert service.get("/policy")["counts"]["feedback_since_retrain"] == 1
    assert (
        "Policy 1 serves. 1 rating has come so far." in service.client.get("/pages/retrains").text
    )


def test_what_has_come_since_a_retrain_is_told_by_the_log_and_not_by_the_clock(
    service: Running,
) -> None:
    """The clock was years ahead when it ran; one rating is new, one is withdrawn, one stays."""
    old, gone, new = (service.ask() for _ in range(3))
    service.rate(old["id"], "up")
    service.rate(gone["id"], "up")
    log = service.parts.log
    ahead = but(RETRAIN, started_at_s=4e9, ended_at_s=4e9, report={"upto_seq": log.position()})
    log.record_retrain(ahead).wait()
    service.rate(gone["id"], "neutral")
    service.rate(new["id"], "up")
    assert service.get("/policy")["counts"]["feedback_since_retrain"] == 2
    told = "2 ratings have come or changed since the last retrain."
    assert told in service.client.get("/pages/retrains").text


def test_an_interval_holds_what_the_log_says_nothing_of(service: Running) -> None:
    told = {"mean": 0.8, "se": 0.02, "blind": 0.03}
    report = dict.fromkeys(("candidate", "incumbent", "gain"), told) | {
        "candidate_calibration": 0.1,
        "incumbent_calibration": 0.1,
        "rounds": 92,
        "spend_ratio": 1.0,
        "ess": 61.6,
    }
    service.parts.log.record_retrain(but(RETRAIN, candidate_version=2, report=report)).wait()
    half = 1.96 * 0.02 + 0.03
    text = service.client.get("/pages/retrains").text
    assert text.count(f"0.8000 <small>± {half:.4f}") == 2
    assert f"({0.8 - half:+.4f} to {0.8 + half:+.4f})" in text


def test_after_a_way_back_it_is_told_what_serves_and_what_there_is_to_go_back_to(
    service: Running,
) -> None:
    """Policies 2 and 5 are of retrains, 3 and 6 of a way back to 1 and 2, 4 of a new arm."""
    log = service.parts.log
    first = log.policy_version(1)
    for version, source, features in (
        (2, "retrain", 2),
        (3, "rollback", 0),
        (4, "catalogue", 0),
        (5, "retrain", 5),
        (6, "rollback", 2),
    ):
        space = replace(Space.built_in(), version=features).to_bytes()
        kind = {"version": version, "source": source, "created_at_s": float(version)}
        log.adopt(but(first, **kind, feature_version=features, space=space)).wait()
    text = service.client.get("/pages/retrains").text
    assert "Policy 6 serves, with the features of policy 2." in text
    for told in (">5 (retrain, 1", ">4 (catalogue, features of 1, 1", ">1 (initial, "):
        assert told in text
    says = {change.what: change.says for change in changes(service.parts)}
    assert says["Policy 3"] == "The features of policy 1 serve again."
    assert says["Policy 6"] == "The features of policy 2 serve again."
