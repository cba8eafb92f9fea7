"""An hour of traffic through the real router explores no more than its share and a burst."""

import itertools
import random

import pytest

from app.ask import Ask
from policy.exploration import BURST
from tests.app.running import Running
from upstream.tasks import is_right, tasks

REQUESTS = 400


@pytest.mark.slow
def test_an_hour_explores_no_more_than_its_share_and_a_burst(service: Running) -> None:
    router = service.parts.router
    for task in itertools.islice(tasks(random.Random(3)), REQUESTS):
        done = router.complete(Ask(messages=list(task.messages), task=task.task_tag))
        thumbs = float(is_right(task, done.text))
        router.rate(done.turn.decision.id, "ann", thumbs, None)
    explored = spread = 0.0
    for each in service.parts.log.decisions():
        row = each.decision
        pay, said = (
            row.willingness_to_pay_usd,
            zip(row.quality, row.cost_usd_predicted, strict=True),
        )
        looks = [quality - cost / pay for quality, cost in said]
        best = looks.index(max(looks))
        spread += 1.0 - row.propensities[best]
        explored += row.arm != row.eligible[best]
    share = service.learned.hyper.explored_share
    assert 0 < spread <= share * REQUESTS + BURST
    # Arms are drawn from those vectors: four standard deviations above their mean.
    assert explored <= spread + 4 * spread**0.5
