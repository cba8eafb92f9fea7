"""Keys from the command line: made and shown once, listed with what they have spent, revoked."""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from app.commands.delivery import delivered
from app.commands.told import table, tell
from app.figures import dollars
from app.given import command
from app.keys.keyring import digest, known, strangers
from app.keys.subkeys import subkeys
from app.settings import Settings
from jobs.intake import of_key, of_revocation
from policy.errors import InvalidInput
from policy.pacer import SECONDS
from storage.keys import Key, Revocation
from storage.stores import open_reader
from upstream.catalogue import load

PREFIX = "tpk"
COLUMNS = ("id", "name", "tenant", "scopes", "limits", "spent", "made", "revoked")
NONE_YET = "there is no key yet: make one with `{} keys create NAME`"
NONE_LEFT = (
    "every key is revoked, as --all shows, and requests need one all the same: "
    "`{} keys create NAME` makes one"
)
STRANGE_HERE = (
    "turnpike: this key was made with another secret than {}: if those open the service, it does "
    "not; revoke it, and make one with the service's TURNPIKE_SECRET or TURNPIKE_DATA"
)
SHOWN_ONCE = """It is shown this once: the log keeps nothing but a digest of it. Send it as
Authorization: Bearer, as OpenAI's clients do with their api_key."""


def create(settings: Settings, wanted: Mapping[str, Any], *, as_json: bool) -> None:
    """Make a key with these fields of `storage.keys.Key`, and show it this once.

    raises : InvalidInput if its name is taken or it names no arm; ConfigError
    """
    _require_arms(settings, wanted["allowed_arms"] or ())
    others = [each.key for each in known(settings) if each.revoked_at_s is None]
    if any(other.name == wanted["name"] for other in others):
        raise InvalidInput(
            f"there is a key named {wanted['name']!r}: revoke it, or take another name",
            param="name",
        )
    identity = secrets.token_hex(4)
    secret = f"{PREFIX}_{identity}_{secrets.token_urlsafe(32)}"
    ours = subkeys(settings)
    key = Key(
        id=identity,
        digest=digest(ours, secret),
        secret_check=ours.check,
        created_at_s=time.time(),
        **wanted,
    )
    delivered(settings, of_key(key))
    if named := strangers(others, ours.check):
        click.echo(STRANGE_HERE.format(", ".join(named)), err=True)
    made = f"made key {key.name} ({key.id}) of tenant {key.tenant}: {', '.join(key.scopes)}"
    told = f"{made}{_limits(key, '; ')}\n\n  {secret}\n\n{SHOWN_ONCE}"
    tell({**_described(key), "key": secret}, told, as_json=as_json)


def listed(settings: Settings, *, with_revoked: bool, as_json: bool) -> None:
    """Print the keys with their limits, and what each has spent in its hour or day."""
    rows: list[dict[str, Any]] = []
    lines: list[tuple[object, ...]] = []
    standing = known(settings)
    for each in standing:
        if with_revoked or each.revoked_at_s is None:
            key, revoked_at_s = each.key, each.revoked_at_s
            spent_usd = _spent_usd(settings, key)
            rows.append({**_described(key), "revoked_at_s": revoked_at_s, "spent_usd": spent_usd})
            said = (key.id, key.name, key.tenant, ",".join(key.scopes), _limits(key))
            lines.append((*said, dollars(spent_usd), _day(key.created_at_s), _day(revoked_at_s)))
    none = (NONE_LEFT if standing else NONE_YET).format(command())
    tell(rows, table(COLUMNS, lines) if lines else none, as_json=as_json)


def revoke(settings: Settings, named: str, *, as_json: bool) -> None:
    """End a key, by its name or id; requests under way with it are still answered.

    raises : InvalidInput if there is none
    """
    active = [each.key for each in known(settings) if each.revoked_at_s is None]
    found = next((key for key in active if named in {key.id, key.name}), None)
    if found is None:
        listed = ", ".join(key.name for key in active) or "there is none"
        raise InvalidInput(
            f"{named!r} is no key that could be revoked; the keys: {listed}", param="key"
        )
    revocation = Revocation(key_id=found.id, at_s=time.time())
    delivered(settings, of_revocation(revocation))
    told = f"key {found.name} ({found.id}) opens nothing any more"
    tell(
        {"id": found.id, "name": found.name, "revoked_at_s": revocation.at_s}, told, as_json=as_json
    )


def key_of(settings: Settings, named: str) -> Key:
    """Return the key of a name or an id, also if it is revoked.

    raises : InvalidInput if there is none, or if several had that name
    """
    keys = [each.key for each in known(settings)]
    found = [key for key in keys if named in {key.id, key.name}]
    if len(found) != 1:
        why = "is no key" if not found else "was the name of several keys: give an id"
        there = ", ".join(f"{key.name} ({key.id})" for key in found or keys) or "there is none"
        raise InvalidInput(f"{named!r} {why}; the keys: {there}", param="key")
    return found[0]


def _spent_usd(settings: Settings, key: Key) -> float:
    """Return what a key has spent in the hour or day of its budget, without one today."""
    now_s, window_s = time.time(), SECONDS.get(key.budget_per, SECONDS["day"])
    since_s = now_s - now_s % window_s
    with open_reader(settings.database) as log:
        return log.spend_usd(since_s, since_s + window_s, key_id=key.id)


def _require_arms(settings: Settings, named: Sequence[str]) -> None:
    arms = load(settings.arms).arms if named else {}
    for arm in named:
        if arm not in arms:
            raise InvalidInput(
                f"{arm!r} is no arm; the arms are {', '.join(arms)}", param="allowed_arms"
            )


def _described(key: Key) -> dict[str, Any]:
    fields = asdict(key)
    del fields["digest"], fields["secret_check"]
    return fields


def _limits(key: Key, before: str = "") -> str:
    """Return what a key is limited to, in words."""
    said = [
        key.rate_limit,
        None if key.budget_usd is None else f"${key.budget_usd:g}/{key.budget_per}",
    ]
    if key.willingness_to_pay_usd is not None:
        said.append(f"pays ${key.willingness_to_pay_usd:g}")
    if key.quality_floor is not None:
        said.append(f"quality {key.quality_floor:g}")
    if key.allowed_arms is not None:
        said.append(f"arms {','.join(key.allowed_arms)}")
    words = ", ".join(filter(None, said))
    return before + words if words else ""


def _day(at_s: float | None) -> str:
    return "" if at_s is None else datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M")
