"""The router of a replay: the service's own decision, fold and retrain; no disk, no provider."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from bench.course import Evals
from bench.ledger import Ledger
from bench.options import START_S, Options
from bench.tables import Table
from features.sketch import Sketch
from jobs.due import due
from jobs.learned import Learned
from jobs.retrain import retrain
from policy.books import Hold
from policy.decide import Question, Verdict, decide, seeded
from policy.eligibility import Demand
from policy.exploration import Allowance, Control
from policy.hyper import Hyper
from policy.pacer import Pacer, control_of
from policy.ring import Ring
from policy.types import Arm
from storage.events import EvalEvent
from storage.records import Decision, Outcome, Retrain

FIRST_OUTCOMES = 25


class ReplayRouter:
    """A table's prompts on their way through the service's own functions.

    `run` makes the decision ids of one replay differ from another's, and so all its draws.
    """

    def __init__(
        self, table: Table, sketches: Sequence[Sketch], run: str, options: Options
    ) -> None:
        self._table = table
        self._sketches = sketches
        self._run = run
        self._options = options
        self._ledger = Ledger(Hyper().following(table.arms))
        self._learned = Learned.start(self._ledger.latest_policy())
        self._allowance = Allowance()
        dearest = table.names[int(table.cost_usd.mean(axis=0).argmax())]
        ring = Ring(self._learned.hyper.explored_share)
        goal = options.goal(dearest)
        self._pacer = Pacer.of(goal, ring, START_S)
        usual = Control(options.control) if options.control else None
        self._control = control_of(goal, usual)
        self._holds: dict[int, Hold] = {}
        self._unrated: dict[int, Decision] = {}
        self.decide_s = 0.0
        self.update_s = 0.0

    @property
    def ledger(self) -> Ledger:
        """Return the log written so far."""
        return self._ledger

    @property
    def learned(self) -> Learned:
        """Return what it has learned so far."""
        return self._learned

    def serve(self, t: int, row: int, arms: Sequence[Arm]) -> int:
        """Return the place of the arm that serves this row, having learned what that cost."""
        arm = self._table.names.index(self.choose(t, row, arms))
        self.settle(t, float(self._table.cost_usd[row, arm]))
        return arm

    def choose(self, t: int, row: int, arms: Sequence[Arm]) -> str:
        """Return the arm that serves the prompt of this row, the t-th of the stream."""
        started = perf_counter()
        question = Question(
            self._learned.space.context(self._sketches[row]),
            Demand(int(self._table.input_tokens[row])),
            self._pacer.willingness_to_pay_usd,
            len(self._table.prompts[row].split()),
        )
        identity, held = f"{self._run}-{t}", self._allowance
        verdict = decide(
            arms,
            question,
            self._learned.beliefs,
            seeded(identity),
            policy=self._options.policy,
            allowance=held,
            control=self._control,
        )
        self._allowance = verdict.allowance.spend(verdict.explored)
        hold = self._holds[t] = verdict.hold
        self._pacer = self._pacer.decided(verdict.forecast(START_S + t), hold, START_S + t)
        self.decide_s += perf_counter() - started
        decision = self._record(identity, t, row, question, verdict)
        self._ledger.decide(decision, row)
        self._unrated[t] = decision
        return decision.arm

    def settle(self, t: int, cost_usd: float) -> None:
        """Learn how long the answer was and what it cost."""
        decision = self._unrated[t]
        row, arm = self._ledger.row(decision), self._table.names.index(decision.arm)
        outcome = Outcome(
            decision_id=decision.id,
            at_s=decision.decided_at_s,
            arm=decision.arm,
            status="ok",
            finish_reason="stop",
            model=decision.arm,
            input_tokens=int(self._table.input_tokens[row]),
            cached_tokens=0,
            output_tokens=int(self._table.output_tokens[row, arm]),
            usage_estimated=False,
            cost_usd=cost_usd,
            latency_s=0.0,
            ttft_s=None,
        )
        started = perf_counter()
        self._learned = self._learned.fold([self._ledger.settle(decision, outcome)])
        self._pacer = self._pacer.settled(self._holds.pop(t), cost_usd, START_S + t)
        self.update_s += perf_counter() - started

    def rate(self, t: int, reward: float, now: int) -> None:
        """Learn, at round `now`, what the decision of round t was worth; NaN says nothing."""
        decision = self._unrated.pop(t)
        if not np.isnan(reward):
            started = perf_counter()
            event = self._ledger.rate(decision, reward, START_S + now)
            self._learned = self._learned.fold([event])
            self.update_s += perf_counter() - started

    def import_evals(self, evals: Evals, arms: Sequence[Arm]) -> None:
        """Learn the arms' scores on these prompts, as an import of evals does."""
        for row, scores in zip(evals.rows.tolist(), evals.scores, strict=True):
            for arm in np.flatnonzero(~np.isnan(scores)).tolist():
                event = EvalEvent(
                    seq=self._ledger.position() + 1,
                    at_s=START_S + evals.t,
                    prompt_sha256=self._table.identities[row],
                    sketch=self._sketches[row].to_bytes(),
                    arm=self._table.names[arm],
                    score=float(scores[arm]),
                )
                self._ledger.import_eval(event)
                self._learned = self._learned.fold([event])

    def retrain(self, t: int, *, asked: bool = False) -> Retrain | None:
        """Return the retrain that the service would run now, None if none is due or asked for."""
        if not asked and not due(self._ledger.counts(), FIRST_OUTCOMES):
            return None
        result = retrain(self._ledger, "feedback", lambda: START_S + t, FIRST_OUTCOMES)
        self._ledger.record_retrain(result.retrain)
        if result.policy is not None and result.learned is not None:
            self._ledger.adopt(result.policy)
            self._learned = replace(result.learned, upto_seq=self._ledger.position())
        return result.retrain

    def _record(
        self, identity: str, t: int, row: int, question: Question, verdict: Verdict
    ) -> Decision:
        return Decision(
            id=identity,
            decided_at_s=START_S + t,
            tenant="bench",
            task=self._table.tasks[row],
            session=None,
            policy=verdict.policy,
            policy_version=self._learned.policy_version,
            learned_seq=self._learned.upto_seq,
            kind="routed",
            retry_of=None,
            arm=verdict.arm,
            propensity=verdict.propensity,
            eligible=verdict.eligible,
            propensities=tuple(verdict.propensities.tolist()),
            quality=tuple(verdict.quality.tolist()),
            quality_sd=tuple(verdict.quality_sd.tolist()),
            cost_usd_predicted=tuple(verdict.cost_usd.tolist()),
            ineligible=verdict.ineligible,
            willingness_to_pay_usd=question.willingness_to_pay_usd,
            explore=question.explore,
            allowance=verdict.allowance.mass,
            feature_version=self._learned.space.version,
            context=question.context,
            sketch=self._sketches[row].to_bytes(),
            input_tokens_estimated=question.demand.input_tokens,
            prompt_sha256=self._table.identities[row],
            words=question.words,
        )
