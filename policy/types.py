"""The words of the field as types; every other room speaks in these.

Three letters name every shape: n rounds, k arms, d features. Money is US dollars, time is seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

TOKENS_PER_MTOK = 1_000_000
MINUTE_S, HOUR_S, DAY_S = 60.0, 3_600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one upstream call may take: to connect, to first content, between chunks, in all."""

    connect_s: float = 5.0
    first_content_s: float = 60.0
    idle_s: float = 30.0
    total_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Arm:
    """One routable choice: a provider's model with its prices, window and abilities.

    `billed_in` is where in the usage of an answer its provider says what it bills, with dots.

    units  : prices in US dollars per million tokens, context_window in tokens, quality and
             max_share 0..1; the day of max_usd_per_day is one of UTC
    """

    name: str
    provider: str
    model: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    context_window: int
    cached_input_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None
    capabilities: frozenset[str] = frozenset()
    tier: str = "standard"
    quality: float | None = None
    quota_group: str = ""
    max_concurrent: int | None = None
    max_share: float | None = None
    max_usd_per_day: float | None = None
    fallbacks: tuple[str, ...] = ()
    answers_as: tuple[str, ...] = ()
    billed_in: str | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    timeouts: Timeouts = Timeouts()

    @property
    def listed_usd_per_mtok(self) -> float:
        """Return both prices in one, three tokens of input to one of output.

        >>> Arm("a", "p", "m", 2.0, 10.0, 128_000).listed_usd_per_mtok
        4.0
        """
        return (3.0 * self.input_usd_per_mtok + self.output_usd_per_mtok) / 4.0

    def cost_usd(
        self,
        input_tokens: float,
        output_tokens: float,
        cached_tokens: float = 0.0,
        cache_write_tokens: float = 0.0,
    ) -> float:
        """Return the dollars of one call; parts of the input are read from cache and written to it.

        >>> arm = Arm("a", "p", "m", 2.5, 10.0, 128_000, cached_input_usd_per_mtok=1.25)
        >>> arm.cost_usd(1_000_000, 100_000, cached_tokens=400_000)
        3.0
        """
        cached_price = self.cached_input_usd_per_mtok
        if cached_price is None:
            cached_price = self.input_usd_per_mtok
        fresh = input_tokens - cached_tokens
        dollars = fresh * self.input_usd_per_mtok + cached_tokens * cached_price
        if self.cache_write_usd_per_mtok is not None:
            dollars += cache_write_tokens * (
                self.cache_write_usd_per_mtok - self.input_usd_per_mtok
            )
        return (dollars + output_tokens * self.output_usd_per_mtok) / TOKENS_PER_MTOK


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one call, as the provider counted them or, when `estimated`, as we did.

    `billed_usd` is what the provider says it bills for the call, if it does.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    estimated: bool = False
    billed_usd: float | None = None
    cache_write_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Return the tokens of the prompt and its answer together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        """Return the tokens of two calls; what is billed is said of one.

        >>> (Usage(3, 2, 1, cache_write_tokens=2) + Usage(1, 1, 1)).cache_write_tokens
        2
        >>> Usage(3, 2, 1) + Usage(1, 1, 1) == Usage(4, 3, 2)
        True
        >>> (Usage(3, 2, estimated=True) + Usage(1, 1)).estimated
        True
        """
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.estimated or other.estimated,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
        )


NOTHING = Usage(0, 0)
