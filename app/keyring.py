"""The keys that open this service, found by the digest of the whole key; and signed sessions."""

import hmac
import time
from hashlib import sha256

from app.holder import ANYBODY, Holder
from app.settings import Settings
from app.subkeys import Subkeys, is_tag, tag
from policy.errors import Unauthenticated

LONGEST_KEY = 256
SESSION_S = 8 * 3_600.0


class Keyring:
    """The holders of all keys by the digest of their key; no key itself is kept."""

    def __init__(self, settings: Settings, subkeys: Subkeys) -> None:
        self._pepper = subkeys.of("keys/v1")
        self._signing = subkeys.of("session/v1")
        self._forms = subkeys.of("form/v1")
        self._by_digest: dict[bytes, Holder] = {}
        if settings.api_key is not None:
            digest = self.digest(settings.api_key.get_secret_value())
            self._by_digest[digest] = Holder("TURNPIKE_API_KEY", f"settings-{digest[:4].hex()}")

    @property
    def asks(self) -> bool:
        """Return whether a key is asked for; without any, the service listens on loopback only."""
        return bool(self._by_digest)

    def digest(self, key: str) -> bytes:
        """Return what is kept of a key: useless to whoever has not the service's secret too."""
        return hmac.digest(self._pepper, key.encode(errors="replace"), sha256)

    def holder(self, key: str | None) -> Holder:
        """Return who holds a key.

        raises : Unauthenticated if a key is asked for and this is none
        """
        if not self.asks:
            return ANYBODY
        found = None
        if key is not None and len(key) <= LONGEST_KEY:
            found = self._by_digest.get(self.digest(key))
        if found is None:
            raise Unauthenticated("the request needs the header Authorization: Bearer and our key")
        return found

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
        if is_tag(self._signing, told, signed) and time.time() < int(until_s):
            for holder in self._by_digest.values():
                if holder.key_id == key_id:
                    return holder
        raise Unauthenticated("the session has ended; sign in again with a key")
