"""Has something about an arm shifted? What was seen lately against what was seen before.

No label is needed for this: errors, refusals, seconds and lengths are known of every answer. A
shift must be certain and large; to be over it needs to be neither, so that an alarm does not
flicker. Few answers are never certain: they raise none, and end one by how large it is alone.
What is seen before follows in time, so a shift that stays becomes the usual.
"""

from dataclasses import dataclass
from math import log, sqrt

CERTAIN = 4.0
"""Standard errors between the two; of as many looks as a year has minutes, chance gives few."""
FEWEST_NOW, FEWEST_BEFORE = 30, 100
OVER = 0.5
"""A shift is over when it is less certain and less large than so much of what raised it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How many answers were seen, and the sums of a number and of its square over them."""

    n: int
    total: float
    squares: float

    @classmethod
    def of_share(cls, n: int, hits: int) -> "Sample":
        """Return the sample of a number that is 1 for `hits` answers and 0 for the others."""
        return cls(n, float(hits), float(hits))

    @property
    def mean(self) -> float:
        """Return the mean, 0 of nothing."""
        return self.total / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """Return the variance."""
        return max(self.squares / self.n - self.mean**2, 0.0) if self.n else 0.0


def risen(now: Sample, before: Sample, by: float, *, is_open: bool = False) -> bool:
    """Return whether a share has risen by that many points; `is_open` if it was said to have.

    >>> usual = Sample.of_share(1_000, 10)
    >>> risen(Sample.of_share(50, 20), usual, 0.1), risen(Sample.of_share(50, 1), usual, 0.1)
    (True, False)
    """
    size = now.mean - before.mean
    if _are_few(now, before):
        return is_open and size >= OVER * by
    share = (now.total + before.total) / (now.n + before.n)
    error = sqrt(share * (1.0 - share) * (1.0 / now.n + 1.0 / before.n))
    return _is_shift(size, error, by, is_open=is_open)


def grown(now: Sample, before: Sample, factor: float, *, is_open: bool = False) -> bool:
    """Return whether a mean has grown by that factor.

    >>> usual = Sample(400, 400.0, 500.0)
    >>> grown(Sample(100, 250.0, 700.0), usual, 1.5), grown(Sample(100, 110.0, 150.0), usual, 1.5)
    (True, False)
    """
    return _moved(now, before, factor, 1.0, is_open=is_open)


def shrunk(now: Sample, before: Sample, factor: float, *, is_open: bool = False) -> bool:
    """Return whether a mean has shrunk by that factor."""
    return _moved(now, before, factor, -1.0, is_open=is_open)


def _moved(now: Sample, before: Sample, factor: float, sign: float, *, is_open: bool) -> bool:
    if before.mean <= 0 or now.mean <= 0:
        return is_open
    size = sign * log(now.mean / before.mean)
    if _are_few(now, before):
        return is_open and size >= OVER * log(factor)
    error = sqrt(now.variance / now.n / now.mean**2 + before.variance / before.n / before.mean**2)
    return _is_shift(size, error, log(factor), is_open=is_open)


def _are_few(now: Sample, before: Sample) -> bool:
    return now.n < FEWEST_NOW or before.n < FEWEST_BEFORE


def _is_shift(size: float, error: float, least: float, *, is_open: bool) -> bool:
    ease = OVER if is_open else 1.0
    return size >= ease * least and size >= ease * CERTAIN * error
