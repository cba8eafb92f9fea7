"""The retry budget: how many calls beyond the first of each request failures may still cause."""

from dataclasses import dataclass

SHARE = 0.2
BURST = 10.0


@dataclass(slots=True)
class Retries:
    """A bucket that every request fills by a fifth of a call and every further call empties by one.

    Not safe for many threads by itself: whoever holds it holds a lock.

    units  : calls

    >>> retries = Retries(left=1.0)
    >>> retries.spend()
    >>> retries.can_pay
    False
    """

    left: float = BURST

    @property
    def can_pay(self) -> bool:
        """Return whether one more call is within the budget."""
        return self.left >= 1.0

    def earn(self) -> None:
        """Record a request."""
        self.left = min(BURST, self.left + SHARE)

    def spend(self) -> None:
        """Record a call beyond the first; one that had to be made without budget leaves no debt."""
        self.left = max(0.0, self.left - 1.0)
