"""Results of jobs on their way to the log: child processes hand them over, the writer takes them.

A parcel says what was made, by `of_` and its name; `records` says which rows of the log that is,
by `READERS`, and `storage.writes.RECEIVERS` what each kind of row does to the tables.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from structlog import get_logger

from jobs.learned import Learned
from policy.errors import ConfigError, DamagedFile, InvalidInput
from storage import snapshots
from storage.handover import Handover
from storage.keys import Key, Revocation
from storage.latest import Latest
from storage.parcel import Blobs
from storage.reader import LogReader
from storage.recorder import HandoverRow
from storage.records import Eval, Fence, PolicyVersion, Retrain, Voters, Withdrawal, WithdrawnVote
from storage.rows import plain
from storage.states import SavedState
from storage.words import Expiry, Stripped

LOGGER = get_logger()
RETRAIN, ROLLBACK, EVALS = "retrain", "rollback", "evals"
KEY, REVOCATION, LATEST = "key", "revocation", "latest"
PRUNE, FORGET, WITHDRAW, DISTRUST = "prune", "forget", "withdraw", "distrust"


class Parcel(NamedTuple):
    """What `storage.handover.hand_over` puts into a folder."""

    kind: str
    payload: dict[str, Any]
    blobs: Blobs


def of_retrain(
    retrain: Retrain,
    policy: PolicyVersion | None,
    learned: Learned | None,
    fence: Fence | None = None,
) -> Parcel:
    """Return a retrain, and what its policy has learned."""
    payload, blobs = ({}, {}) if policy is None or learned is None else _adopted(policy, learned)
    payload["retrain"] = asdict(retrain)
    if fence is not None:
        payload["fence"] = asdict(fence)
    return Parcel(RETRAIN, payload, blobs)


def of_policy(policy: PolicyVersion, learned: Learned) -> Parcel:
    """Return a policy to go back to, and what it has learned."""
    return Parcel(ROLLBACK, *_adopted(policy, learned))


def of_evals(evals: Sequence[Eval]) -> Parcel:
    """Return an imported evaluation."""
    rows = [{**asdict(each), "sketch": each.sketch.hex()} for each in evals]
    return Parcel(EVALS, {}, {"evals": json.dumps(rows).encode()})


def of_expiries(expiries: Sequence[Expiry]) -> Parcel:
    """Return what the log is to keep no longer."""
    return Parcel(PRUNE, {"expiries": [asdict(e) for e in expiries]}, {})


def of_stripped(stripped: Sequence[Stripped]) -> Parcel:
    """Return what stays of decisions that are forgotten."""
    rows = [
        {**plain(each), "sketch": each.sketch.hex(), "context": each.context.tolist()}
        for each in stripped
    ]
    return Parcel(FORGET, {}, {"stripped": json.dumps(rows).encode()})


def of_withdrawal(withdrawal: Withdrawal) -> Parcel:
    """Return what withdraws evals, or takes that back."""
    return Parcel(WITHDRAW, asdict(withdrawal), {})


def of_withdrawn_votes(votes: Sequence[WithdrawnVote]) -> Parcel:
    """Return what withdraws votes that others gave."""
    return Parcel(DISTRUST, {"votes": [asdict(each) for each in votes]}, {})


def of_distrusted(voters: Voters) -> Parcel:
    """Return that votes of theirs which were taken back are as if never given."""
    return Parcel(DISTRUST, {"votes": [], "voters": asdict(voters)}, {})


def of_key(key: Key) -> Parcel:
    """Return a new key, of which only the digest is told."""
    fields = asdict(key)
    return Parcel(KEY, fields, {"digest": fields.pop("digest")})


def of_revocation(revocation: Revocation) -> Parcel:
    """Return the end of a key."""
    return Parcel(REVOCATION, asdict(revocation), {})


def of_latest(latest: Latest) -> Parcel:
    """Return a result that takes the place of the one before."""
    fields = asdict(latest)
    return Parcel(LATEST, fields, {"body": json.dumps(fields.pop("body")).encode()})


def records(parcel: Handover) -> Sequence[HandoverRow]:
    """Return the rows that a parcel stands for.

    A policy is tried out here: one that could not be folded must never get into the log.

    raises : InvalidInput if this program does not know its kind, or cannot use what it holds
    """
    if parcel.kind not in READERS:
        known = ", ".join(READERS)
        raise InvalidInput(f"a parcel of kind {parcel.kind!r} cannot be read; it must be {known}")
    try:
        return READERS[parcel.kind](parcel)
    except (ConfigError, TypeError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise InvalidInput(
            f"the parcel {parcel.id} of kind {parcel.kind} cannot be used: {error!r}; "
            "it must be made by this version of Turnpike"
        ) from error


def _evals(parcel: Handover) -> Sequence[HandoverRow]:
    rows = json.loads(parcel.blobs["evals"])
    return [Eval(**{**row, "sketch": bytes.fromhex(row["sketch"])}) for row in rows]


def _stripped(parcel: Handover) -> Sequence[HandoverRow]:
    rows = json.loads(parcel.blobs["stripped"])
    made = (
        {"sketch": bytes.fromhex(r["sketch"]), "context": np.array(r["context"], float)}
        for r in rows
    )
    return [Stripped(**{**row, **own}) for row, own in zip(rows, made, strict=True)]


def _distrusted(parcel: Handover) -> Sequence[HandoverRow]:
    whose = parcel.payload.get("voters")
    votes = [WithdrawnVote(**each) for each in parcel.payload["votes"]]
    return votes if whose is None else [*votes, Voters(**whose)]


def _policies(parcel: Handover) -> Sequence[HandoverRow]:
    found: list[HandoverRow] = []
    if "fence" in parcel.payload:
        found.append(Fence(**parcel.payload["fence"]))
    if "policy" in parcel.payload:
        policy = PolicyVersion(**parcel.payload["policy"], space=parcel.blobs["space"])
        Learned.start(policy)
        found.append(policy)
    if "state" in parcel.payload:
        found.append(SavedState(**parcel.payload["state"], content=parcel.blobs["state"]))
    if "retrain" in parcel.payload:
        found.append(Retrain(**parcel.payload["retrain"]))
    return found


READERS: dict[str, Callable[[Handover], Sequence[HandoverRow]]] = {
    RETRAIN: _policies,
    ROLLBACK: _policies,
    EVALS: _evals,
    KEY: lambda parcel: [Key(**parcel.payload, digest=parcel.blobs["digest"])],
    REVOCATION: lambda parcel: [Revocation(**parcel.payload)],
    LATEST: lambda parcel: [Latest(**parcel.payload, body=json.loads(parcel.blobs["body"]))],
    PRUNE: lambda parcel: [Expiry(**each) for each in parcel.payload["expiries"]],
    FORGET: _stripped,
    WITHDRAW: lambda parcel: [Withdrawal(**parcel.payload)],
    DISTRUST: _distrusted,
}


def save(data: Path, learned: Learned, mark: str) -> snapshots.Snapshot:
    """Return the snapshot of what was learned, saved where the service looks for it.

    `mark` is that of the last event it was learned from.

    raises : OSError if it cannot be written
    """
    version, upto_seq = learned.policy_version, learned.upto_seq
    return snapshots.save(data / "snapshots", version, upto_seq, learned.to_arrays(), mark)


def saved(data: Path, log: LogReader, start: Learned) -> Learned | None:
    """Return a policy version as its newest whole snapshot left it, or else as it was adopted.

    None without either, or if it is of an earlier version of ours; what is damaged is told.
    """
    version = start.policy_version
    newest = snapshots.newest(data / "snapshots", log.mark, version) or _adopted_with(log, version)
    return None if newest is None else start.restored(newest.arrays, newest.upto_seq)


def _adopted_with(log: LogReader, version: int) -> snapshots.Snapshot | None:
    """Return what a policy had learned when it was adopted, where the log has kept that.

    What it learned from events that the log does not have, an older copy in its place, is not it.
    """
    state, position = log.saved_state(version), log.position()
    if state is None:
        return None
    try:
        found = snapshots.of_state(state)
    except DamagedFile as error:
        reason = error.message
    else:
        if found.upto_seq <= position:
            return found
        reason = f"it knows events up to {found.upto_seq}, and the log ends at {position}"
    LOGGER.warning("snapshot passed over", reason=reason)
    return None


def state_of(learned: Learned) -> SavedState:
    """Return what was learned as the log keeps it with a policy that is adopted."""
    return snapshots.state(learned.policy_version, learned.upto_seq, learned.to_arrays())


def _adopted(
    policy: PolicyVersion, learned: Learned
) -> tuple[dict[str, dict[str, Any]], dict[str, bytes]]:
    """Return a policy, and what it is adopted with, which whoever adopts it goes on from."""
    fields, state = asdict(policy), asdict(state_of(learned))
    blobs = {"space": fields.pop("space"), "state": state.pop("content")}
    return {"policy": fields, "state": state}, blobs
