"""The outage of the bench: the real service in processes of its own, with arms that come and go."""

import pytest

from bench.failover import PHASES, lines, run


@pytest.mark.slow
def test_no_phase_of_an_outage_reaches_a_client() -> None:
    lived = run(seconds=2.0, per_s=20.0)
    assert [each.phase for each in lived] == list(PHASES)
    assert [each.refused for each in lived] == [0] * len(PHASES)
    assert lived[0].calls_per_request == 1.0
    assert [line.split(" | ")[1:3] for line in lines(lived)][2:] == [["40", "0"]] * len(PHASES)
