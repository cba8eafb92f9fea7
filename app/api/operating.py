"""What operators and their tools read over HTTP: whether traffic is wanted, and metrics."""

import time

from flask import Blueprint, Response, jsonify

from app.api.access import needs, public, who
from app.api.openapi import endpoint
from app.api.responses import Anything, ReadyResponse
from app.api.routes import parts, queried
from app.monitoring.metrics import CONTENT_TYPE
from app.monitoring.reporting import ReportQuery, as_csv
from app.wiring import Parts
from policy.errors import NotReady, StoreUnavailable

operating = Blueprint("operating", __name__)


@operating.get("/readyz")
@public
@endpoint(None, ReadyResponse, (NotReady,))
def readyz() -> Response:
    """Say whether traffic should be sent here: it is not ending, and can record answers."""
    running = parts()
    if reasons := not_ready(running):
        raise NotReady(f"not ready: {'; '.join(reasons)}")
    away = running.log.standing.away_since_s is not None
    return jsonify({"status": "ready", "log": "spool" if away else "log"})


def not_ready(running: Parts) -> list[str]:
    """Return why no traffic should be sent here. What serves has learned all that it will fold.

    How arms stand is no reason: nothing is refused because they are left alone.
    """
    standing = running.log.standing
    found = {
        "the service is being stopped": running.drain.is_begun,
        f"answers cannot be recorded ({standing.why or 'the writer has stopped'})": (
            not standing.takes_rows
        ),
    }
    return [reason for reason, holds in found.items() if holds]


@operating.get("/report")
@needs("read")
@endpoint(None, Anything, (NotReady, StoreUnavailable), query=ReportQuery, also=("text/csv",))
def report() -> Response:
    """Say what was spent and saved, with intervals, and how satisfied users are."""
    return report_of(queried(ReportQuery))


def report_of(asked: ReportQuery) -> Response:
    """Return the report that is asked for, of the traffic that whoever asks may see.

    raises : NotReady, StoreUnavailable
    """
    made = parts().reports.of(asked.since, who().sees)
    if asked.format == "json":
        return jsonify(made)
    headers = {"content-disposition": f"attachment; filename=turnpike-{asked.since}.csv"}
    return Response(as_csv(made), content_type="text/csv; charset=utf-8", headers=headers)


@operating.get("/metrics")
@needs("metrics")
@endpoint(None, None, (StoreUnavailable,), also=("text/plain",))
def metrics() -> Response:
    """Show every counter and gauge, in the text format of Prometheus."""
    running = parts()
    arms, health, alarms = running.catalogue().arms, running.router.health, running.alarms.open
    gauges = running.instruments.gauges
    gauges.look(arms, running.log, running.live, health, alarms, time.time())
    return Response(running.instruments.metrics.page(), content_type=CONTENT_TYPE)
