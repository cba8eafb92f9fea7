"""Everything that can go wrong, as one tree; `app/api/errors.py` says which HTTP status each is."""

from collections.abc import Mapping

from policy.types import NOTHING, Usage

UNLISTED = "the request does not list it"


class TurnpikeError(Exception):
    """Anything Turnpike raises on purpose."""

    code = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code


class ConfigError(TurnpikeError):
    """A setting or the catalogue is wrong; the message names file, line, field and remedy."""

    code = "config_error"


class InvalidInput(TurnpikeError):
    """The caller's request is wrong; the message names the value seen and what would be right."""

    code = "invalid_value"


class InvalidJson(InvalidInput):
    """The body is empty, is no JSON in UTF-8, is no object, or has a field twice."""

    code = "invalid_json"


class InvalidNumber(InvalidInput):
    """A number in the body is not finite."""

    code = "invalid_number"


class TooDeep(InvalidInput):
    """The body is nested too deeply."""

    code = "too_deep"


class MissingField(InvalidInput):
    """A field that must be given is missing."""

    code = "missing_field"


class UnknownArm(InvalidInput):
    """An arm that `models` or `fallbacks` names is none of ours."""

    code = "model_not_found"


class PayloadTooLarge(InvalidInput):
    """The request body is larger than the service takes."""

    code = "request_too_large"


class UnsupportedMediaType(InvalidInput):
    """The body is not plain JSON in UTF-8."""

    code = "unsupported_media_type"


class UnknownModel(InvalidInput):
    """The model that is asked for by name is none of ours."""

    code = "model_not_found"


class Unauthenticated(TurnpikeError):
    """The request carries no key, or one that is not ours; which of the two is not told."""

    code = "invalid_api_key"


class Forbidden(TurnpikeError):
    """The key does not allow this; or no key is asked for, and the host is not this machine."""

    code = "insufficient_scope"


class RateLimited(TurnpikeError):
    """The key has been used too often, or too many wrong ones came from one address."""

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NoEligibleArm(TurnpikeError):
    """No arm may serve this request; `reasons` maps each arm to why.

    Arms that the request does not list are in it only where there is no other. `about` are the
    fields of a request that may be to blame, the likeliest first.
    """

    code = "no_eligible_arm"
    about: tuple[str, ...] = ("models", "model")

    def __init__(self, reasons: Mapping[str, str]) -> None:
        listed = {arm: why for arm, why in reasons.items() if why != UNLISTED}
        self.reasons = listed or dict(reasons)
        told = "; ".join(f"{arm}: {why}" for arm, why in self.reasons.items())
        super().__init__(f"no arm can serve this request: {told or 'the catalogue is empty'}")


class PromptTooLong(NoEligibleArm):
    """The prompt, with the answer it may get, fits the window of no arm that may serve it."""

    code = "context_length_exceeded"
    about: tuple[str, ...] = ("prompt", "messages")


class BudgetExceeded(NoEligibleArm):
    """What is left of the budget of this hour or day pays for none of the arms that fit."""

    code = "budget_exceeded"
    about = ()

    def __init__(
        self, reasons: Mapping[str, str], short: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(reasons)
        self.short = short or {}  # the arms that fit, each with the dollars it could cost
        self.retry_after_s: float | None = None


class NotServed(TurnpikeError):
    """No provider of the catalogue takes requests for this endpoint."""

    code = "endpoint_not_served"


class UnknownDecision(TurnpikeError):
    """No decision with this id can be seen by this caller."""

    code = "completion_not_found"


class FeedbackClosed(TurnpikeError):
    """The decision is older than the feedback window."""

    code = "feedback_window_closed"


class StoreUnavailable(TurnpikeError):
    """The log cannot be written now, so nothing is acknowledged."""

    code = "store_unavailable"


class NotReady(TurnpikeError):
    """The service answers, but should get no traffic now; the message says why."""

    code = "not_ready"


class Draining(TurnpikeError):
    """The service is being stopped: nothing new is taken, and what is not whole in time is cut."""

    code = "draining"


class CallerGone(TurnpikeError):
    """Whoever asked has closed the connection, or hardly reads, so the call was given up."""

    code = "client_gone"


class DamagedFile(TurnpikeError):
    """A file of ours cannot be trusted: it is set aside, another one is taken, and that is said."""

    code = "damaged_file"


class UpstreamError(TurnpikeError):
    """A provider failed in a way that another arm may not.

    `usage` is what it may bill for the call all the same. `is_last` once every arm was tried that
    may be: to ask again would only do it all once more.
    """

    code = "upstream_bad_response"

    def __init__(
        self,
        message: str,
        *,
        arm: str,
        http_status: int | None = None,
        retry_after_s: float | None = None,
        param: str | None = None,
        code: str | None = None,
        usage: Usage = NOTHING,
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.arm = arm
        self.usage = usage
        self.http_status = http_status
        self.retry_after_s = retry_after_s
        self.is_last = False


class UpstreamRejected(UpstreamError):
    """The provider says the request is wrong, which the caller is told."""

    code = "invalid_value"


class ContextLengthExceeded(UpstreamRejected):
    """The provider says the prompt does not fit its window."""

    code = "context_length_exceeded"


class ParameterUnsupported(UpstreamRejected):
    """The provider says that its model does not take a parameter, or a value of one."""


class ContentFiltered(UpstreamRejected):
    """The provider says that a filter of its own holds the request back."""

    code = "content_filter"


class UpstreamUnauthorised(UpstreamError):
    """The provider does not take our key: the operator's fault, never the caller's."""

    code = "upstream_auth"


class UpstreamBusy(UpstreamError):
    """The provider asks us to slow down."""

    code = "rate_limited"


class EveryArmWaits(UpstreamBusy):
    """Every arm that could serve has been told to wait by its provider; nobody was asked."""


class UpstreamTimeout(UpstreamError):
    """The provider did not answer within our deadline."""

    code = "upstream_timeout"


class UpstreamInvalid(UpstreamError):
    """The provider answered something that is no answer, or an answer that was cut short."""
