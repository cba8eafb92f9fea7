"""What the service shows of itself to machines: its counters, gauges and, if wanted, its traces."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from app.monitoring.gauges import Gauges
from app.monitoring.metrics import Metrics
from app.routing.observed import Observer
from upstream.catalogue import Catalogue

if TYPE_CHECKING:
    from app.monitoring.traces import Traces

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""One of these says where traces go; without it nothing of OpenTelemetry is imported."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """The instruments of one service."""

    metrics: Metrics
    gauges: Gauges
    traces: "Traces | None" = None

    @classmethod
    def new(cls, environ: Mapping[str, str], catalogue: Callable[[], Catalogue]) -> Self:
        """Return instruments that show nothing yet."""
        metrics = Metrics()
        gauges = Gauges(metrics)
        if not any(environ.get(name) for name in ENDPOINTS):
            return cls(metrics, gauges)
        from app.monitoring.traces import Traces

        return cls(metrics, gauges, Traces(environ, catalogue))

    @property
    def observers(self) -> list[Observer]:
        """Return those that are told of every row of a request."""
        return [self.metrics] if self.traces is None else [self.metrics, self.traces]

    def close(self) -> None:
        """Send what has been traced."""
        if self.traces is not None:
            self.traces.close()
