"""The tutorial, run as it stands: each of its commands works, and says what the page says."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from storage.postgres_server import free_port

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```sh( service)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITHIN_S = 300
END = "--- end of block ---"


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TURNPIKE_")}
    ours.pop("GLOBAL_API_KEY", None)
    database = tmp_path_factory.mktemp("tutorial") / "turnpike.db"
    bind = f"127.0.0.1:{free_port()}"
    return {**ours, "TURNPIKE_DATABASE": str(database), "TURNPIKE_BIND": bind}


@pytest.fixture(scope="module")
def said(environ: dict[str, str]) -> Iterator[list[str]]:
    """What each block of the second terminal says, with the service of the first running."""
    [service] = [_here(text, environ) for is_service, text in BLOCK.findall(PAGE) if is_service]
    blocks = [_here(text, environ) for is_service, text in BLOCK.findall(PAGE) if not is_service]
    with subprocess.Popen(service.split(), cwd=ROOT, env=environ, stderr=subprocess.PIPE) as ran:
        try:
            _until_it_answers(environ["TURNPIKE_BIND"])
            script = "set -euo pipefail\n" + "".join(
                f"{text}\necho\necho {END}\n" for text in blocks
            )
            typed = subprocess.run(
                ["bash", "-c", script], cwd=ROOT, env=environ, capture_output=True, text=True,
                timeout=WITHIN_S, check=False,
            )  # fmt: skip
            assert typed.returncode == 0, typed.stdout[-2_000:] + typed.stderr[-2_000:]
            yield typed.stdout.split(END)[:-1]
        finally:
            ran.send_signal(signal.SIGTERM)


@pytest.mark.slow
def test_every_command_of_the_tutorial_says_what_the_page_says(said: list[str]) -> None:
    doctor, asked, chat, rated, why, demo, policy, report, route = said
    assert "the sandbox answers" in doctor
    assert {"arm", "cost_usd", "propensity", "id"} <= json.loads(asked).keys()
    assert json.loads(chat)["choices"][0]["message"]["content"]
    assert json.loads(rated)["status"] == "recorded"
    assert json.loads(why)["arm"]
    assert "Turnpike, second half" in demo
    assert {"arms", "frontier"} <= json.loads(policy).keys()
    # What goes to the control group is drawn, and 2,000 requests are just about enough.
    assert re.search(r"against always gpt-4o: (\$\d|not shown\n +[a-z])", report), report
    assert json.loads(route)["arm"]


def _here(text: str, environ: dict[str, str]) -> str:
    return text.replace("127.0.0.1:8000", environ["TURNPIKE_BIND"])


def _until_it_answers(bind: str) -> None:
    give_up_at = time.monotonic() + WITHIN_S
    while True:
        try:
            with urlopen(f"http://{bind}/healthz", timeout=5):
                return
        except (URLError, OSError):
            assert time.monotonic() < give_up_at, "the service does not answer"
            time.sleep(0.2)
