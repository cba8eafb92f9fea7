"""The snippet of the documentation, in a page of another site, in a real browser."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.app.keyed import Keyed
from tests.app.running import Provider, Running, eventually, running
from tests.app.serving import served

PAGE = Path("docs/how-to/thumbs.md")


def snippet() -> str:
    found = re.search(r"```html\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert found is not None
    return found.group(1)


@contextmanager
def site(page: list[str]) -> Iterator[str]:
    """Yield the address of another site that shows this page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(("<!doctype html>" + page[0]).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


def reward(service: Running, decision: str) -> float | None:
    return service.parts.log.decision(decision).reward


@pytest.mark.slow
@pytest.mark.parametrize("is_listed", [True, False])
def test_two_buttons_on_another_site_rate_the_answer_if_the_site_is_listed(
    tmp_path: Path, provider: Provider, browser: Browser, *, is_listed: bool
) -> None:
    page = [""]
    with site(page) as origin:
        origins = origin if is_listed else "https://shop.example"
        dials = {"sandbox_url": provider.url, "cors_origins": origins}
        with running(tmp_path, **dials) as service, served(service) as url:
            answer = Keyed(service).ask()
            page[0] = (
                snippet()
                .replace("https://turnpike.example", url)
                .replace("ANSWER_ID", answer["id"])
                .replace("FEEDBACK_TOKEN", answer["feedback_token"])
            )
            shown = browser.new_page()
            shown.goto(origin)
            for thumb, rated in (("👎", 0.0), ("👍", 1.0)):
                with shown.expect_event("requestfinished" if is_listed else "requestfailed"):
                    shown.get_by_text(thumb).click()
                if is_listed:
                    assert eventually(lambda w=rated: reward(service, answer["id"]) == w, 30)
            shown.close()
            assert reward(service, answer["id"]) == (1.0 if is_listed else None)
