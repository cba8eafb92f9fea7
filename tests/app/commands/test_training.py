"""A scheduled retrain is made when it is due, also where the clock was wrong at the last one."""

import time

import pytest

from app.commands.training import retrain
from tests.app.running import Running, eventually
from tests.storage.rounds import RETRAIN, but

HOUR_S = 3_600.0


@pytest.mark.parametrize(
    ("hours_ago", "is_made"), [(0.1, False), (0.9, True), (-0.1, True), (-8_760.0, True)]
)
def test_a_scheduled_retrain_is_made_unless_one_has_just_been(
    service: Running, hours_ago: float, is_made: bool
) -> None:
    log, at_s = service.parts.log, time.time() - hours_ago * HOUR_S
    log.record_retrain(but(RETRAIN, id="last", started_at_s=at_s, ended_at_s=at_s)).wait()
    retrain(service.parts.settings, "schedule")
    assert eventually(lambda: len(log.retrains()) == 1 + is_made)
