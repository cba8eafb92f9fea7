"""Who is asked to count the tokens of a stream: some count unasked, and reject the question."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

from policy.errors import UpstreamRejected

ASKED = "stream_options"

R = TypeVar("R")


class IncludeUsage:
    """Asks everybody for the count but who has rejected the question; safe for many threads.

    source : Mistral's API, which answers 422 `extra_forbidden` and sends the count all the same
    """

    def __init__(self) -> None:
        self._unasked: set[Hashable] = set()

    def stream(self, whom: Hashable, body: Mapping[str, Any], send: Callable[[Any], R]) -> R:
        """Return what `send` makes of a body that asks for a stream, and for the count if it may.

        raises : UpstreamError, as `send` does; a rejected question is sent again without it
        """
        streamed, options = {**body, "stream": True}, dict(body.get(ASKED) or {})
        if whom not in self._unasked:
            try:
                return send({**streamed, ASKED: {**options, "include_usage": True}})
            except UpstreamRejected as error:
                if ASKED not in f"{error.param} {error.message}":
                    raise
        options.pop("include_usage", None)
        streamed.pop(ASKED, None)
        sent = send({**streamed, ASKED: options} if options else streamed)
        self._unasked.add(whom)
        return sent
