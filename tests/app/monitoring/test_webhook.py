"""A webhook is told by one POST, over within seconds; what goes wrong is said and never raised."""

import socket

import pytest

from app.monitoring.webhook import post
from tests.app.receiver import receiving

DATA = {"alarm": "budget", "since_s": 1.5}


def test_what_is_told_arrives_as_json() -> None:
    with receiving() as receiver:
        assert post(receiver.url, DATA) is None
    assert receiver.taken == [DATA]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_an_answer_that_is_no_success_is_a_problem_and_a_redirect_is_not_followed(
    status: int,
) -> None:
    with receiving(status) as receiver:
        assert post(receiver.url, DATA) == f"it answered {status}"
    assert (receiver.tries, receiver.taken) == (1, [])


def test_a_receiver_that_hangs_up_or_is_not_there_is_a_problem() -> None:
    with receiving(0) as receiver:
        problem = post(receiver.url, DATA)
    assert problem is not None
    assert "Disconnected" in problem
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = post(f"http://127.0.0.1:{taken.getsockname()[1]}/", DATA)
    assert refused is not None
    assert "Refused" in refused


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/x", "http://127.0.0.1/\u00fc", f"http://{'a' * 70}.example/"]
)
def test_a_url_that_nothing_can_be_sent_to_is_a_problem(url: str) -> None:
    assert post(url, DATA) is not None
