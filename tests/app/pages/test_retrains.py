"""What the page of retrains says of those that there were."""

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


def test_one_rating_has_come(service: Running) -> None:
    service.rate(service.ask()["id"], "up")
    assert "1 rating has come so far." in service.client.get("/pages/retrains").text
