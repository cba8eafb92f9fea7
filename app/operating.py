"""What operators and their tools read over HTTP: metrics."""

import time

from flask import Blueprint, Response

from app.access import needs
from app.gauges import Standing
from app.metrics import CONTENT_TYPE
from app.openapi import endpoint
from app.routes import parts
from policy.errors import StoreUnavailable

operating = Blueprint("operating", __name__)


@operating.get("/metrics")
@needs("read")
@endpoint(None, None, (StoreUnavailable,), also=("text/plain",))
def metrics() -> Response:
    """Show every counter and gauge, in the text format of Prometheus."""
    running = parts()
    standing = Standing(running.catalogue().arms, running.log, running.live, running.router.health)
    running.instruments.gauges.look(standing, time.time())
    return Response(running.instruments.metrics.page(), content_type=CONTENT_TYPE)
