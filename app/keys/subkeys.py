"""One secret, and from it a key for each purpose: what was signed for one is nothing to another."""

import hmac
import os
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Literal

from app.settings import Settings
from policy.errors import ConfigError

Purpose = Literal["keys/v1", "session/v1", "feedback/v1", "form/v1", "check/v1"]

FILE = "secret"
SALT = b"turnpike"
OTHERS = 0o077
FEWEST_BYTES = 32


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """Return a key of 32 bytes derived from a secret for one purpose.

    source : RFC 5869, with SHA-256

    >>> hkdf(b"secret", b"", b"a") == hkdf(b"secret", b"", b"b")
    False
    """
    extracted = hmac.digest(salt, secret, sha256)
    return hmac.digest(extracted, info + b"\x01", sha256)


class Subkeys:
    """The keys derived from one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, purpose: Purpose) -> bytes:
        """Return the key of a purpose; whoever has it learns nothing of the others."""
        return hkdf(self._secret, SALT, purpose.encode())

    @property
    def check(self) -> str:
        """Return what tells this secret from every other, and nothing about it."""
        return self.of("check/v1").hex()


def tag(key: bytes, text: str) -> str:
    """Return what proves that whoever has the key has signed a text; safe in a URL and a header."""
    signed = hmac.digest(key, text.encode(errors="replace"), sha256)
    return urlsafe_b64encode(signed[:24]).decode()


def is_tag(key: bytes, text: str, given: str) -> bool:
    """Return whether this is the tag of the text, in a time that does not tell how nearly."""
    return hmac.compare_digest(tag(key, text).encode(), given.encode(errors="replace"))


def subkeys(settings: Settings) -> Subkeys:
    """Return the keys of this service: of TURNPIKE_SECRET, else of a file that is made once.

    raises : ConfigError if others may read the file, it is too short, or it cannot be made
    """
    if settings.secret is not None:
        return Subkeys(settings.secret.get_secret_value().encode(errors="surrogateescape"))
    path = settings.folder / FILE
    try:
        if not path.exists():
            _make(path)
        secret = path.read_bytes()
        if path.stat().st_mode & OTHERS:
            raise ConfigError(f"{path} can be read by others: chmod 600 {path}, then rotate keys")
    except OSError as error:
        raise ConfigError(
            f"the secret in {path} cannot be used: {error.strerror}; it must be this user's "
            "file, or set TURNPIKE_SECRET"
        ) from error
    if len(secret) < FEWEST_BYTES:
        raise ConfigError(
            f"{path} has {len(secret)} bytes, and {FEWEST_BYTES} are needed: put back the one that "
            "the keys were made with; without any key yet delete it, and the start makes another"
        )
    return Subkeys(secret)


def _make(path: Path) -> None:
    """Write a new secret whole, unless another process of ours is quicker."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Named by no process: in a container the next start has the number of the one that was killed.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_urlsafe(48).encode())
        os.fsync(descriptor)
        os.link(draft, path)
    except FileExistsError:
        pass  # it is made
    finally:
        os.close(descriptor)
        draft.unlink()
