"""Who a request comes from: the tenant that owns the key it carries, and what that key may do."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from policy.pacer import Budget, Goal

TENANT = "default"
GOOD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""What a key or a tenant may be called: safe in a log, a table and a shell."""

Scope = Literal["complete", "feedback", "read", "metrics", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
EVERYTHING: frozenset[Scope] = frozenset(SCOPES)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever holds a key; `key_id` None is where none is asked for.

    `complete` may ask, `feedback` may rate, `read` may see, all of it for its own tenant; `metrics`
    may read the counters of the whole service; `admin` is the operator: what it sees and rates may
    be anybody's, and it may change the service.
    `allowed_arms` None allows every arm; `goal` None decides at the service's price; `cap` is a
    budget that is a ceiling beside it.
    """

    name: str
    key_id: str | None = None
    tenant: str = TENANT
    scopes: frozenset[Scope] = EVERYTHING
    rate_limit: str | None = None
    allowed_arms: frozenset[str] | None = None
    goal: Goal | None = None
    cap: Budget | None = None

    @property
    def sees(self) -> str | None:
        """Return whose decisions it may see and rate: its tenant's, or None for everybody's.

        >>> Holder("shop", tenant="shop", scopes=frozenset({"read"})).sees
        'shop'
        """
        return None if "admin" in self.scopes else self.tenant

    @property
    def counts_dollars(self) -> bool:
        """Return whether its key has a budget, so that nothing without a price may be asked."""
        return self.cap is not None or isinstance(self.goal, Budget)

    def among(self, arms: Collection[str]) -> Collection[str]:
        """Return the arms that its key allows.

        >>> Holder("shop", allowed_arms=frozenset({"small"})).among(["small", "large"])
        ['small']
        """
        allowed = self.allowed_arms
        return arms if allowed is None else [arm for arm in arms if arm in allowed]


ANYBODY = Holder("anybody")
"""Who asks a service that asks for no key: it listens on loopback only."""
