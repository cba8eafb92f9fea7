"""What a policy was adopted with is there for machines that have no snapshot of it."""

import numpy as np
import pytest

from policy.errors import DamagedFile
from storage import snapshots
from storage.log import Log
from storage.recorder import HandoverRow
from storage.states import SavedState
from tests.storage.rounds import NOON_S, POLICY, but


def test_what_a_policy_was_adopted_with_is_the_same_everywhere(log: Log) -> None:
    arrays = {"mean": np.arange(3.0)}
    state = snapshots.state(2, 7, arrays)
    given: list[HandoverRow] = [but(POLICY, version=2), state]
    assert log.receive("h", "retrain", NOON_S, given).wait()
    kept = log.saved_state(2)
    assert kept == state
    here = snapshots.of_state(kept)
    assert (snapshots.digest(here.arrays), here.upto_seq) == (snapshots.digest(arrays), 7)
    with pytest.raises(DamagedFile, match="cut short or altered"):
        snapshots.of_state(but(state, content=state.content[:-1]))


def test_only_the_newest_few_are_kept(log: Log) -> None:
    for version in range(1, 9):
        state = SavedState(policy_version=version, upto_seq=version, content=b"x")
        log.receive(f"{version}", "retrain", NOON_S, [but(POLICY, version=version), state]).wait()
    kept = [version for version in range(1, 9) if log.saved_state(version) is not None]
    assert kept == [5, 6, 7, 8]
