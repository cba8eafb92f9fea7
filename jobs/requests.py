"""What clients asked: a decision with those that followed it after a failure, as one request."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from policy.types import Arm
from storage.spending import Spending

DELIVERED = frozenset({"ok", "filtered"})
MARGIN_S = 300.0
"""How much longer than its arm's calls may take a request may be busy with a decision."""


@dataclass(slots=True)
class Request:
    """A request: its first decision, its last, what all have cost, and the failed ones of them."""

    first: Spending
    last: Spending
    spent_usd: float
    failed_usd: float = 0.0

    def follow(self, row: Spending) -> None:
        """Add the decision that was made because the last one failed."""
        self.failed_usd = self.spent_usd
        self.spent_usd += row.cost_usd
        self.last = row

    @property
    def is_delivered(self) -> bool:
        """Return whether an arm has given a whole answer to it."""
        return self.last.status in DELIVERED and self.last.kind != "cached"

    @property
    def is_hit(self) -> bool:
        """Return whether a stored answer was given and nobody asked."""
        return self.first.kind == "cached" and self.first.cache == "hit"


def busy_s(arms: Iterable[Arm]) -> float:
    """Return how long a request may be busy with a decision."""
    return max((arm.timeouts.total_s for arm in arms), default=0.0) + MARGIN_S


def requests(rows: Iterable[Spending], lasts_s: float) -> Iterator[Request]:
    """Yield the requests that decisions in the order of time make up.

    `lasts_s` is how long one of them lasts at most: after it no further arm is asked.
    """
    unfinished: dict[str, Request] = {}
    for row in rows:
        request = unfinished.pop(row.retry_of or "", None)
        if request is None:
            request = Request(row, row, row.cost_usd)
        else:
            request.follow(row)
        if row.status in DELIVERED:
            yield request
        else:
            unfinished[row.id] = request
            yield from _given_up(unfinished, row.decided_at_s - lasts_s)
    yield from unfinished.values()


def _given_up(unfinished: dict[str, Request], before_s: float) -> Iterator[Request]:
    """Yield the oldest that nobody goes on with any more; they are unfinished no longer."""
    while True:
        oldest, request = next(iter(unfinished.items()))
        if request.last.decided_at_s >= before_s:
            return
        del unfinished[oldest]
        yield request
