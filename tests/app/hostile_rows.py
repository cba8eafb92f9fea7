"""Rows of the log that hold markup wherever text may come from outside."""

import time

from storage.records import Retrain
from tests.app.running import Running
from tests.storage.rounds import ATTEMPT, OUTCOME, but

EVIL = (
    "<script>alert(1)</script><img src=//evil.example/x onerror=alert(2)>"
    "</textarea>'\"><svg/onload=alert(3)>{{ 7*7 }}"
)


def as_they_are(service: Running) -> str:
    """Record a decision whose every text is markup, rated and retrained on; return its id."""
    log, now_s = service.parts.log, time.time()
    [like] = log.recent(1)
    evil = but(
        like,
        id="tp-evil",
        decided_at_s=now_s,
        arm=EVIL,
        eligible=(EVIL, *like.eligible[1:]),
        ineligible={EVIL: EVIL},
        task=EVIL,
        session=EVIL,
    )
    log.decide(evil)
    log.attempt(but(ATTEMPT, decision_id=evil.id, arm=EVIL, message=EVIL, started_at_s=now_s))
    ended = but(OUTCOME, decision_id=evil.id, arm=EVIL, model=EVIL, finish_reason=EVIL, at_s=now_s)
    log.settle(ended).wait()
    log.rate(evil.id, EVIL[:64], 0.0, comment=EVIL, at_s=now_s, tenant=evil.tenant, window_s=9e9)
    retrain = Retrain(
        id="evil",
        started_at_s=now_s,
        ended_at_s=now_s,
        trigger="manual",
        incumbent_version=1,
        candidate_version=None,
        promoted=False,
        reason=EVIL,
        report={"rule": EVIL},
    )
    log.record_retrain(retrain).wait()
    return evil.id
