"""Which failures may be the request's own fault as well as the arm's.

They count against the arm only once another arm has answered the same request: else anybody could
have every arm left alone, with requests that each of them is right to fail.
"""

from policy.errors import UpstreamBusy, UpstreamError, UpstreamRejected, UpstreamUnauthorised
from upstream.refusals import GONE, NOT_FOUND, TOO_LARGE, UNAUTHORISED

BLANK = "blank_answer"
"""The code of the error for an answer that says nothing and has no reason to."""
REJECTIONS = 3


def rejects(error: UpstreamError) -> bool:
    """Return whether a provider calls the request wrong, in no way that clears the arm."""
    return type(error) is UpstreamRejected


def is_the_requests(error: UpstreamError) -> bool:
    """Return whether a failure says nothing of the arm's next request.

    A prompt of more tokens than the quota of a minute has leaves that quota to all others.
    """
    is_too_large = isinstance(error, UpstreamBusy) and error.http_status == TOO_LARGE
    return is_too_large or isinstance(error, UpstreamRejected)


def is_doubtful(error: UpstreamError, rejections: int) -> bool:
    """Return whether a failure may be the arm's or the request's.

    So are a key that is refused by another status than 401, a blank answer, and a model that is
    said to be gone, but by a 404. A rejection is the request's, until it is one of `REJECTIONS` in
    a row.
    """
    if isinstance(error, UpstreamRejected):
        return rejects(error) and rejections >= REJECTIONS
    is_gone = error.code == GONE and error.http_status != NOT_FOUND
    is_refused = isinstance(error, UpstreamUnauthorised) and error.http_status != UNAUTHORISED
    return is_gone or is_refused or error.code == BLANK
