"""What the page of today says of the requests lately, and of what has changed."""

import time
from pathlib import Path

from app.pages.today import today
from tests.app.faulty import broken, faulty, good


def test_a_request_that_needed_two_fallbacks_is_one_request_that_a_fallback_answered(
    tmp_path: Path,
) -> None:
    with faulty(tmp_path, {"a": broken, "b": broken, "c": good}) as made:
        made.service.ask("hi", models=["a"], fallbacks=["b", "c"])
        made.service.ask("ho", models=["c"])
        shown = today(made.service.parts, None, "24h", time.time())
    assert (shown["total"].requests, shown["total"].decisions) == (2, 4)
    assert shown["fallbacks"] == 0.5
