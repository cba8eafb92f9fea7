"""Spans as a real receiver of OTLP over HTTP decodes them: what they say and never say."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.processes.wsgi import create_app
from app.settings import Settings
from app.wiring import assemble
from tests.app.faulty import broken, good
from tests.app.receiver import listening
from tests.app.running import CATALOGUE, Provider, Running, catalogue
from tests.upstream.misbehaving import misbehaving

PROMPT = "the canary sings"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind)
    return [plain(each) for each in found.values] if kind == "array_value" else found


def told(span: Span) -> dict[str, Any]:
    return {each.key: plain(each.value) for each in span.attributes}


@dataclass
class Collector:
    """What has been received."""

    url: str = ""
    paths: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    def one(self, name: str) -> Span:
        [span] = [each for each in self.spans if each.name == name]
        return span


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    def take(path: str, body: bytes) -> int:
        received = ExportTraceServiceRequest()
        received.ParseFromString(body)
        collector.paths.add(path)
        for resource in received.resource_spans:
            attributes = {each.key: plain(each.value) for each in resource.resource.attributes}
            collector.services.add(attributes["service.name"])
            for scope in resource.scope_spans:
                collector.spans += scope.spans
        return 200

    with listening(take) as collector.url:
        yield collector


@contextmanager
def traced(
    folder: Path, collector: Collector, more: Mapping[str, str] | None = None, **dials: Any
) -> Iterator[Running]:
    """Yield a service that traces; what it has traced has arrived once it is closed."""
    given = {"arms": CATALOGUE, "database": folder / "turnpike.db", **dials}
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **(more or {})}
    parts = assemble(Settings.load({}, given), environ, time.monotonic)
    try:
        with create_app(parts).test_client() as client:
            yield Running(parts, client)
    finally:
        parts.close()


def test_a_request_and_its_call_are_spans_with_the_names_of_the_conventions(
    tmp_path: Path, provider: Provider
) -> None:
    with collecting() as collector:
        with traced(tmp_path, collector, sandbox_url=provider.url) as service:
            headers = {"traceparent": TRACEPARENT}
            body = {"prompt": PROMPT, "models": ["gpt-4o"], "task": "support"}
            made = service.client.post("/complete", json=body, headers=headers).json
            service.rate(made["id"], "up")
        request, call = collector.one("POST /complete"), collector.one("chat openai/gpt-4o")
        rating = collector.one("POST /feedback")
    assert (collector.paths, collector.services) == ({"/v1/traces"}, {"turnpike"})
    assert request.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    assert (call.trace_id, call.parent_span_id) == (request.trace_id, request.span_id)
    assert (request.kind, call.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
    assert told(request)["http.route"] == "/complete"
    assert told(request)["http.response.status_code"] == 200
    said = told(call)
    assert said == said | {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "global",
        "gen_ai.request.model": "openai/gpt-4o",
        "gen_ai.response.model": made["model"],
        "gen_ai.response.id": made["id"],
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": made["usage"]["input_tokens"],
        "gen_ai.usage.output_tokens": made["usage"]["output_tokens"],
        "turnpike.arm": "gpt-4o",
        "turnpike.task": "support",
        "turnpike.cost_usd": pytest.approx(made["cost_usd"]),
    }
    assert call.end_time_unix_nano - call.start_time_unix_nano > 0
    assert told(rating)["turnpike.feedback.status"] == "recorded"


def test_a_streams_span_ends_with_its_last_byte(tmp_path: Path, provider: Provider) -> None:
    with collecting() as collector:
        with traced(tmp_path, collector, sandbox_url=provider.url) as service:
            body = {"prompt": PROMPT, "stream": True, "models": ["gpt-4o"]}
            with service.post("/complete", body) as response:
                assert "[DONE]" in response.text
        request, call = collector.one("POST /complete"), collector.one("chat openai/gpt-4o")
    assert call.parent_span_id == request.span_id
    assert call.end_time_unix_nano <= request.end_time_unix_nano


def test_a_call_that_fails_is_an_error_and_the_next_one_says_whom_it_follows(
    tmp_path: Path,
) -> None:
    with collecting() as collector, misbehaving({"a": broken, "b": good}) as (url, _):
        path = catalogue(tmp_path, url, {"a": {}, "b": {}})
        with traced(tmp_path, collector, arms=path, sandbox="off") as service:
            service.ask(PROMPT, models=["a"], fallbacks=["b"])
        first, second = collector.one("chat a"), collector.one("chat b")
    assert first.status.code == 2
    assert told(first)["error.type"] == "500"
    assert told(second)["turnpike.retry_of"] == told(first)["turnpike.decision.id"]
    assert told(second)["turnpike.decision.kind"] == "fallback"
    assert "error.type" not in told(second)


def test_no_word_is_in_a_span_unless_that_is_asked_for(tmp_path: Path, provider: Provider) -> None:
    dials = {"sandbox_url": provider.url}
    for n, more in enumerate(({}, {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"})):
        (tmp_path / str(n)).mkdir()
        with collecting() as collector, traced(tmp_path / str(n), collector, more, **dials) as made:
            text = made.ask(PROMPT)["text"]
            made.parts.instruments.close()
        sent = b"".join(span.SerializeToString() for span in collector.spans)
        assert (b"canary" in sent) == bool(more)
        assert (text.encode() in sent) == bool(more)


def test_a_collector_that_is_down_costs_no_answer(tmp_path: Path, provider: Provider) -> None:
    collector = Collector(url="http://127.0.0.1:9")
    with traced(tmp_path, collector, sandbox_url=provider.url) as service:
        assert service.ask()["text"]


@pytest.mark.slow
def test_without_an_endpoint_nothing_of_opentelemetry_is_imported() -> None:
    code = (
        "import sys, app.processes.wsgi\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
