"""Whether a request may do what it asks: every view says what it needs, or nobody may use it.

The endpoint decides, never the path or the host: what the router matched is what is served.
"""

from collections.abc import Callable
from math import ceil
from typing import Any, TypeVar

from flask import Flask, Response, current_app, g, request

from app.address import names_loopback
from app.keys.feedback_tokens import PREFIX as TOKEN
from app.keys.holder import ANYBODY, Holder, Scope
from app.keys.keyring import NO_KEY, Keyring
from app.keys.rates import Rates, RateStanding
from app.mistakes import seen
from policy.errors import Forbidden, Unauthenticated

F = TypeVar("F", bound=Callable[..., Any])

SESSION = "turnpike-session"
"""The cookie of the pages. The API takes none, so no other site can use it through a browser."""
RATES = "turnpike.rates"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FROM_US = "same-origin"

_SCOPES: dict[Callable[..., Any], Scope] = {}
_WITH_COOKIE: set[Callable[..., Any]] = set()
_WITH_TOKEN: set[Callable[..., Any]] = set()
_PUBLIC: set[Callable[..., Any]] = set()


def needs(scope: Scope, *, cookie: bool = False, token: bool = False) -> Callable[[F], F]:
    """Declare what a holder must be allowed to use a view.

    `cookie` lets a page's session in; `token` lets browsers of other sites in, whose feedback token
    the view takes to `voter`.
    """

    def declare(view: F) -> F:
        _SCOPES[view] = scope
        if cookie:
            _WITH_COOKIE.add(view)
        if token:
            _WITH_TOKEN.add(view)
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


def takes_token(view: Callable[..., Any]) -> bool:
    """Return whether browsers of other sites may use a view, with a feedback token."""
    return view in _WITH_TOKEN


def who() -> Holder:
    """Return who asks. It was found before the view ran, and may do what the view needs."""
    holder: Holder = g.holder
    return holder


def voter(decision_id: object, token: object) -> Holder | None:
    """Return who rates a decision with its feedback token; None if it is whoever asks.

    Both come from a body that nobody has checked yet; a token in the header is as good.

    raises : Unauthenticated if there is neither key nor token, or it is no token for this decision;
             FeedbackClosed, RateLimited
    """
    token = token or g.get("feedback_token")
    if isinstance(token, str):
        holder = _keyring().feedback_tokens.holder(token, str(decision_id))
    elif g.holder is None:
        raise Unauthenticated(NO_KEY)
    else:
        return None
    _rates().hit(holder)
    return holder


def count_wrong_key() -> None:
    """Count that whoever asks came with a wrong key, wherever it stood.

    raises : RateLimited if there were too many
    """
    _rates().wrong_key(request.remote_addr or "")


def install(app: Flask) -> None:
    """Let nobody in who may not do what is asked, or asks too often."""
    app.extensions[RATES] = Rates()
    app.before_request(_admit)
    app.after_request(_tell_rate)


def _admit() -> None:
    """Find who asks.

    raises : Unauthenticated, Forbidden, RateLimited
    """
    if request.endpoint is None:
        return  # there is nothing here, and that is said without asking for a key
    view = current_app.view_functions[request.endpoint]
    scope = scope_of(view)
    if scope is None:
        return
    if not _keyring().asks:
        _require_own_name()
    if _is_without_key(view):
        return
    try:
        g.holder = _holder(view)
    except Unauthenticated:
        if "authorization" in request.headers:
            count_wrong_key()
        raise
    g.rate = _rates().hit(g.holder)
    if scope not in g.holder.scopes:
        listed = ", ".join(sorted(g.holder.scopes))
        raise Forbidden(f"this needs a key with scope {scope}; the one given has {listed}")


def _require_own_name() -> None:
    """Refuse a foreign name: another site may point its own at us, and ask through a browser here.

    raises : Forbidden
    """
    host = request.host.rpartition(":")[0] if ":" in request.host else request.host
    if not names_loopback(host):
        raise Forbidden(
            f"no key is asked for here, so this is only for this machine, not for {seen(host)}: "
            "set TURNPIKE_API_KEY, or ask at 127.0.0.1"
        )


def _is_without_key(view: Callable[..., Any]) -> bool:
    """Return whether a browser asks without a key, as it may: the view asks for its token."""
    if view not in _WITH_TOKEN:
        return False
    if request.method == "OPTIONS":
        return True  # what a browser asks before it sends anything
    given = bearer()
    if given is not None and not given.startswith(TOKEN):
        return False
    g.feedback_token = given
    g.holder = None if _keyring().asks else ANYBODY
    return True


def _holder(view: Callable[..., Any]) -> Holder:
    keyring = _keyring()
    if view in _WITH_COOKIE and bearer() is None:
        session = request.cookies.get(SESSION)
        if session:
            if request.method not in SAFE:
                require_own_page()
            return keyring.holder_of(session)
    return keyring.holder(bearer())


def bearer() -> str | None:
    """Return the key in the header of a request; what a proxy asks for beside is none."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme.lower() == "bearer" else None


def _keyring() -> Keyring:
    keyring: Keyring = current_app.extensions["turnpike"].keyring
    return keyring


def _rates() -> Rates:
    rates: Rates = current_app.extensions[RATES]
    return rates


def _tell_rate(response: Response) -> Response:
    """Say how the key stands, in the headers that OpenAI's clients know."""
    holder: Holder | None = g.get("holder")
    rate: RateStanding | None = g.get("rate")
    if rate is None and holder is not None:
        rate = _rates().standing(holder)  # one that was refused
    if rate is not None:
        response.headers["x-ratelimit-limit-requests"] = str(rate.limit)
        response.headers["x-ratelimit-remaining-requests"] = str(rate.left)
        response.headers["x-ratelimit-reset-requests"] = f"{ceil(rate.reset_s)}s"
    return response


def require_own_page() -> None:
    """Refuse what another site's page lets a browser send: it sends the cookie with it.

    The browser itself says in `Sec-Fetch-Site` from where a page sends, and lets no script set a
    header whose name begins so. It compares the addresses that it sees, so it is right behind a
    proxy that takes TLS, where we see another. One that is too old for it, or asks without TLS,
    says `Origin`. Whoever is no browser may say what he likes, and has nobody else's cookie.

    source : https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
    raises : Forbidden
    """
    origin, fetched = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if not (fetched == FROM_US if fetched else origin == request.host_url[:-1]):
        raise Forbidden("this was not sent by a page of ours; load the page anew and try again")
