"""Addresses in settings: what the service is bound to, and whether others can reach it."""

import re
from functools import lru_cache
from ipaddress import ip_address

HIGHEST_PORT = 65_535


def checked(bind: str) -> str:
    """Return a bind that is an address with a port.

    raises : ValueError that says what would be right
    """
    host, _, port = bind.rpartition(":")
    unbracketed = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not host or unbracketed or re.fullmatch("[0-9]{1,5}", port) is None:
        raise ValueError("it must be host:port, such as 127.0.0.1:8000 or [::1]:8000")
    if not 0 < int(port) <= HIGHEST_PORT:
        raise ValueError(f"its port must be from 1 to {HIGHEST_PORT}")
    return bind


def is_loopback(bind: str) -> bool:
    """Return whether nobody outside of this machine can reach an address.

    >>> is_loopback("127.0.0.1:8000"), is_loopback("0.0.0.0:8000")
    (True, False)
    """
    return names_loopback(bind.rpartition(":")[0])


@lru_cache(maxsize=64)
def names_loopback(host: str) -> bool:
    """Return whether a host, in brackets if it is one of IPv6, is this machine and no other.

    >>> names_loopback("[::1]"), names_loopback("localhost"), names_loopback("turnpike.example")
    (True, True, False)
    """
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name, which may stand for any address
        return host == "localhost"
