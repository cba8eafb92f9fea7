"""What a provider did wrong, in our words: each fault becomes one error of `policy/errors.py`.

Nothing a provider says reaches an error unredacted, because providers echo keys and prompts.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from policy.errors import (
    ContextLengthExceeded,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRejected,
    UpstreamTimeout,
)
from policy.types import NOTHING, Usage
from upstream.answers import finish_of
from upstream.doubt import BLANK
from upstream.redact import MAX_CHARS, redacted, said_in
from upstream.refusals import STATUS_ERRORS, meant_by
from upstream.waits import wait_s

READ_CHARS = 1 << 14
"""What a provider says beyond these is not looked at: an error may be megabytes long."""
# How providers say at the end of a 200 answer that it broke off: OpenRouter, GLM, DeepSeek.
_BROKEN_OFF = ("error", "network_error", "insufficient_system_resource")
_BAD_REQUEST = 400
_FIELD = re.compile(r"[A-Za-z_][\w.\[\]-]{0,63}", re.ASCII)


class Faults:
    """The faults of one call; neither `secrets` nor what the request says is ever repeated.

    `what` is ours in every fault, and `said` whatever the provider or a library may have quoted.
    `used` tells what the provider may bill for the call as far as it has come. It is asked for a
    fault of what was sent and taken; what the provider has refused, it does not bill, unless it
    counts it itself.
    """

    def __init__(
        self, arm: str, secrets: Sequence[str] = (), body: Mapping[str, Any] | None = None
    ) -> None:
        self.arm = arm
        self._secrets = secrets
        self._body = body or {}
        self.used: Callable[[], Usage] = lambda: NOTHING

    def invalid(self, what: str, said: str = "") -> UpstreamInvalid:
        """Return the error for an answer that is none."""
        return UpstreamInvalid(self._message(what, said), arm=self.arm, usage=self.used())

    def blank(self, reason: str) -> UpstreamInvalid:
        """Return the error for an answer that says nothing and has no reason to."""
        error = self.invalid("sent a blank answer with finish_reason ", reason)
        error.code = BLANK
        return error

    def late(self, what: str) -> UpstreamTimeout:
        """Return the error for a deadline that passed once the request was sent."""
        return UpstreamTimeout(self._message(what), arm=self.arm, usage=self.used())

    def broken(self, what: str, said: str = "") -> UpstreamError:
        """Return the error for a connection that did not hold once the request was sent."""
        return UpstreamError(self._message(what, said), arm=self.arm, usage=self.used())

    def unsent(self, what: str, said: str = "", *, late: bool = False) -> UpstreamError:
        """Return the error for a request that did not reach the provider."""
        kind = UpstreamTimeout if late else UpstreamError
        return kind(self._message(what, said), arm=self.arm)

    def refused(
        self, status: int, body: object, headers: Mapping[str, str] | None = None
    ) -> UpstreamError:
        """Return the error for an HTTP status that is not a success, with whatever came with it."""
        found = body[0] if isinstance(body, list) and body else body  # Gemini wraps it in a list
        error = found.get("error", found) if isinstance(found, Mapping) else found
        said, code = _said(error)
        kind, meant = meant_by(status, said, code)
        message = self._message(f"answered {status}: ", said)
        return kind(
            message,
            arm=self.arm,
            http_status=status,
            retry_after_s=wait_s(headers or {}, error),
            param=self._param(error) if issubclass(kind, UpstreamRejected) else None,
            code=meant,
        )

    def check(self, data: Mapping[str, Any]) -> None:
        """Raise the error that a 200 answer or a frame of a stream declares, if it declares one.

        It stands at the top, or at a choice; or the choice ends with a word for it.
        """
        is_error = data.get("object") == "error" or data.get("type") == "error"
        error = data.get("error") or (data if is_error else None)
        if not error:
            self._check_choices(data.get("choices"))
            return
        said, code = _said(error)
        if isinstance(code, int) and code in STATUS_ERRORS:
            refusal, used = self.refused(code, error), self.used()
            if used.billed_usd or not used.estimated:  # it says itself what it has done by then
                refusal.usage = used
            raise refusal
        kind, _ = meant_by(_BAD_REQUEST, said, code)
        if kind is ContextLengthExceeded:
            raise kind(self._message("sent an error: ", said), arm=self.arm)
        raise self.invalid("sent an error in a 200 answer: ", said)

    def _check_choices(self, choices: object) -> None:
        found = choices if isinstance(choices, list) else []
        for choice in (each for each in found if isinstance(each, Mapping)):
            self.check({"error": choice.get("error")})
            reason = finish_of(choice)
            if reason in _BROKEN_OFF:
                raise self.invalid("sent an answer that ends with finish_reason ", reason)

    def _param(self, error: object) -> str | None:
        """Return the field that the provider blames; what could be anything else is none."""
        blamed = (place for place, _ in _listed(error))
        param = (error.get("param") if isinstance(error, Mapping) else None) or next(blamed, None)
        if not isinstance(param, str) or not _FIELD.fullmatch(param):
            return None
        return param if redacted(param, self._secrets, said_in(self._body)) == param else None

    def _message(self, what: str, said: str = "") -> str:
        """Return our own words, and after them what the provider has said, redacted."""
        told = f"{self.arm}: the provider {what}"
        return told + redacted(said, self._secrets, said_in(self._body), MAX_CHARS - len(told))


def _said(error: object) -> tuple[str, object]:
    if not isinstance(error, Mapping):
        return _beginning(error) if isinstance(error, str) and error else "nothing more", None
    wrong = "; ".join(f"{place}: {why}" for place, why in _listed(error))
    candidates = (wrong, *(error.get(key) for key in ("message", "detail", "type")))
    message = next((said for said in candidates if said and isinstance(said, str)), "no message")
    return _beginning(message), error.get("code")


def _beginning(said: str) -> str:
    """Return what is read of a text, cut between two words so that no secret is."""
    if len(said) <= READ_CHARS:
        return said
    whole, _, rest = said[:READ_CHARS].rpartition(" ")
    return whole or rest


def _listed(error: object) -> list[tuple[str, str]]:
    """Return the fields that are wrong and why, as FastAPI lists them; Mistral in its `message`.

    >>> _listed({"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Field required"}]})
    [('messages[0].role', 'Field required')]
    """
    message = error.get("message") if isinstance(error, Mapping) else None
    told = message if isinstance(message, Mapping) else error
    detail = told.get("detail") if isinstance(told, Mapping) else None
    found = [each for each in detail if isinstance(each, Mapping)] if type(detail) is list else []
    return [(_place(each.get("loc")), str(each["msg"])) for each in found if each.get("msg")]


def _place(loc: object) -> str:
    """Return the place of a mistake as OpenAI would write it; FastAPI begins with `body`."""
    steps = loc if isinstance(loc, list) else []
    told = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps]
    return "".join(told[1:] if steps[:1] == ["body"] else told).removeprefix(".") or "the body"
