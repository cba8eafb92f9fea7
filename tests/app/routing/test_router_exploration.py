"""After first trials an hour of real traffic explores no more than its share and a burst."""

import itertools
import random
from pathlib import Path

import pytest

from app.commands.evals import import_evals
from app.keys.holder import ANYBODY
from app.routing.ask import Ask
from app.routing.observed import Vote
from policy.exploration import BURST
from tests.app.running import Running, evals_table, eventually
from upstream.tasks import is_right, tasks

REQUESTS, EVALS = 400, 150


@pytest.mark.slow
def test_after_first_trials_an_hour_explores_no_more_than_its_share_and_a_burst(
    service: Running, tmp_path: Path
) -> None:
    import_evals(service.parts.settings, evals_table(tmp_path / "evals.csv", EVALS))
    assert eventually(lambda: service.learned.upto_seq == service.parts.log.position() > EVALS)
    router = service.parts.router
    for task in itertools.islice(tasks(random.Random(3)), REQUESTS):
        done = router.complete(Ask(messages=list(task.messages), task=task.task_tag), ANYBODY)
        thumbs = float(is_right(task, done.text))
        service.parts.observed.rate(Vote(done.turn.decision.id, "ann", thumbs), None)
    share, spread, off = service.learned.hyper.explored_share, 0.0, 0
    for each in reversed(list(service.parts.log.decisions())):
        row = each.decision
        pay = row.willingness_to_pay_usd
        said = zip(row.quality, row.cost_usd_predicted, strict=True)
        looks = [quality - cost / pay for quality, cost in said]
        best = looks.index(max(looks))
        spread += 1.0 - row.propensities[best]
        off += row.arm != row.eligible[best]
    assert service.parts.log.counts().rated == REQUESTS
    assert 0 < spread <= share * REQUESTS + BURST
    # Arms are drawn from those vectors: four standard deviations above their mean.
    assert off <= spread + 4 * spread**0.5
