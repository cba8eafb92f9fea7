"""What operators and their tools read over HTTP: whether traffic is wanted, and metrics."""

import time

from flask import Blueprint, Response, jsonify

from app.access import needs, public
from app.gauges import Standing
from app.metrics import CONTENT_TYPE
from app.openapi import endpoint
from app.responses import ReadyResponse
from app.routes import parts
from app.wiring import Parts
from policy.errors import NotReady, StoreUnavailable

operating = Blueprint("operating", __name__)


@operating.get("/readyz")
@public
@endpoint(None, ReadyResponse, (NotReady,))
def readyz() -> Response:
    """Say whether traffic should be sent here: answers can be recorded, and an arm can be asked."""
    running = parts()
    if reasons := not_ready(running):
        raise NotReady(f"not ready: {'; '.join(reasons)}")
    away = running.log.standing.away_since_s is not None
    return jsonify({"status": "ready", "log": "spool" if away else "log"})


def not_ready(running: Parts) -> list[str]:
    """Return why no traffic should be sent here. What serves has learned all that it will fold."""
    standing, health = running.log.standing, running.router.health
    found = {
        "the service is being stopped": running.drain.is_begun,
        f"answers cannot be recorded ({standing.why or 'the writer has stopped'})": (
            not standing.takes_rows
        ),
        "every arm is shut": all(
            health.standing(arm).state == "open" for arm in running.catalogue().arms.values()
        ),
    }
    return [reason for reason, holds in found.items() if holds]


@operating.get("/metrics")
@needs("read")
@endpoint(None, None, (StoreUnavailable,), also=("text/plain",))
def metrics() -> Response:
    """Show every counter and gauge, in the text format of Prometheus."""
    running = parts()
    standing = Standing(running.catalogue().arms, running.log, running.live, running.router.health)
    running.instruments.gauges.look(standing, time.time())
    return Response(running.instruments.metrics.page(), content_type=CONTENT_TYPE)
