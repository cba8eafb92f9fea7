"""Whether a request may do what it asks: every view says what it needs, or nobody may use it.

The endpoint decides, never the path or the host: what the router matched is what is served.
"""

from collections.abc import Callable
from functools import partial
from math import ceil
from typing import Any, TypeVar

from flask import Flask, Response, current_app, g, request

from app.holder import Holder, Scope
from app.keyring import Keyring
from app.rates import Rates, Standing
from policy.errors import Forbidden, Unauthenticated

F = TypeVar("F", bound=Callable[..., Any])

SESSION = "turnpike-session"
"""The cookie of the pages. The API takes none, so no other site can use it through a browser."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

_SCOPES: dict[Callable[..., Any], Scope] = {}
_WITH_COOKIE: set[Callable[..., Any]] = set()
_PUBLIC: set[Callable[..., Any]] = set()


def needs(scope: Scope, *, cookie: bool = False) -> Callable[[F], F]:
    """Declare what a holder must be allowed to use a view; `cookie` lets a page's session in."""

    def declare(view: F) -> F:
        _SCOPES[view] = scope
        if cookie:
            _WITH_COOKIE.add(view)
        return view

    return declare


def public(view: F) -> F:
    """Declare that anybody may use a view."""
    _PUBLIC.add(view)
    return view


def scope_of(view: Callable[..., Any]) -> Scope | None:
    """Return what a view needs, None if it is public; a view that says nothing needs an operator.

    >>> scope_of(print)
    'admin'
    """
    return None if view in _PUBLIC else _SCOPES.get(view, "admin")


def is_declared(view: Callable[..., Any]) -> bool:
    """Return whether a view says what it needs, as every view must."""
    return view in _SCOPES or view in _PUBLIC


def who() -> Holder:
    """Return who asks. It was found before the view ran, and may do what the view needs."""
    holder: Holder = g.holder
    return holder


def install(app: Flask) -> None:
    """Let nobody in who may not do what is asked, or asks too often."""
    app.before_request(partial(_admit, Rates()))
    app.after_request(_tell_rate)


def _admit(rates: Rates) -> None:
    """Find who asks.

    raises : Unauthenticated, Forbidden, RateLimited
    """
    if request.endpoint is None:
        return  # there is nothing here, and that is said without asking for a key
    view = current_app.view_functions[request.endpoint]
    scope = scope_of(view)
    if scope is None:
        return
    try:
        g.holder = _holder(view)
    except Unauthenticated:
        if "authorization" in request.headers:
            rates.wrong_key(request.remote_addr or "")
        raise
    g.rate = rates.hit(g.holder)
    if scope not in g.holder.scopes:
        listed = ", ".join(sorted(g.holder.scopes))
        raise Forbidden(f"this needs a key with scope {scope}; the one given has {listed}")


def _holder(view: Callable[..., Any]) -> Holder:
    keyring: Keyring = current_app.extensions["turnpike"].keyring
    session = request.cookies.get(SESSION)
    if view in _WITH_COOKIE and session and "authorization" not in request.headers:
        _require_own_page()
        return keyring.holder_of(session)
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return keyring.holder(key if scheme.lower() == "bearer" else None)


def _tell_rate(response: Response) -> Response:
    """Say how the key stands, in the headers that OpenAI's clients know."""
    rate: Standing | None = g.get("rate")
    if rate is not None:
        response.headers["x-ratelimit-limit-requests"] = str(rate.limit)
        response.headers["x-ratelimit-remaining-requests"] = str(rate.left)
        response.headers["x-ratelimit-reset-requests"] = f"{ceil(rate.reset_s)}s"
    return response


def _require_own_page() -> None:
    """Refuse what another site's page lets a browser send: it sends the cookie with it."""
    if request.method not in SAFE and request.headers.get("origin") != request.host_url[:-1]:
        raise Forbidden("this was not sent by a page of ours; sign in and use the page itself")
