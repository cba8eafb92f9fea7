"""The keys that open this service, found by the digest of the whole key; and signed sessions."""

import hmac
import time
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import cast

from structlog import get_logger

from app.keys.feedback_tokens import FeedbackTokens
from app.keys.holder import ANYBODY, Holder, Scope
from app.keys.subkeys import FILE, Subkeys, is_tag, subkeys, tag
from app.routing.goals import Goals
from app.settings import Settings
from policy.errors import ConfigError, StoreUnavailable, Unauthenticated
from policy.types import HOUR_S
from storage.keys import Key, KeyStanding
from storage.place import is_there
from storage.reader import LogReader
from storage.stores import exists, open_reader

LOGGER = get_logger()
LONGEST_KEY = 256
NO_KEY = "the request needs the header Authorization: Bearer and our key"
SESSION_S = 8 * HOUR_S
STRANGE = (
    "they were made with another secret: put back the file `secret` that was in the folder of "
    "TURNPIKE_DATA, by default beside the log, or set TURNPIKE_SECRET as it was; else revoke them "
    "and make new ones"
)


def digest(subkeys: Subkeys, key: str) -> bytes:
    """Return what is kept of a key: useless to whoever has not the service's secret too."""
    return hmac.digest(subkeys.of("keys/v1"), key.encode(errors="replace"), sha256)


class Keyring:
    """The holders of all keys by the digest of their key; no key itself is kept.

    All of them are in memory, so that a request never waits for the store; the keeper follows the
    log twice a second.

    raises : ConfigError if there is no key and the service can be reached from outside
    """

    def __init__(self, settings: Settings, subkeys: Subkeys, log: LogReader, goals: Goals) -> None:
        self._pepper, self._check = subkeys.of("keys/v1"), subkeys.check
        self._signing = subkeys.of("session/v1")
        self._forms = subkeys.of("form/v1")
        self.feedback_tokens = FeedbackTokens(subkeys, settings.feedback_window_s)
        self._log = log
        self.goals = goals
        self._changes = -1
        self._is_blind = False
        self._ours: dict[bytes, Holder] = {}
        if settings.api_key is not None:
            own = digest(subkeys, settings.api_key.get_secret_value())
            self._ours[own] = Holder("TURNPIKE_API_KEY", f"settings-{own[:4].hex()}")
        self._by_digest = self._ours
        self._by_id: dict[str, Holder] = {}
        self._with_goal: set[str] = set()
        self._follow()
        require_a_key(settings, asks=self.asks)

    @property
    def asks(self) -> bool:
        """Return whether a key is asked for: since the first one was made, revoked or not."""
        return bool(self._ours) or self._changes > 0

    def has_goal(self, key_id: str) -> bool:
        """Return whether a key has, or had until it was revoked, a goal that sets its price."""
        return key_id in self._with_goal

    def holder(self, key: str | None) -> Holder:
        """Return who holds a key.

        raises : Unauthenticated if a key is asked for and this is none; StoreUnavailable if it
                 may be one that could not be read
        """
        if not self.asks:
            return ANYBODY
        found = None
        if key is not None and len(key) <= LONGEST_KEY:
            given = hmac.digest(self._pepper, key.encode(errors="replace"), sha256)
            found = self._by_digest.get(given)
        if found is not None:
            return found
        if self._is_blind:
            raise StoreUnavailable("the keys cannot be read now; try again in a few seconds")
        raise Unauthenticated(NO_KEY)

    def session(self, holder: Holder) -> str:
        """Return what a browser may show in place of its holder's key for eight hours."""
        told = f"{holder.key_id}.{int(time.time() + SESSION_S)}"
        return f"{told}.{tag(self._signing, told)}"

    def form_token(self, session: str) -> str:
        """Return what a form of a session's page sends along, which no other page can know."""
        return tag(self._forms, session)

    def holder_of(self, session: str) -> Holder:
        """Return whose session this is.

        raises : Unauthenticated if it is none, has ended, or its key is no longer one
        """
        if not self.asks:
            return ANYBODY
        told, _, signed = session.rpartition(".")
        key_id, _, until_s = told.rpartition(".")
        is_ours = is_tag(self._signing, told, signed) and time.time() < int(until_s)
        if not is_ours or key_id not in self._by_id:
            raise Unauthenticated("the session has ended; sign in again with a key")
        return self._by_id[key_id]

    def follow(self) -> None:
        """Take up what keys were made or revoked since; where that fails, keep what is known."""
        try:
            self._follow()
        except StoreUnavailable as error:
            if not self._is_blind:
                LOGGER.warning("the keys cannot be read now", reason=error.message)
            self._is_blind = True

    def _follow(self) -> None:
        changes = self._log.keys_changed()
        if changes != self._changes:
            standings = self._log.known_keys()
            known = [each.key for each in standings if each.revoked_at_s is None]
            self._with_goal = {e.key.id for e in standings if self.goals.of(e.key)[0] is not None}
            self._by_digest = self._ours | {key.digest: self._holder(key) for key in known}
            self._by_id = {each.key_id: each for each in self._by_digest.values() if each.key_id}
            self._changes = changes
            if named := strangers(known, self._check):
                LOGGER.error("these keys open nothing", reason=STRANGE, keys=", ".join(named))
        self._is_blind = False

    def _holder(self, key: Key) -> Holder:
        goal, cap = self.goals.of(key)
        arms = key.allowed_arms
        return Holder(
            name=key.name,
            key_id=key.id,
            tenant=key.tenant,
            scopes=frozenset(cast(Scope, scope) for scope in key.scopes),
            rate_limit=key.rate_limit,
            allowed_arms=None if arms is None else frozenset(arms),
            goal=goal,
            cap=cap,
        )


def require_a_key(settings: Settings, *, asks: bool) -> None:
    """Refuse to be reached from outside without any key.

    raises : ConfigError
    """
    if not asks and not settings.is_loopback:
        raise ConfigError(
            f"bind {settings.bind} can be reached from outside: make a key with `keys create`, set "
            "TURNPIKE_API_KEY, or bind to 127.0.0.1"
        )


def known(settings: Settings) -> list[KeyStanding]:
    """Return every key of the log, if there is a log.

    raises : ConfigError, StoreUnavailable
    """
    if not exists(settings.database):
        return []
    with open_reader(settings.database) as log:
        return log.known_keys()


def strangers(keys: Iterable[Key], check: str) -> list[str]:
    """Return the names of the keys that were made with another secret than the one of this check.

    Of keys that an older version made nobody can tell.
    """
    return [key.name for key in keys if key.secret_check not in {None, check}]


def unopened(settings: Settings, known: Sequence[KeyStanding]) -> list[str]:
    """Return the names of the keys that open nothing with the secret of these settings.

    One that is not there is not made: with it none of them would open anything.

    raises : ConfigError if the secret cannot be used
    """
    keys = [each.key for each in known if each.revoked_at_s is None]
    if settings.secret is None and not is_there(settings.folder / FILE):
        return [key.name for key in keys]
    return strangers(keys, subkeys(settings).check)
