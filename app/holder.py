"""Who a request comes from: the tenant that owns the key it carries, and what that key may do."""

from dataclasses import dataclass
from typing import Literal, get_args

TENANT = "default"

Scope = Literal["complete", "feedback", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
EVERYTHING: frozenset[Scope] = frozenset(SCOPES)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever holds a key; `key_id` None is where none is asked for.

    `complete` may ask, `feedback` may rate, `read` may see, all of it for its own tenant; `admin`
    is the operator: what it sees and rates may be anybody's, and it may change the service.
    """

    name: str
    key_id: str | None = None
    tenant: str = TENANT
    scopes: frozenset[Scope] = EVERYTHING

    @property
    def sees(self) -> str | None:
        """Return whose decisions it may see and rate: its tenant's, or None for everybody's.

        >>> Holder("shop", tenant="shop", scopes=frozenset({"read"})).sees
        'shop'
        """
        return None if "admin" in self.scopes else self.tenant


ANYBODY = Holder("anybody")
"""Who asks a service that asks for no key: it listens on loopback only."""
