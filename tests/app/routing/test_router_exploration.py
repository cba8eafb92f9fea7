"""An hour of real traffic explores no more than its share, a burst, and first trials."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest

from app.keys.holder import ANYBODY
from app.routing.ask import Ask
from app.routing.ratings import Vote
from policy.exploration import BURST, charged_off, charges
from tests.app.running import Running
from upstream.tasks import is_right, tasks

REQUESTS = 400


@pytest.mark.slow
def test_an_hour_explores_no_more_than_its_share_a_burst_and_first_trials(service: Running) -> None:
    router = service.parts.router
    for task in itertools.islice(tasks(random.Random(3)), REQUESTS):
        done = router.complete(Ask(messages=list(task.messages), task=task.task_tag), ANYBODY)
        thumbs = float(is_right(task, done.text))
        service.parts.ratings.rate(Vote(done.turn.decision.id, "ann", thumbs), None)
    hyper, served, charged, spread, off = service.learned.hyper, Counter[str](), 0.0, 0.0, 0
    for each in reversed(list(service.parts.log.decisions())):
        row = each.decision
        pay = row.willingness_to_pay_usd
        said = zip(row.quality, row.cost_usd_predicted, strict=True)
        looks = [quality - cost / pay for quality, cost in said]
        best = looks.index(max(looks))
        seen = np.array([served[arm] for arm in row.eligible])  # each answer was rated
        charge = charges(seen, seen, hyper.free_trials)
        charged += charged_off(np.array(row.propensities), best, charge)
        spread += 1.0 - row.propensities[best]
        off += row.arm != row.eligible[best]
        served[row.arm] += 1
    assert sum(served.values()) == REQUESTS
    assert 0 < charged <= hyper.explored_share * REQUESTS + BURST
    # Arms are drawn from those vectors: four standard deviations above their mean.
    assert off <= spread + 4 * spread**0.5
