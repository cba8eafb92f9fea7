"""A log in memory that a retrain can ask, for replays: the same rows, no disk."""

from collections.abc import Iterator

from policy.hyper import Hyper
from storage.events import EvalEvent, Event, FeedbackEvent, OutcomeEvent, PolicyEvent
from storage.records import Counts, Decision, Outcome, PolicyVersion, Retrain, Round


class Ledger:
    """Decisions, outcomes, rewards and policies of one replay, in the order they came."""

    def __init__(self, hyper: Hyper) -> None:
        self._events: list[Event] = []
        self._decisions: list[Decision] = []
        self._rows: dict[str, int] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._rewards: dict[str, float] = {}
        self._policies: list[PolicyVersion] = []
        self._evals = 0
        self._feedback_since_retrain = 0
        first = PolicyVersion(
            version=1,
            created_at_s=0.0,
            source="initial",
            feature_version=0,
            space=b"",
            hyper=hyper.to_json(),
        )
        self.adopt(first)

    def decide(self, decision: Decision, row: int) -> None:
        """Record a decision on the prompt of this row of the table."""
        self._decisions.append(decision)
        self._rows[decision.id] = row

    def row(self, decision: Decision) -> int:
        """Return the row of the table whose prompt was decided on."""
        return self._rows[decision.id]

    def settle(self, decision: Decision, outcome: Outcome) -> OutcomeEvent:
        """Record how a decision ended, and return the event."""
        self._outcomes[decision.id] = outcome
        event = OutcomeEvent(
            seq=self.position() + 1,
            at_s=outcome.at_s,
            decision_id=decision.id,
            tenant=decision.tenant,
            arm=outcome.arm,
            feature_version=decision.feature_version,
            context=decision.context,
            sketch=decision.sketch,
            output_tokens=outcome.output_tokens,
            status=outcome.status,
            cache=outcome.cache,
            usage_estimated=outcome.usage_estimated,
        )
        self._events.append(event)
        return event

    def rate(self, decision: Decision, reward: float, at_s: float) -> FeedbackEvent:
        """Record a reward, and return the event."""
        self._rewards[decision.id] = reward
        self._feedback_since_retrain += 1
        event = FeedbackEvent(
            seq=self.position() + 1,
            at_s=at_s,
            decision_id=decision.id,
            tenant=decision.tenant,
            rater="user",
            arm=decision.arm,
            feature_version=decision.feature_version,
            context=decision.context,
            sketch=decision.sketch,
            reward=reward,
            previous_reward=None,
            previous_at_s=None,
            excluded=False,
        )
        self._events.append(event)
        return event

    def adopt(self, policy: PolicyVersion) -> None:
        """Record a policy version."""
        self._policies.append(policy)
        self._events.append(
            PolicyEvent(
                seq=self.position() + 1,
                version=policy.version,
                space=policy.space,
                hyper=policy.hyper,
            )
        )

    def import_eval(self, event: EvalEvent) -> None:
        """Record a score of the team's own evals."""
        self._events.append(event)
        self._evals += 1

    def record_retrain(self, retrain: Retrain) -> None:
        """Record a retrain."""
        self._feedback_since_retrain = 0

    def position(self) -> int:
        """Return the seq of the newest event."""
        return len(self._events)

    def events(self, after_seq: int = 0, upto_seq: int | None = None) -> Iterator[Event]:
        """Yield the events with after_seq < seq <= upto_seq."""
        yield from self._events[after_seq : self.position() if upto_seq is None else upto_seq]

    def decisions(self, *, rated_only: bool = False, limit: int | None = None) -> Iterator[Round]:
        """Yield decisions, newest first."""
        found = 0
        for decision in reversed(self._decisions):
            reward = self._rewards.get(decision.id)
            if (rated_only and reward is None) or found == limit:
                continue
            found += 1
            yield Round(decision=decision, outcome=self._outcomes.get(decision.id), reward=reward)

    def recent(self, n: int) -> list[Decision]:
        """Return the last n decisions, oldest first."""
        return self._decisions[-n:]

    def counts(self) -> Counts:
        """Return how much there is."""
        return Counts(
            decisions=len(self._decisions),
            outcomes=len(self._outcomes),
            rated=len(self._rewards),
            evals=self._evals,
            feedback_since_retrain=self._feedback_since_retrain,
        )

    def latest_policy(self) -> PolicyVersion:
        """Return the policy version that serves."""
        return self._policies[-1]
