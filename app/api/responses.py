"""What goes out over HTTP: one model for each kind of answer."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class TokensUsed(BaseModel):
    """The tokens of an answer."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    estimated: bool


class CompleteResponse(BaseModel):
    """An answer, which arm gave it, what it cost, and how likely that choice was."""

    id: str
    arm: str
    model: str
    text: str
    finish_reason: str | None
    usage: TokensUsed
    cost_usd: float
    latency_s: float
    ttft_s: float | None
    cache: Literal["miss", "hit", "stale"]
    propensity: float
    policy_version: int
    attempts: int
    sandbox: bool
    feedback_token: str
    tool_calls: list[dict[str, Any]] | None = None
    refusal: str | None = None
    audio: Any = None
    images: Any = None
    continued_by: list[str] = []


class FeedbackResponse(BaseModel):
    """What a thumb has changed."""

    id: str
    status: Literal["recorded", "updated", "revoked", "duplicate"]
    revision: int
    teaches: bool


class RouteResponse(BaseModel):
    """The decision that would be made now."""

    arm: str
    propensity: float
    policy: str
    policy_version: int
    arms: list[dict[str, Any]]
    ineligible: dict[str, str]


class ClearResponse(BaseModel):
    """How many stored answers were forgotten."""

    evicted: int


class HealthResponse(BaseModel):
    """The service is up."""

    status: Literal["ok"]
    version: str
    sandbox: bool
    policy_version: int
    uptime_s: float


class ReadyResponse(BaseModel):
    """The service should get traffic; `log` is where answers are recorded now."""

    status: Literal["ready"]
    log: Literal["log", "spool"]


class Anything(BaseModel):
    """A JSON object described in the documentation."""

    model_config = ConfigDict(extra="allow")


class ErrorDetail(BaseModel):
    """What was wrong, the value seen, and what would be right."""

    message: str
    type: str
    param: str | None
    code: str
    reasons: dict[str, str] | None = None


class ErrorResponse(BaseModel):
    """Every error, on every path."""

    error: ErrorDetail
