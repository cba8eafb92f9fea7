"""How gunicorn serves us: many connections, an orderly end; one process while SQLite is the log."""

import os
import shutil
import signal
from tempfile import mkdtemp
from typing import Any

from app.processes.descriptors import EACH, OURS, make_room
from app.processes.orphan import end_with_parent
from app.settings import Settings

ENDED_WITHIN_S = 10.0
"""How long after the drain a worker may take to save what it has learned, until it is killed."""

_settings = Settings.load()

wsgi_app = "app.processes.wsgi:application()"
bind = _settings.bind
workers = _settings.workers
worker_class = "app.processes.worker.Worker"
worker_connections = make_room(_settings.connections)
timeout = 120
graceful_timeout = round(_settings.drain_s + ENDED_WITHIN_S)
keepalive = 75
limit_request_field_size = 16_384
forwarder_headers = ""  # of the path nobody before us may say more than the request line does
control_socket_disable = True
accesslog = None
loglevel = "warning"
logger_class = "app.processes.worker.Logger"
proc_name = "turnpike"


if workers > 1:  # before a worker imports the metrics: it is then that they choose where to count
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = mkdtemp(prefix="turnpike-metrics-")


def on_starting(server: Any) -> None:
    """End with the process that started us; say it if fewer connections fit than are wanted."""
    end_with_parent()
    if worker_connections < _settings.connections:
        server.log.warning(
            f"only {worker_connections} of {_settings.connections} connections fit into the file "
            f"descriptors of a process: raise `ulimit -n` to {OURS + EACH * _settings.connections}"
        )


def post_fork(server: Any, worker: Any) -> None:
    """Let a worker that has only begun be ended: until it has its own, a signal is kept for nobody.

    It inherits what makes the process that started it note a signal and look at it later.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def child_exit(server: Any, worker: Any) -> None:
    """Drop what one of several workers that has ended had shown as going on."""
    if workers > 1:
        from app.monitoring.metrics import forget  # not before a worker is forked

        forget(worker.pid)


def on_exit(server: Any) -> None:
    """Delete the folder through which several workers have added up."""
    if workers > 1:
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def worker_exit(server: Any, worker: Any) -> None:
    """Save what has been learned and write what waits."""
    service = getattr(worker, "wsgi", None)
    if service is not None:
        service.extensions["turnpike"].close()
