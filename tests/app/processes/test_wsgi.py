"""What the serving process is made of."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_serving_loads_nothing_that_only_fitting_needs() -> None:
    """scikit-learn and SciPy would cost each start seconds, and the process memory."""
    asked = "import app.processes.gunicorn_conf, app.processes.wsgi, sys; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in ended.stdout.split()}
    assert {"flask", "numpy", "openai"} <= loaded
    assert not loaded & {"sklearn", "scipy", "apscheduler", "pandas"}
