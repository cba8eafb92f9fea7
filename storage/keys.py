"""Keys in the log: each is recorded once and never changed; one that is revoked gets a second row.

Of the key itself only a digest is kept, which is worth nothing without the service's secret.
"""

from dataclasses import dataclass

from policy.pacer import Per

KEYS = """
SELECT k.*, r.at_s AS revoked_at_s
FROM keys k LEFT JOIN revocations r ON r.key_id = k.id ORDER BY k.created_at_s, k.id
"""

KEYS_CHANGED = """
SELECT (SELECT count(*) FROM keys) + (SELECT count(*) FROM revocations) AS changes
"""

NAME_IN_USE = """
SELECT k.id FROM keys k
WHERE k.name = :name AND NOT EXISTS (SELECT 1 FROM revocations r WHERE r.key_id = k.id)
"""

TABLES = """
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    tenant TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_at_s REAL NOT NULL,
    allowed_arms TEXT,
    rate_limit TEXT,
    budget_usd REAL,
    budget_per TEXT NOT NULL,
    willingness_to_pay_usd REAL,
    quality_floor REAL
) STRICT;

CREATE TABLE revocations (
    key_id TEXT PRIMARY KEY REFERENCES keys (id),
    at_s REAL NOT NULL
) STRICT;

ALTER TABLE decisions ADD COLUMN key_id TEXT;

CREATE INDEX decisions_by_key ON decisions (key_id, decided_at_s) WHERE key_id IS NOT NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key, as it was made: whose it is, what it may do, and at what price it decides.

    `allowed_arms` None allows every arm; `rate_limit` is a text such as `60/minute`; a budget per
    hour or day is a ceiling; without a willingness to pay of its own or a floor of quality the
    budget sets the willingness to pay, and without any of them the service does. `secret_check`
    tells which secret its digest was made with, and nothing about it; None for older keys.
    """

    id: str
    name: str
    tenant: str
    digest: bytes
    scopes: tuple[str, ...]
    created_at_s: float
    allowed_arms: tuple[str, ...] | None = None
    rate_limit: str | None = None
    budget_usd: float | None = None
    budget_per: Per = "day"
    willingness_to_pay_usd: float | None = None
    quality_floor: float | None = None
    secret_check: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """The end of a key."""

    key_id: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStanding:
    """A key, and since when it is one no more; None while it is one."""

    key: Key
    revoked_at_s: float | None
