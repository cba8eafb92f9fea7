"""What a job hands over is what the log gets, field by field, and exactly once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.space import Space
from jobs.intake import (
    Parcel,
    of_evals,
    of_key,
    of_policy,
    of_retrain,
    of_revocation,
    records,
    save,
)
from jobs.learned import Learned
from policy.errors import InvalidInput
from policy.hyper import Hyper
from storage.handover import Handover, hand_over, pending, take
from storage.keys import KeyStanding, Revocation
from storage.records import PolicyVersion
from storage.snapshots import digest, of_state
from storage.sqlite_log import SqliteLog
from tests.jobs.test_learned import TEXTS, learned, rated
from tests.storage.rounds import EVAL, NOON_S, RETRAIN, but
from tests.storage.test_keys import KEY

POLICY = PolicyVersion(
    version=1,
    created_at_s=NOON_S,
    source="retrain",
    feature_version=1,
    space=Space.from_bytes(b"").to_bytes(),
    hyper=Hyper(floor=0.02, hints={"a": 0.5}).to_json(),
)
KNOWN = learned(rated(1, TEXTS[0], 1.0))


def taken(folder: Path, log: SqliteLog, parcel: Parcel) -> list[str]:
    hand_over(folder, *parcel)
    return [each.status for each in take(folder, log, records, NOON_S)]


def test_a_promoted_retrain_arrives_with_policy_and_what_it_knows(tmp_path: Path) -> None:
    promoted = but(RETRAIN, promoted=True, candidate_version=1)
    with SqliteLog(tmp_path / "turnpike.db") as log:
        assert taken(tmp_path, log, of_retrain(promoted, POLICY, KNOWN)) == ["imported"]
        assert log.retrains() == [promoted]
        adopted = log.latest_policy()
        assert adopted is not None
        assert but(adopted, seq=0) == POLICY
        assert Hyper.from_json(adopted.hyper) == Hyper.from_json(POLICY.hyper)
        state = log.saved_state(1)
    assert state is not None
    assert digest(of_state(state).arrays) == digest(KNOWN.to_arrays())


def test_a_refused_retrain_arrives_alone(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        assert taken(tmp_path, log, of_retrain(RETRAIN, None, None)) == ["imported"]
        assert log.retrains() == [RETRAIN]
        assert log.latest_policy() is None


def test_evals_arrive_in_order_with_their_sketches(tmp_path: Path) -> None:
    evals = [but(EVAL, arm=arm, sketch=bytes([n, 0, 255])) for n, arm in enumerate("abc")]
    with SqliteLog(tmp_path / "turnpike.db") as log:
        taken(tmp_path, log, of_evals(evals))
        assert [(event.arm, event.sketch) for event in log.events()] == [  # type: ignore[union-attr]
            (each.arm, each.sketch) for each in evals
        ]


def test_a_policy_that_came_too_late_is_set_aside_and_said(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "turnpike.db") as log:
        log.adopt(but(POLICY, version=5)).wait()
        identity = hand_over(tmp_path / "handover", *of_policy(POLICY, KNOWN))
        [told] = take(tmp_path / "handover", log, records, NOON_S)
        assert (told.status, "give 6 or more" in told.reason) == ("rejected", True)
        assert pending(tmp_path / "handover") == []
        assert list((tmp_path / "handover" / "rejected").glob(f"{identity}*"))


def test_a_parcel_of_an_unknown_kind_is_named() -> None:
    with pytest.raises(InvalidInput, match="'poem' cannot be read; it must be retrain, "):
        records(Handover("x", "poem", {}, {}))


def _altered(**policy: Any) -> Handover:
    """Return a parcel as another version of the program might have made it."""
    kind, payload, blobs = of_policy(POLICY, KNOWN)
    return Handover("x", kind, {"policy": {**payload["policy"], **policy}}, blobs)


@pytest.mark.parametrize(
    "policy",
    [{"mood": "good"}, {"hyper": {"mood": 1.0}}, {"hyper": {"quality_shared": {"facts": 1.0}}}],
    ids=["a field", "a hyper-parameter", "scales"],
)
def test_a_policy_that_cannot_be_folded_never_reaches_the_log(policy: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="cannot be used"):
        records(_altered(**policy))


@pytest.mark.parametrize("space", [b"PK\x03\x04", b"no archive at all"])
def test_a_policy_whose_space_is_damaged_never_reaches_the_log(space: bytes) -> None:
    parcel = but(_altered(), blobs={"space": space})
    with pytest.raises(InvalidInput, match="cannot be used"):
        records(parcel)


def test_what_knows_nothing_yet_is_saved_in_finite_numbers(tmp_path: Path) -> None:
    empty = save(tmp_path, Learned.under(1, Space.from_bytes(b""), Hyper()), "0" * 16)
    assert all(np.isfinite(array).all() for array in empty.arrays.values())


def test_a_key_and_its_end_arrive_as_they_were_made(tmp_path: Path) -> None:
    revocation = of_revocation(Revocation(key_id=KEY.id, at_s=NOON_S))
    with SqliteLog(tmp_path / "turnpike.db") as log:
        assert taken(tmp_path, log, of_key(KEY)) == ["imported"]
        assert log.known_keys() == [KeyStanding(key=KEY, revoked_at_s=None)]
        assert taken(tmp_path, log, revocation) == ["imported"]
        assert log.known_keys() == [KeyStanding(key=KEY, revoked_at_s=NOON_S)]
        assert taken(tmp_path, log, revocation) == ["rejected"]
