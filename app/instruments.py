"""What the service shows of itself to machines: its counters and gauges."""

from dataclasses import dataclass
from typing import Self

from app.gauges import Gauges
from app.metrics import Metrics
from app.observed import Observer


@dataclass(frozen=True, slots=True)
class Instruments:
    """The instruments of one service."""

    metrics: Metrics
    gauges: Gauges

    @classmethod
    def new(cls) -> Self:
        """Return instruments that show nothing yet."""
        metrics = Metrics()
        return cls(metrics, Gauges(metrics))

    @property
    def observers(self) -> list[Observer]:
        """Return those that are told of every row of a request."""
        return [self.metrics]
