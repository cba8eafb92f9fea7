"""What the service counts for Prometheus: requests, decisions, calls, dollars, thumbs.

Every label has few values: arms come from the catalogue, the rest from our own lists, and nothing a
client sends becomes a label. Under several workers the numbers of all of them are added up.
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from storage.records import Attempt, Decision, Outcome, Rating

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder through which workers add up; set before the library is imported."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UP = 0.5
CALL_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
REQUEST_S = (0.005, 0.01, 0.025, 0.05, *CALL_S)

REQUESTS, TOO_MANY = "turnpike_requests_total", "429"
ANSWERING = frozenset({"turnpike.complete", "v1.chat_completions"})

M = TypeVar("M", Counter, Gauge, Histogram)


class Told(NamedTuple):
    """A metric as it is told to people."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


class Metrics:
    """The counters and histograms of one service; safe for many threads.

    Children are kept by their labels: looking one up in the library costs more than counting.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.told: list[Told] = []
        self._children: dict[tuple[Any, ...], Any] = {}
        self._requests = self._counter("requests", "Requests answered", "endpoint", "status")
        self._request_s = self._histogram(
            "request", "Seconds until the first byte of an answer", REQUEST_S, "endpoint"
        )
        self._decisions = self._counter("decisions", "Decisions by the arm taken", "arm", "kind")
        self._attempts = self._counter("attempts", "Upstream calls", "arm", "status")
        self._attempt_s = self._histogram("attempt", "Seconds of an upstream call", CALL_S, "arm")
        self._ttft_s = self._histogram("ttft", "Seconds until first content", CALL_S, "arm")
        self._cost = self._counter("cost_usd", "Dollars booked", "arm")
        self._tokens = self._counter("tokens", "Tokens of upstream calls", "arm", "direction")
        self._outcomes = self._counter("outcomes", "How decisions ended", "status", "cache")
        self._feedback = self._counter("feedback", "What ratings changed", "status", "thumbs")

    def requested(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request that is being answered."""
        self._child(self._requests, endpoint, str(status)).inc()
        self._child(self._request_s, endpoint).observe(seconds)

    def decided(self, decision: Decision, _prompt: str) -> None:
        """Count a decision."""
        self._child(self._decisions, decision.arm, decision.kind).inc()

    def attempted(self, attempt: Attempt) -> None:
        """Count an upstream call with what it took and cost."""
        arm = attempt.arm
        self._child(self._attempts, arm, attempt.status).inc()
        self._child(self._attempt_s, arm).observe(attempt.latency_s)
        if attempt.ttft_s is not None:
            self._child(self._ttft_s, arm).observe(attempt.ttft_s)
        self._child(self._cost, arm).inc(attempt.cost_usd)
        fresh = attempt.input_tokens - attempt.cached_tokens
        self._child(self._tokens, arm, "input").inc(max(fresh, 0))
        self._child(self._tokens, arm, "output").inc(attempt.output_tokens)
        if attempt.cached_tokens:
            self._child(self._tokens, arm, "cached").inc(attempt.cached_tokens)

    def settled(self, outcome: Outcome, _answer: str) -> None:
        """Count how a decision ended."""
        self._child(self._outcomes, outcome.status, outcome.cache).inc()

    def rated(self, rating: Rating) -> None:
        """Count what a rating changed."""
        thumbs = "none" if rating.reward is None else "up" if rating.reward >= UP else "down"
        self._child(self._feedback, rating.status, thumbs).inc()

    def gauge(self, name: str, text: str, workers: str, *labels: str) -> Gauge:
        """Return a gauge of this service; `workers` says what is made of the values of several."""
        name = self._told(name, "gauge", text, labels)
        return Gauge(
            name,
            text,
            labels,
            registry=self.registry,
            multiprocess_mode=workers,  # type: ignore[arg-type]
        )

    def page(self) -> bytes:
        """Return all of it in the text format of Prometheus, added up over all workers."""
        return generate_latest(self._everybody())

    def shown(self) -> dict[str, list[dict[str, str]]]:
        """Return with which labels each metric is shown, by whichever worker."""
        families = self._everybody().collect()
        return {each.name: [sample.labels for sample in each.samples] for each in families}

    def refused(self) -> int:
        """Return how many requests for an answer got a 429 since the start, of whichever worker."""
        told = (sample for each in self._everybody().collect() for sample in each.samples)
        return sum(
            int(sample.value)
            for sample in told
            if sample.name == REQUESTS
            and sample.labels["endpoint"] in ANSWERING
            and sample.labels["status"] == TOO_MANY
        )

    def _everybody(self) -> CollectorRegistry:
        if SHARED not in os.environ:
            return self.registry
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return everybody

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        name = self._told(f"{name}_total", "counter", text, labels)
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        name = self._told(f"{name}_seconds", "histogram", text, labels)
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def _told(self, name: str, kind: str, text: str, labels: tuple[str, ...]) -> str:
        """Return the metric's full name, noted for the table of the documentation."""
        self.told.append(Told(f"turnpike_{name}", kind, labels, text))
        return self.told[-1].name

    def _child(self, metric: M, *labels: str) -> M:
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        found: M = child
        return found


def show(
    gauge: Gauge,
    values: Sequence[tuple[Mapping[str, str], float]],
    shown: Mapping[str, Sequence[Mapping[str, str]]],
) -> None:
    """Set a gauge for each of these labels; with others, it is shown no more.

    Out of the files through which several workers add up nothing can be taken: there it is 0.
    """
    for labels, value in values:
        gauge.labels(**labels).set(value)
    [own] = gauge.describe()
    current = [labels for labels, _ in values]
    for gone in (labels for labels in shown.get(own.name, ()) if labels not in current):
        if SHARED in os.environ:
            gauge.labels(**gone).set(0)
        else:
            gauge.remove(*gone.values())


def forget(pid: int) -> None:
    """Drop the gauges of a worker that has ended; what it counted stays."""
    if SHARED in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


def install(app: Flask, metrics: Metrics) -> None:
    """Count every request of this application, also those that are refused."""

    def begin() -> None:
        g.began_s = time.perf_counter()

    def count(response: Response) -> Response:
        seconds = time.perf_counter() - g.began_s
        metrics.requested(request.endpoint or "unknown", response.status_code, seconds)
        return response

    app.before_request(begin)
    app.after_request(count)
