"""How often each tenant's answers are rated, and when one tenant would decide for the others.

Tenants share one policy, and who rates each of its own answers would have most of the say where the
others rate one in thirty. So of the votes that teach a tenant has at most twice the share that it
has of the answers.
"""

from collections.abc import Mapping
from math import inf

RECENT = 50_000
"""About so many answers are counted: at twice as many, all that is counted is halved."""
FACTOR = 2.0
"""So many times its share of the answers: a twentieth of them has a tenth of the say."""
FREE = 10.0
"""Votes of a tenant that teach besides, however seldom the others vote."""
LEAST = 0.5
"""What is less is left of votes that no start would count any more."""


class Turnout:
    """Counts answers, and the votes that taught, by tenant.

    A tenant that never votes says nothing of how often others may.

    >>> turnout = Turnout({"small": 100, "large": 900, "mute": 900}, {"small": 33, "large": 90})
    >>> turnout.most("small"), turnout.most("large")
    (32.5, inf)
    >>> turnout.is_full("small"), turnout.is_full("large")
    (True, False)
    """

    def __init__(
        self, answers: Mapping[str, float] | None = None, votes: Mapping[str, float] | None = None
    ) -> None:
        self._answers, self._votes = {**(answers or {})}, {**(votes or {})}
        self._before_halving = 2 * RECENT - sum(self._answers.values())

    @property
    def votes(self) -> Mapping[str, float]:
        """Return the votes that taught, of each tenant that has voted."""
        return self._votes

    def answered(self, tenant: str) -> None:
        """Count an answer that can be rated."""
        self._answers[tenant] = self._answers.get(tenant, 0.0) + 1
        self._before_halving -= 1
        if self._before_halving <= 0:
            for counts in (self._answers, self._votes):
                for each in counts:
                    counts[each] /= 2
            self._before_halving = RECENT

    def voted(self, tenant: str) -> None:
        """Count a vote that taught."""
        self._votes[tenant] = self._votes.get(tenant, 0.0) + 1

    def most(self, tenant: str) -> float:
        """Return how many votes of a tenant may teach.

        Infinitely many while nobody else votes, and where half of the answers are its own.
        """
        others = [
            each
            for each, votes in list(self._votes.items())
            if each != tenant and votes >= LEAST and each in self._answers
        ]
        if not others:
            return inf
        own = FACTOR * self._answers.get(tenant, 0.0)
        rest = self._answers.get(tenant, 0.0) + sum(self._answers[each] for each in others) - own
        return FREE + sum(self._votes[each] for each in others) * own / rest if rest > 0 else inf

    def is_full(self, tenant: str, more: float = 0.0) -> bool:
        """Return whether a vote of a tenant would be one too many after so many not counted yet."""
        return self._votes.get(tenant, 0.0) + more >= self.most(tenant)
