"""Spans for OpenTelemetry: one for each request, one for each call to a model inside it.

Imported only where an endpoint is configured (`OTEL_EXPORTER_OTLP_ENDPOINT`), and set up by the
standard's own variables. The names of attributes are those of its GenAI conventions. No word of a
prompt or an answer is in a span unless OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says so.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g, request
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from opentelemetry.semconv.attributes import error_attributes, http_attributes, url_attributes
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from storage.records import Attempt, Decision, Outcome, Rating
from upstream.catalogue import Catalogue

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
OURS = "turnpike."
NS = 1_000_000_000
MOST_UNDER_WAY = 20_000
WRONG = 500


@dataclass(slots=True)
class _UnderWay:
    """A call whose span is written when it has ended."""

    decision: Decision
    prompt: str
    attempt: Attempt | None = None


class Traces:
    """Writes the spans; safe for many threads. Spans are sent in the background."""

    def __init__(self, environ: Mapping[str, str], catalogue: Callable[[], Catalogue]) -> None:
        self._captures = environ.get(CAPTURE, "").lower() == "true"
        self._catalogue = catalogue
        self._under_way: OrderedDict[str, _UnderWay] = OrderedDict()
        resource = Resource.create({SERVICE_NAME: environ.get("OTEL_SERVICE_NAME", "turnpike")})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(_endpoint(environ))))
        self._tracer = self._provider.get_tracer("turnpike")
        self._propagator = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send what waits, and stop."""
        self._provider.shutdown()

    def begin(self, name: str, headers: Mapping[str, str]) -> Span:
        """Return the span of a request that has come; what is done for it is part of it."""
        parent = self._propagator.extract(headers, Context())
        span = self._tracer.start_span(name, parent, SpanKind.SERVER)
        context.attach(trace.set_span_in_context(span, Context()))
        return span

    def decided(self, decision: Decision, prompt: str) -> None:
        """Remember a decision whose call is now under way."""
        self._under_way[decision.id] = _UnderWay(decision, prompt if self._captures else "")
        while len(self._under_way) > MOST_UNDER_WAY:
            self._under_way.popitem(last=False)

    def attempted(self, attempt: Attempt) -> None:
        """Remember how the call of a decision went."""
        call = self._under_way.get(attempt.decision_id)
        if call is not None:
            call.attempt = attempt

    def settled(self, outcome: Outcome, answer: str) -> None:
        """Write the span of a call that has ended; a stored answer asked nobody."""
        call = self._under_way.pop(outcome.decision_id, None)
        if call is None or call.attempt is None:
            return
        attempt = call.attempt
        began_ns = int(attempt.started_at_s * NS)
        told = {**self._asked(call), **_answered(outcome, attempt)}
        if self._captures:
            told |= _said(call.prompt, answer, outcome)
        model = told[gen_ai.GEN_AI_REQUEST_MODEL]
        span = self._tracer.start_span(
            f"chat {model}", kind=SpanKind.CLIENT, attributes=told, start_time=began_ns
        )
        if attempt.status not in ("ok", "client_gone"):
            span.set_attribute(
                error_attributes.ERROR_TYPE, str(attempt.http_status or attempt.status)
            )
            span.set_status(Status(StatusCode.ERROR, attempt.status))
        span.end(began_ns + int(attempt.latency_s * NS))

    def rated(self, rating: Rating) -> None:
        """Tell on the request's span what a rating changed."""
        span = trace.get_current_span()
        span.set_attribute(OURS + "decision.id", rating.decision_id)
        span.set_attribute(OURS + "feedback.status", rating.status)

    def _asked(self, call: _UnderWay) -> dict[str, Any]:
        decision = call.decision
        arm = self._catalogue().arms.get(decision.arm)
        return {
            gen_ai.GEN_AI_OPERATION_NAME: "chat",
            gen_ai.GEN_AI_PROVIDER_NAME: "unknown" if arm is None else arm.provider,
            gen_ai.GEN_AI_REQUEST_MODEL: decision.arm if arm is None else arm.model,
            OURS + "arm": decision.arm,
            OURS + "decision.id": decision.id,
            OURS + "decision.kind": decision.kind,
            OURS + "propensity": decision.propensity,
            OURS + "policy.version": decision.policy_version,
            **({} if decision.task is None else {OURS + "task": decision.task}),
            **({} if decision.retry_of is None else {OURS + "retry_of": decision.retry_of}),
        }


def _endpoint(environ: Mapping[str, str]) -> str:
    """Return where spans go: the address of traces, or a path below that of everything."""
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
    return environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or f"{base}/v1/traces"


def _answered(outcome: Outcome, attempt: Attempt) -> dict[str, Any]:
    told: dict[str, Any] = {
        gen_ai.GEN_AI_RESPONSE_ID: outcome.decision_id,
        gen_ai.GEN_AI_USAGE_INPUT_TOKENS: outcome.input_tokens,
        gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS: outcome.output_tokens,
        gen_ai.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: outcome.cached_tokens,
        OURS + "cost_usd": outcome.cost_usd,
        OURS + "status": outcome.status,
    }
    if outcome.model is not None:
        told[gen_ai.GEN_AI_RESPONSE_MODEL] = outcome.model
    if outcome.finish_reason is not None:
        told[gen_ai.GEN_AI_RESPONSE_FINISH_REASONS] = [outcome.finish_reason]
    if attempt.ttft_s is not None:
        told[gen_ai.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] = attempt.ttft_s
    return told


def _said(prompt: str, answer: str, outcome: Outcome) -> dict[str, str]:
    """Return what was said, in the form of the conventions."""
    asked = [{"role": "user", "parts": [{"type": "text", "content": prompt}]}]
    told = {"role": "assistant", "parts": [{"type": "text", "content": answer}]}
    ended = [{**told, "finish_reason": outcome.finish_reason or "error"}]
    return {
        gen_ai.GEN_AI_INPUT_MESSAGES: json.dumps(asked),
        gen_ai.GEN_AI_OUTPUT_MESSAGES: json.dumps(ended),
    }


def install(app: Flask, traces: Traces) -> None:
    """Give every request of this application a span, that ends with the last byte of its answer."""

    def begin() -> None:
        route = request.url_rule.rule if request.url_rule is not None else ""
        g.span = traces.begin(
            f"{request.method} {route}".strip(),
            {name.lower(): value for name, value in request.headers.items()},
        )
        g.span.set_attribute(http_attributes.HTTP_REQUEST_METHOD, request.method)
        g.span.set_attribute(http_attributes.HTTP_ROUTE, route)
        g.span.set_attribute(url_attributes.URL_SCHEME, request.scheme)

    def end(response: Response) -> Response:
        span: Span = g.span
        span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, response.status_code)
        if response.status_code >= WRONG:
            span.set_status(Status(StatusCode.ERROR))
        if response.is_streamed:
            response.call_on_close(span.end)
        else:
            span.end()
        return response

    app.before_request(begin)
    app.after_request(end)
