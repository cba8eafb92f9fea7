"""What a single dial must look like: checked by itself, or refused with what would be right."""

import re
from os.path import isdir
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from app.address import checked
from app.keys.holder import GOOD_NAME
from policy.decide import RULES
from policy.types import DAY_S
from storage.place import ENCODED, is_postgres

LEAST_SECRET = 32
EVERYBODY = "*"
"""Stands for every tenant."""
YEAR_S = 365 * DAY_S
ORIGIN = re.compile(r"https?://[a-z0-9.\[\]:-]+(:[0-9]{1,5})?")


def _path(given: Any) -> Any:
    if not str(given) or "\0" in str(given):
        raise ValueError("it must be a path, and none is empty or has the character NUL in it")
    return given


def _place(given: Any) -> Any:
    _path(given)
    if is_postgres(given):
        return str(given)
    if "://" in str(given):
        raise ValueError(
            "it must be the path of an SQLite file, or postgresql://user:password@host/name "
            f"{ENCODED}"
        )
    if isdir(given):  # said here, because the sandbox keeps its log at another path
        raise ValueError(f"it must be the path of an SQLite file, and {given} is a folder")
    return Path(given) if isinstance(given, str) else given


def _rule(name: str) -> str:
    fixed = re.fullmatch("fixed:[A-Za-z0-9._:/-]{1,64}", name)
    if fixed is None and (name not in RULES or ":" in name):
        raise ValueError(f"it must be one of {', '.join(RULES)}")
    return name


def _key(key: SecretStr) -> SecretStr:
    if re.fullmatch("[!-~]{16,256}", key.get_secret_value()) is None:
        raise ValueError("it must be 16 to 256 letters, digits and signs, without spaces")
    return key


def _secret(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < LEAST_SECRET:
        raise ValueError(f"it must have at least {LEAST_SECRET} characters")
    return secret


def named_in(listed: str) -> frozenset[str]:
    """Return what a dial lists, with commas between.

    >>> sorted(named_in("default, quality"))
    ['default', 'quality']
    """
    return frozenset(filter(None, map(str.strip, listed.split(","))))


def _origins(listed: str) -> str:
    for origin in named_in(listed):
        if ORIGIN.fullmatch(origin) is None:
            raise ValueError(
                f"{origin!r} in it is no origin: it must be like https://shop.example or "
                "http://localhost:3000, in small letters and without a path"
            )
    return listed


def _tenants(listed: str) -> str:
    for name in named_in(listed):
        if name != EVERYBODY and GOOD_NAME.fullmatch(name) is None:
            raise ValueError(
                f"{name!r} in it is no tenant: it must be 1 to 64 of A-Z a-z 0-9 . _ -, "
                f"or {EVERYBODY} for all"
            )
    return listed


def _url(url: SecretStr) -> SecretStr:
    if not _can_be_sent_to(url.get_secret_value()):
        raise ValueError("it must be a URL, such as https://hooks.example.com/turnpike")
    return url


def _can_be_sent_to(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")  # as it is looked up: labels may be too long
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return re.fullmatch("https?://[!-~]+", url) is not None and bool(host) and port_is_right


Seconds = Annotated[float, Field(gt=0, le=YEAR_S)]
Days = Annotated[float, Field(gt=0, le=36_500)]
File = Annotated[Path, BeforeValidator(_path)]
Where = Annotated[Path | str, BeforeValidator(_place)]
Rule = Annotated[str, AfterValidator(_rule)]
Address = Annotated[str, AfterValidator(checked)]
Origins = Annotated[str, AfterValidator(_origins)]
Tenants = Annotated[str, AfterValidator(_tenants)]
Url = Annotated[SecretStr, AfterValidator(_url)]
Key = Annotated[SecretStr, AfterValidator(_key)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
