"""What somebody should look at now, each with a remedy: of the log, the arms, the budget."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from app.figures import moment, seconds
from app.routing.live import Live
from app.routing.votes import Votes
from app.settings import Settings
from jobs.failures import failed
from policy.books import Books
from policy.pacer import SECONDS, Budget
from policy.shifts import grown, risen, shrunk
from policy.types import DAY_S, HOUR_S, Arm
from storage.log import Log
from storage.signs import Signs, rated, shares, signs, since
from storage.spool import LogStanding
from upstream.health import ArmStanding, Health

Severity = Literal["warning", "critical"]
AlarmKey = tuple[str, str]

LATELY_S = HOUR_S
BEFORE_S = 7 * DAY_S
KEPT_S = 600.0
"""So long the sums of the days before are kept; reading them takes a third of a second."""
ERRORS_BY, REFUSALS_BY = 0.10, 0.05
SLOWER_BY, LENGTH_BY = 2.0, 1.5
NEARLY_SPENT, SPENT, OVER_BUDGET = 0.9, 0.995, 1.1
STRANDED = 0.01
"""Such a share of a budget is worth a word that nobody can spend it any more."""
FEWEST_REQUESTS = 200
LATE_RETRAINS = 3
AHEAD_S = 60.0
"""By so much the clock of another machine may be ahead."""
MISSED_RATINGS = 10.0
"""So many ratings would have come by now at the usual rate: chance leaves them all out once in
twenty thousand times."""
FEWEST_UNRATED = 100
"""Fewer answers may be a pause of somebody who rates each."""
NEVER_RATED = 500
UNHEARD = 20
"""So many votes that teach nothing are more than one who tries it out has given."""
PUT_BACK = (
    "stop, put the log (or a backup) back at its path, without -wal and -shm of another, and "
    "start; rows wait in the spool"
)
"""What helps where the log's file was deleted, moved or replaced."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something to look at: what it is, of which arm or job, since when, and what to do."""

    name: str
    about: str
    severity: Severity
    says: str
    remedy: str
    since_s: float

    @property
    def key(self) -> AlarmKey:
        """Return what tells it from others; it stays while the alarm does."""
        return self.name, self.about


@dataclass(frozen=True, slots=True)
class Usual:
    """How the answers of each arm usually are, and how many ratings one of a task gets."""

    signs: Mapping[str, Signs]
    rated: Mapping[str | None, float]


@dataclass(frozen=True, slots=True)
class Lookout:
    """Where alarms are looked for; what was due before `since_s` has an interval from then on."""

    settings: Settings
    arms: Callable[[], Mapping[str, Arm]]
    log: Log
    live: Live
    votes: Votes
    health: Health
    since_s: float = 0.0

    def found(self, now_s: float, before: Usual, were: Collection[AlarmKey]) -> Iterator[Alarm]:
        """Yield what is wrong now; `before` is how answers usually are, `were` what was wrong.

        raises : StoreUnavailable
        """
        yield from self._log_away(now_s)
        yield from self._outage(now_s, were)
        lately = signs(self.log.ask, now_s - LATELY_S, now_s)
        for arm in self.arms():
            yield from self._changed(arm, now_s)
            if arm in lately and arm in before.signs:
                yield from _shifted(arm, lately[arm], before.signs[arm], were, now_s)
        yield from self._budget(now_s)
        yield from self._of_arms(now_s)
        yield from self._retrain(now_s, were)
        yield from self._jobs(now_s)
        yield from self._drought(before.rated, now_s)
        yield from self._full(now_s)

    def usual(self, now_s: float) -> Usual:
        """Return how answers were in the days before the last hour, and rated up to the last."""
        ask = self.log.ask
        return Usual(signs(ask, now_s - BEFORE_S, now_s - LATELY_S), shares(ask, BEFORE_S))

    def _log_away(self, now_s: float) -> Iterator[Alarm]:
        standing = self.log.standing
        if standing.away_since_s is not None or standing.is_gone:
            says = f"the log cannot be written: {standing.why or 'no reason known'}"
            yield away(standing, says, now_s)

    def _outage(self, now_s: float, were: Collection[AlarmKey]) -> Iterator[Alarm]:
        """Yield that no arm answers: one that may be tried, also since a restart, has not yet."""
        states = {arm.name: self.health.standing(arm) for arm in self.arms().values()}
        silent = _has_not_answered if ("outage", "") in were else _is_left_alone
        if states and all(map(silent, states.values())):
            because = {name: each.why or "not answered yet" for name, each in states.items()}
            whys = "; ".join(f"{name}: {why}" for name, why in because.items())
            remedy = "see whether the providers, their keys and the network are up: ./run doctor"
            yield Alarm("outage", "", "critical", f"no arm answers: {whys}", remedy, now_s)

    def _changed(self, arm: str, now_s: float) -> Iterator[Alarm]:
        """Yield that an arm's ratings no longer fit what was believed of it."""
        changes = [at_s for at_s in self.live.learned.changed_at_s(arm) if at_s > now_s - BEFORE_S]
        if changes:
            says = "its ratings no longer fit what was believed of it, so it is judged anew"
            remedy = "see what the provider has changed; take the arm out if it stays bad"
            yield Alarm("drift", arm, "warning", says, remedy, changes[-1])

    def _budget(self, now_s: float) -> Iterator[Alarm]:
        pacer = self.live.pacer
        goal, books = pacer.goal, pacer.at(now_s).books
        if not isinstance(goal, Budget):
            return
        remedy = "raise TURNPIKE_BUDGET_USD, or let it be: the willingness to pay follows"
        if goal.per == "request":
            each_usd = books.spent_usd / books.requests if books.requests else 0.0
            if books.requests >= FEWEST_REQUESTS and each_usd > OVER_BUDGET * goal.usd:
                says = f"a request costs ${each_usd:.3g} on average, the budget is ${goal.usd:.3g}"
                yield Alarm("budget", "", "warning", says, remedy, now_s)
            return
        share, says = _gone(books, goal.usd, f"the ${goal.usd:g} for this {goal.per}")
        if share >= NEARLY_SPENT:
            if share >= SPENT:
                yield Alarm("budget", "", "critical", says, _when_spent(goal.per, now_s), now_s)
            else:
                yield Alarm("budget", "", "warning", says, remedy, now_s)

    def _of_arms(self, now_s: float) -> Iterator[Alarm]:
        """Yield each arm that has spent nearly all that it may cost in a day."""
        for arm in self.arms().values():
            pacer, most_usd = self.live.pacer_of_arm(arm), arm.max_usd_per_day
            if pacer is None or most_usd is None:
                continue
            books, anew = pacer.at(now_s).books, moment((now_s // DAY_S + 1) * DAY_S)
            share, says = _gone(books, most_usd, f"its ${most_usd:g} for this day")
            if share >= NEARLY_SPENT:
                remedy = (
                    f"others answer what it cannot until {anew} UTC, where one can; to ask it "
                    "sooner raise its max_usd_per_day in the catalogue"
                )
                yield Alarm("budget", arm.name, "warning", says, remedy, now_s)

    def _retrain(self, now_s: float, were: Collection[AlarmKey]) -> Iterator[Alarm]:
        """Yield that the last retrain is long ago, or that none has a date that can be right."""
        ages_s = [now_s - each.ended_at_s for each in self.log.retrains()]
        past_s = [age_s for age_s in ages_s if age_s >= -AHEAD_S]
        if ages_s and not past_s:
            says = f"the last retrain is dated {seconds(-ages_s[0])} ahead of now"
            remedy = "see that the machine's clock is right; the next retrain is dated by it"
            yield Alarm("retrain", "", "warning", says, remedy, now_s)
        elif past_s and self._is_late(min(past_s), now_s, is_open=("retrain", "") in were):
            says = f"the last retrain was {seconds(min(past_s))} ago"
            remedy = "see that the scheduler runs (./run work) and what its lines say"
            yield Alarm("retrain", "", "warning", says, remedy, now_s)

    def _is_late(self, age_s: float, now_s: float, *, is_open: bool) -> bool:
        every_s = self.settings.retrain_every_s
        return age_s > LATE_RETRAINS * every_s and (is_open or now_s - self.since_s > every_s)

    def _jobs(self, now_s: float) -> Iterator[Alarm]:
        remedy = "see what the scheduler's lines (./run work) say of it, and run it by hand"
        for job, why in sorted(failed(self.log).items()):
            yield Alarm("jobs", job, "warning", f"it has failed: {why}", remedy, now_s)

    def _drought(self, usual: Mapping[str | None, float], now_s: float) -> Iterator[Alarm]:
        """Yield that ratings have stopped, or never came."""
        heard = rated(self.log.ask)
        remedy = "see that the product still posts thumbs to /feedback, with ids of answers"
        if heard.last_at_s is None:
            if heard.answers_since >= NEVER_RATED:
                says = f"none of {heard.answers_since} answers has a rating"
                yield Alarm("feedback", "", "warning", says, remedy, now_s)
            return
        if heard.answers_since < FEWEST_UNRATED:
            return
        # A nightly batch that nobody rates is not a product that has stopped posting thumbs.
        unrated = {k: n for k, n in since(self.log.ask, heard.last_at_s).items() if k in usual}
        answers, missed = sum(unrated.values()), sum(n * usual[k] for k, n in unrated.items())
        if answers >= FEWEST_UNRATED and missed >= MISSED_RATINGS:
            says = (
                f"{answers} answers since the last rating, where {missed:.0f} ratings "
                "would have come"
            )
            yield Alarm("feedback", "", "warning", says, remedy, heard.last_at_s)

    def _full(self, now_s: float) -> Iterator[Alarm]:
        """Yield each tenant that votes so much oftener than the others that it is not heard."""
        for tenant, unheard in self.votes.unheard.items():
            if unheard >= UNHEARD:
                says = f"{unheard} of its votes taught nothing: it votes far oftener than others"
                remedy = (
                    "if it means well, add it to TURNPIKE_TRUSTED_TENANTS; if not: "
                    f"./run distrust --tenant {tenant}"
                )
                yield Alarm("votes", tenant, "warning", says, remedy, now_s)


def _is_left_alone(arm: ArmStanding) -> bool:
    return arm.state == "open"


def _has_not_answered(arm: ArmStanding) -> bool:
    return arm.state != "closed" or arm.calls == arm.failures


def away(standing: LogStanding, says: str, now_s: float) -> Alarm:
    """Return that the log is away."""
    room = "make room on its disk, or bring its server back; rows wait in the spool"
    remedy = PUT_BACK if standing.is_gone else room
    return Alarm("log", "", "critical", says, remedy, standing.away_since_s or now_s)


def _gone(books: Books, most_usd: float, of: str) -> tuple[float, str]:
    """Return which share of a budget nobody can spend any more, and how that is told."""
    share = (books.spent_usd + books.elsewhere.gone_usd) / most_usd
    stranded = (books.elsewhere.gone_usd - books.elsewhere.spent_usd) / most_usd
    says = f"{share - stranded:.0%} of {of} is spent"
    if stranded >= STRANDED:
        says += f", and {stranded:.0%} is kept by processes that are heard of no more"
    return share, says


def _when_spent(per: Literal["hour", "day"], now_s: float) -> str:
    anew = moment((now_s // SECONDS[per] + 1) * SECONDS[per])
    return (
        f"what costs more than is left is refused (429) until the next {per}, {anew} UTC; to "
        "answer it sooner raise TURNPIKE_BUDGET_USD and start again"
    )


def _shifted(
    arm: str, now: Signs, before: Signs, were: Collection[AlarmKey], now_s: float
) -> Iterator[Alarm]:
    """Yield what is no longer as usual about an arm's answers, whatever anybody says of them."""

    def is_open(name: str) -> bool:
        return (name, arm) in were

    if risen(now.errors, before.errors, ERRORS_BY, is_open=is_open("errors")):
        says = f"{now.errors.mean:.0%} of its calls fail, {before.errors.mean:.0%} before"
        remedy = "see what its provider says of it; requests go to other arms meanwhile"
        yield Alarm("errors", arm, "warning", says, remedy, now_s)
    if risen(now.refusals, before.refusals, REFUSALS_BY, is_open=is_open("refusals")):
        share, usual = now.refusals.mean, before.refusals.mean
        says = f"{share:.0%} of its answers are filtered, {usual:.0%} before"
        remedy = "see whether its content filter or your prompts have changed"
        yield Alarm("refusals", arm, "warning", says, remedy, now_s)
    if grown(now.latency_s, before.latency_s, SLOWER_BY, is_open=is_open("latency")):
        says = f"its answers take {now.latency_s.mean:.2g} s, {before.latency_s.mean:.2g} s before"
        remedy = "see its provider's status; a shorter first_content_s passes it over sooner"
        yield Alarm("latency", arm, "warning", says, remedy, now_s)
    longer = grown(now.tokens, before.tokens, LENGTH_BY, is_open=is_open("length"))
    if longer or shrunk(now.tokens, before.tokens, LENGTH_BY, is_open=is_open("length")):
        says = f"its answers have {now.tokens.mean:.0f} tokens, {before.tokens.mean:.0f} before"
        remedy = "see whether the model, its settings or the prompts it gets have changed"
        yield Alarm("length", arm, "warning", says, remedy, now_s)
