"""What must hold of every log, whatever has happened to the processes that wrote it.

One function for the tests, the bench and an operator who has doubts. Each invariant is known by its
number: I1 to I14. What cannot be told from the log alone is held against the witness.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import fsum, isclose

import numpy as np

from jobs.learned import Learned
from jobs.witness import Audit, Witness
from policy.decide import odds, rule, seeded
from policy.errors import UnknownDecision
from policy.exploration import Allowance
from storage.database import WAL_LIMIT_BYTES
from storage.events import OutcomeEvent, PolicyEvent
from storage.leases import Fenced, fenced
from storage.reader import LogReader
from storage.records import Decision
from storage.snapshots import digest
from storage.spool import spool_path
from storage.spool_file import waiting_in

SHOWN = 3
REMADE = 300
GROWN = 1.05
CENT_OF_A_CENT = 1e-12
ROUNDING = 1e-6


def broken(log: LogReader, witness: Witness = Witness()) -> list[str]:  # noqa: B008 (frozen)
    """Return what does not hold, each with the number of its invariant; nothing if all is well.

    >>> sorted(INVARIANTS) == sorted(f"I{n}" for n in range(1, 15))
    True
    """
    audit = Audit(log, witness)
    found: list[str] = []
    for name, holds in INVARIANTS.items():
        with np.errstate(all="ignore"):  # what is not a number is told by I5
            faults = list(holds(audit))
        found += [f"{name}: {fault}" for fault in faults[:SHOWN]]
        if len(faults) > SHOWN:
            found.append(f"{name}: and {len(faults) - SHOWN} more")
    return found


def _acknowledged_is_there(audit: Audit) -> Iterator[str]:
    """I1: every acknowledged outcome and thumb is in the log."""
    settled = {each.decision_id for each in audit.events if isinstance(each, OutcomeEvent)}
    for lost in sorted(audit.witness.journal.outcomes - settled):
        yield f"the outcome of {lost} was acknowledged and is not there"
    for (decision_id, rater, revision), reward in audit.witness.journal.thumbs.items():
        votes = audit.votes.get((decision_id, rater), [])
        if len(votes) < revision or votes[revision - 1].reward != reward:
            yield f"thumb {revision} of {rater} on {decision_id}, {reward}, is not there"


def _every_decision_ends_once(audit: Audit) -> Iterator[str]:
    """I2: exactly one outcome for every decision."""
    ends = Counter(each.decision_id for each in audit.events if isinstance(each, OutcomeEvent))
    decided = {each.decision.id for each in audit.rounds}
    yield from (f"{each} has {n} outcomes" for each, n in ends.items() if n > 1)
    yield from (f"{each} has an outcome and was never decided" for each in ends.keys() - decided)
    if audit.witness.is_quiet:
        yield from (f"{each} has no outcome" for each in sorted(decided - ends.keys()))


def _one_vote_each(audit: Audit) -> Iterator[str]:
    """I3: whoever votes again takes back what the first vote gave."""
    for (decision_id, rater), votes in audit.votes.items():
        for before, after in pairwise(votes):
            if after.previous_reward != before.reward:
                yield f"{rater} on {decision_id} takes back {after.previous_reward}, not what stood"
        if votes[0].previous_reward is not None:
            yield f"the first vote of {rater} on {decision_id} takes back what was never given"


def _live_is_the_fold(audit: Audit) -> Iterator[str]:
    """I4: what serves is the fold of the log, byte for byte; its order has no gap."""
    seqs = [each.seq for each in audit.events]
    if seqs != list(range(1, len(seqs) + 1)):
        yield f"the positions of {len(seqs)} events are not 1 to {len(seqs)}"
    if audit.witness.live is None:
        return
    seen = digest(_folded(audit, audit.witness.live_seq).to_arrays())
    if seen != digest(audit.witness.live):
        yield f"what serves at {audit.witness.live_seq} is not what the log folds to"
    if audit.witness.is_quiet and audit.witness.live_seq != audit.log.position():
        yield f"what serves has learned {audit.witness.live_seq} of {audit.log.position()} events"


def _folded(audit: Audit, upto_seq: int) -> Learned:
    adopted = [each for each in audit.events if isinstance(each, PolicyEvent)]
    newest = max((each for each in adopted if each.seq <= upto_seq), key=lambda each: each.version)
    return Learned.start(newest).fold(each for each in audit.events if each.seq <= upto_seq)


def _numbers_are_sound(audit: Audit) -> Iterator[str]:
    """I5: all that is learned is finite, and every belief a proper distribution."""
    if not any(isinstance(each, PolicyEvent) for each in audit.events):
        return
    learned = _folded(audit, audit.log.position())
    endless = [name for name, array in learned.to_arrays().items() if not np.isfinite(array).all()]
    yield from (f"{name} is not finite" for name in endless)
    if endless:
        return
    for belief in (learned.beliefs.quality, learned.beliefs.tokens):
        for arm, known in belief.known.items():
            values = np.linalg.eigvalsh(known.covariance)
            if not np.array_equal(known.covariance, known.covariance.T) or values[0] <= 0:
                yield f"the covariance of {arm} is no covariance: its least eigenvalue {values[0]}"
            if known.evidence.weight < -ROUNDING:
                yield f"{arm} rests on {known.evidence.weight} outcomes"


def _dollars_add_up(audit: Audit) -> Iterator[str]:
    """I6: outcomes cost what their calls cost, the ledger is their sum, nothing is held idle."""
    costs = []
    for each in audit.rounds:
        if each.outcome is None:
            continue
        costs.append(each.outcome.cost_usd)
        calls = fsum(call.cost_usd for call in audit.attempts[each.decision.id])
        less = each.outcome.cost_usd < calls - CENT_OF_A_CENT
        # The call that was under way when a process died is estimated, and has no row.
        more = each.outcome.status != "abandoned" and each.outcome.cost_usd > calls + CENT_OF_A_CENT
        if less or more:
            yield f"{each.decision.id} costs {each.outcome.cost_usd}, its calls {calls}"
    if not isclose(audit.log.spend_usd(0.0), fsum(costs), rel_tol=1e-9, abs_tol=CENT_OF_A_CENT):
        yield f"the ledger says {audit.log.spend_usd(0.0)}, the outcomes {fsum(costs)}"
    if audit.witness.is_quiet and audit.witness.reserved_usd > CENT_OF_A_CENT:
        yield f"{audit.witness.reserved_usd} dollars are held for nobody"


def _secrets_are_nowhere(audit: Audit) -> Iterator[str]:
    """I7: no secret in any file."""
    for path in audit.witness.files:
        raw = path.read_bytes()
        yield from (f"{path} holds a secret" for each in audit.witness.secrets if each in raw)


def _tenants_are_apart(audit: Audit) -> Iterator[str]:
    """I8: nothing of one tenant is seen by another."""
    owned: dict[str, set[str]] = {}
    for each in audit.rounds:
        owned.setdefault(each.decision.tenant, set()).add(each.decision.id)
    for tenant, ids in owned.items():
        seen = {each.decision.id for each in audit.log.decisions(tenant=tenant)}
        yield from (f"{tenant} sees {each} of another" for each in sorted(seen - ids))
        yield from (f"{tenant} does not see its own {each}" for each in sorted(ids - seen))
        for other in sorted(owned.keys() - {tenant}):
            if _sees(audit.log, next(iter(ids)), other):
                yield f"{other} sees a decision of {tenant}"
    for each_event in audit.events:
        if isinstance(each_event, OutcomeEvent) and each_event.decision_id not in owned.get(
            each_event.tenant, set()
        ):
            yield f"the outcome of {each_event.decision_id} is of another tenant"


def _sees(log: LogReader, decision_id: str, tenant: str) -> bool:
    try:
        log.decision(decision_id, tenant)
    except UnknownDecision:
        return False
    return True


def _nothing_piles_up(audit: Audit) -> Iterator[str]:
    """I9: after the load as before it: the write-ahead log, the spool, memory, descriptors."""
    witness = audit.witness
    if witness.database is not None:
        wal = witness.database.with_name(witness.database.name + "-wal")
        if wal.exists() and wal.stat().st_size > WAL_LIMIT_BYTES:
            yield f"the write-ahead log has {wal.stat().st_size} bytes"
        waiting = waiting_in(spool_path(witness.database))
        if witness.is_quiet and waiting:
            yield f"{waiting} rows wait in the spool"
    for what, (before, after) in witness.held.items():
        if after > before * GROWN:
            yield f"{what} has grown from {before} to {after}"


def _versions_rise(audit: Audit) -> Iterator[str]:
    """I10: versions rise, nobody decided by one to come, only a lease's holder wrote under it."""
    adopted = [each for each in audit.events if isinstance(each, PolicyEvent)]
    for before, after in pairwise(adopted):
        if after.version <= before.version:
            yield f"version {after.version} was adopted after {before.version}"
    at = {each.version: each.seq for each in adopted}
    for row in audit.rounds:
        version, seq = row.decision.policy_version, row.decision.learned_seq
        if adopted and at.get(version, seq + 1) > seq:
            yield f"{row.decision.id} was decided by version {version}, not adopted by {seq}"
    yield from _stale_holders(fenced(audit.log.ask))


def _stale_holders(written: list[Fenced]) -> Iterator[str]:
    """Yield what was written by who held a lease no longer, or under a token of two holders."""
    holders: dict[tuple[str, int], str] = {}
    for each in written:
        if each.token != each.counted:
            yield f"{each.name} was written with token {each.token} while {each.counted} counted"
        if holders.setdefault((each.name, each.token), each.holder) != each.holder:
            yield f"{each.name} was written by two holders of token {each.token}"


def _answers_are_well_formed(audit: Audit) -> Iterator[str]:
    """I11: every answer is JSON, or a stream that ends as one must."""
    yield from audit.witness.journal.malformed


def _calls_are_counted(audit: Audit) -> Iterator[str]:
    """I12: a request asks no arm twice, and every call has its row."""
    retried = {each.decision.id: each.decision for each in audit.rounds}
    for row in audit.rounds:
        asked, decision = [row.decision.arm], row.decision
        while decision.retry_of is not None:
            decision = retried[decision.retry_of]
            asked.append(decision.arm)
        if len(set(asked)) < len(asked):
            yield f"{row.decision.id} follows {asked[1:]} and asks {asked[0]} again"
    calls = sum(len(each) for each in audit.attempts.values())
    unknown = sum(
        each.outcome is not None and each.outcome.status == "abandoned" for each in audit.rounds
    )
    asked_for = audit.witness.asked
    if asked_for is not None and not calls <= asked_for <= calls + unknown:
        yield f"the provider counted {asked_for} calls, the log {calls} and {unknown} abandoned"


def _store_is_whole(audit: Audit) -> Iterator[str]:
    """I13: the store itself finds nothing wrong."""
    yield from audit.log.faults()


def _propensities_are_exact(audit: Audit) -> Iterator[str]:
    """I14: what is logged is a distribution, and the newest are what state and id give again."""
    drawn = [each.decision for each in audit.rounds if each.decision.policy != "cache"]
    adopted = {each.version: each for each in audit.events if isinstance(each, PolicyEvent)}
    for row in drawn:
        named = dict(zip(row.eligible, row.propensities, strict=True))
        if named.get(row.arm) != row.propensity or row.propensity <= 0:
            yield f"{row.id} logs {row.propensity} for {row.arm}, and {named}"
        if not isclose(fsum(row.propensities), 1.0, abs_tol=1e-9):
            yield f"the propensities of {row.id} add up to {fsum(row.propensities)}"
    newest = [row for row in drawn[-REMADE:] if row.policy_version in adopted]
    learned = {version: Learned.start(event) for version, event in adopted.items()}
    for row in sorted(newest, key=lambda row: row.learned_seq):
        version = row.policy_version
        missed = audit.events[learned[version].upto_seq : row.learned_seq]
        learned[version] = learned[version].fold(missed)
        if _remade(row, learned[version], audit.witness) != row.propensities:
            yield f"the propensities of {row.id} are not what its state gives"


def _remade(row: Decision, learned: Learned, witness: Witness) -> tuple[float, ...]:
    """Return the distribution that a decision was drawn from, made again from its row."""
    context, beliefs = learned.context(row), learned.beliefs
    cost_usd, payment = np.array(row.cost_usd_predicted), row.willingness_to_pay_usd
    made = odds(
        rule(row.policy, beliefs),
        beliefs.offer(context, row.eligible, cost_usd, payment, row.words),
        beliefs.quality.predict(context, row.eligible),
        seeded(row.id),
        beliefs,
        Allowance(row.allowance),
        witness.control,
    )
    return tuple(made.propensities.tolist())


INVARIANTS: dict[str, Callable[[Audit], Iterator[str]]] = {
    "I1": _acknowledged_is_there,
    "I2": _every_decision_ends_once,
    "I3": _one_vote_each,
    "I4": _live_is_the_fold,
    "I5": _numbers_are_sound,
    "I6": _dollars_add_up,
    "I7": _secrets_are_nowhere,
    "I8": _tenants_are_apart,
    "I9": _nothing_piles_up,
    "I10": _versions_rise,
    "I11": _answers_are_well_formed,
    "I12": _calls_are_counted,
    "I13": _store_is_whole,
    "I14": _propensities_are_exact,
}
