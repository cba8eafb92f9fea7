"""The WSGI application: one running service with its routes."""

import sys
from collections.abc import Callable
from typing import Any

from flask import Flask

from app.api import access, caller, cors, errors
from app.api.operating import operating
from app.api.routes import blueprint
from app.api.v1 import v1
from app.dials import named_in
from app.mode import in_force
from app.monitoring import metrics
from app.pages.views import pages
from app.processes import drain
from app.processes.journal import write_lines
from app.settings import Settings
from app.wiring import Parts, assemble
from policy.errors import ConfigError, StoreUnavailable

BLUEPRINTS = (blueprint, operating, v1, pages)
WILL_NOT_BOOT = 3  # tells gunicorn not to try again


class _App(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: none is asynchronous, and Flask would ask for ten each request."""
        return func


def create_app(parts: Parts) -> Flask:
    """Return the application around a running service."""
    app = _App(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # it would answer a doubled one with a redirect, in HTML
    app.extensions["turnpike"] = parts
    for each in BLUEPRINTS:
        app.register_blueprint(each)
    if parts.instruments.traces is not None:
        from app.monitoring import traces  # which imports OpenTelemetry

        traces.install(app, parts.instruments.traces)
    errors.install(app)
    metrics.install(app, parts.instruments.metrics)
    drain.install(app, parts.drain)
    access.install(app)
    cors.install(app, named_in(parts.settings.cors_origins))
    caller.install(app)
    return app


def application() -> Flask:
    """Return what the server serves, made in the process that serves it."""
    try:
        settings = in_force(Settings.load())
        write_lines(settings.log_level)
        return create_app(assemble(settings))
    except (ConfigError, StoreUnavailable) as error:
        sys.stderr.write(f"turnpike: {error.message}\n")
        sys.exit(WILL_NOT_BOOT)
