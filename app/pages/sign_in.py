"""Signing in to the pages: a session in a cookie, and forms that only our own pages can send."""

import hmac

from flask import Response, request

from app.api.access import SESSION, bearer, count_wrong_key, require_own_page
from app.api.body import reading
from app.api.routes import parts
from app.keys.holder import Holder
from app.keys.keyring import SESSION_S
from policy.errors import Forbidden, Unauthenticated

FORM_BYTES = 1 << 16
"""Our forms are small; a larger one comes from somebody who needs no key to fill the disk."""
TOKEN = "token"  # noqa: S105 (the name of a field, not what is in it)


def begin(response: Response, key: str) -> None:
    """Let the browser that gets this response in for eight hours, as whoever holds the key.

    raises : Unauthenticated, or RateLimited if there were too many wrong ones
    """
    keyring = parts().keyring
    try:
        given = keyring.holder(key)
    except Unauthenticated:
        count_wrong_key()
        raise
    response.set_cookie(
        SESSION,
        keyring.session(given),
        max_age=int(SESSION_S),
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
    )


def end(response: Response) -> None:
    """Forget the session of the browser that gets this response."""
    response.delete_cookie(SESSION, httponly=True, samesite="Strict")


def holder() -> Holder | None:
    """Return who has signed in, or need not; None if nobody has: a key in a header goes before."""
    if bearer() is not None:
        return None
    try:
        return parts().keyring.holder_of(request.cookies.get(SESSION, ""))
    except Unauthenticated:
        return None


def token() -> str:
    """Return what a form of this session sends along."""
    return parts().keyring.form_token(request.cookies.get(SESSION, ""))


def require_own_form() -> None:
    """Refuse a form that a page of ours did not send.

    raises : Forbidden; ClientDisconnected where it is cut; RequestTimeout; RequestEntityTooLarge
    """
    require_own_page()
    request.max_content_length = FORM_BYTES
    with reading(FORM_BYTES):
        given = request.form.get(TOKEN, "")
    if not hmac.compare_digest(given.encode(errors="replace"), token().encode()):
        raise Forbidden("this was not sent by a page of ours; load the page anew and try again")
