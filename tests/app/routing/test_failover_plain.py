"""Plain answers, row by row of the matrix of faults: what OpenAI's client gets and the log keeps.

The service listens on a real socket, OpenAI's client asks it with the retries it makes by itself,
and a provider on raw sockets misbehaves.
"""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletion

from storage.snapshots import digest
from tests.app.faulty import broken, busy, faulty, filtered, good, refusing, silent, too_long
from tests.app.hostile import FAILOVER, KEY, status
from tests.app.running import Running, running
from tests.app.serving import openai_client
from tests.upstream.misbehaving import Conversation, Scenario, completion, misbehaving

CHEAP = {"input_usd_per_mtok": 0.01, "output_usd_per_mtok": 0.01}
DEAR = {"input_usd_per_mtok": 9000.0, "output_usd_per_mtok": 9000.0}
FIRST_BAD = {"bad": CHEAP, "good": DEAR}
UNTRUSTED = Path(__file__).parents[2] / "upstream" / "untrusted.pem"


def ask(client: openai.OpenAI, model: str = "auto", **more: object) -> ChatCompletion:
    messages = [{"role": "user", "content": "hi"}]
    extra = {"explore": False}
    return client.chat.completions.create(model=model, messages=messages, extra_body=extra, **more)


def quality(service: Running) -> str:
    arrays = service.learned.to_arrays()
    return digest({name: array for name, array in arrays.items() if name.startswith("rated/")})


@pytest.mark.parametrize(("scenario", "attempt"), FAILOVER.values(), ids=FAILOVER.keys())
def test_the_client_gets_the_answer_of_another_arm(
    tmp_path: Path, scenario: Scenario, attempt: str
) -> None:
    with (
        faulty(tmp_path, {"bad": scenario, "good": good}, FIRST_BAD) as made,
        openai_client(made.service) as client,
    ):
        before = quality(made.service)
        answer = ask(client)
        assert answer.choices[0].message.content == "hello"
        assert made.asked == ["bad", "good"]
        first, second = made.decisions
        assert answer.id == second.decision.id
        assert (first.decision.arm, second.decision.retry_of) == ("bad", first.decision.id)
        assert [each.status for each in made.attempts()] == [attempt, "ok"]
        assert second.outcome is not None
        assert second.outcome.status == "ok"
        shown = made.service.health("bad")
        assert (shown["calls"], shown["failures"], shown["under_way"]) == (1, 1, 0)
        assert quality(made.service) == before


@contextmanager
def nobody() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def unknown_name() -> Iterator[str]:
    yield "http://nobody.invalid/v1"


@contextmanager
def greeting(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the https URL of somebody who takes one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                talk(connection)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        thread.join()


def no_tls() -> AbstractContextManager[str]:
    return greeting(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))


def untrusted() -> AbstractContextManager[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(UNTRUSTED)

    def greet(connection: socket.socket) -> None:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(connection, server_side=True).recv(1)

    return greeting(greet)


@pytest.mark.parametrize("place", [nobody, unknown_name, no_tls, untrusted])
def test_c1_a_provider_that_cannot_be_reached_is_gone_around(tmp_path: Path, place) -> None:
    with place() as nowhere, misbehaving({"good": good}) as (somewhere, _):
        arms = tmp_path / "arms.toml"
        lines = []
        for name, url, dollars in (("bad", nowhere, 0.01), ("good", somewhere, 90.0)):
            lines += [f"[provider.{name}]", f'base_url = "{url}"', f"[arm.{name}]"]
            lines += [f'provider = "{name}"', f'model = "{name}"', "context_window = 8000"]
            lines += [f"{side}_usd_per_mtok = {dollars}" for side in ("input", "output")]
        arms.write_text("\n".join(lines), encoding="utf-8")
        with running(tmp_path, arms, sandbox="off") as service, openai_client(service) as client:
            before = quality(service)
            answer = ask(client)
            assert answer.choices[0].message.content == "hello"
            assert service.health("bad")["failures"] == 1
            assert quality(service) == before
            rounds = list(service.parts.log.decisions())
            attempts = [
                row for each in rounds for row in service.parts.log.attempts(each.decision.id)
            ]
            assert sorted(each.status for each in attempts) == ["error", "ok"]


@pytest.mark.parametrize(
    ("retry_after", "left_s"),
    [("3", 3), ("120", 120), ("1e9", 300), ("Wed, 21 Oct", 5), ("-1", 5), ("nan", 5), ("x", 5)],
)
def test_c5_a_429_cools_the_quota_group_for_as_long_as_it_says(
    tmp_path: Path, retry_after: str, left_s: float
) -> None:
    scenarios = {"bad": status(429, f"Retry-After: {retry_after}"), "near": good, "good": good}
    arms = {**FIRST_BAD, "bad": {**CHEAP, "quota_group": "g"}, "near": {"quota_group": "g"}}
    with faulty(tmp_path, scenarios, arms) as made, openai_client(made.service) as client:
        ask(client)
        assert made.asked == ["bad", "good"]
        for arm in ("bad", "near"):
            assert left_s - 2 < made.service.health(arm)["tried_again_in_s"] <= left_s
        ask(client)
        assert made.asked == ["bad", "good", "good"]


def test_c6_a_429_on_all_is_told_with_the_soonest_moment_and_asked_no_more(tmp_path: Path) -> None:
    scenarios = {"a": status(429, "Retry-After: 120"), "b": status(429, "Retry-After: 90")}
    with faulty(tmp_path, scenarios) as made, openai_client(made.service, max_retries=0) as client:
        for _ in range(3):
            with pytest.raises(openai.RateLimitError) as told:
                ask(client)
            assert 85 < int(told.value.response.headers["retry-after"]) <= 90
            assert told.value.code == "rate_limited"
        assert len(made.asked) == 2


ONLY_ANSWER: dict[str, tuple[Scenario, type[openai.APIStatusError], int, str]] = {
    "C7 refusing": (refusing, openai.BadRequestError, 400, "invalid_value"),
    "C7 422": (status(422), openai.BadRequestError, 400, "invalid_value"),
    "C8 too long": (too_long, openai.BadRequestError, 400, "context_length_exceeded"),
}


@pytest.mark.parametrize(
    ("scenario", "kind", "code", "name"), ONLY_ANSWER.values(), ids=ONLY_ANSWER.keys()
)
def test_a_request_that_is_wrong_costs_one_call_and_no_breaker(
    tmp_path: Path, scenario: Scenario, kind: type[openai.APIStatusError], code: int, name: str
) -> None:
    with (
        faulty(tmp_path, {"bad": scenario, "good": good}, FIRST_BAD) as made,
        openai_client(made.service) as client,
    ):
        for _ in range(2):
            with pytest.raises(kind) as told:
                ask(client)
            assert (told.value.status_code, told.value.code) == (code, name)
        assert made.asked == ["bad"] * 2
        assert made.service.health("bad")["state"] == "closed"


def test_c8_a_prompt_that_overflows_goes_to_a_larger_window_and_never_back(tmp_path: Path) -> None:
    scenarios = {"bad": too_long, "large": broken, "same": good, "huge": good}
    arms = {
        "bad": CHEAP,
        "large": {"context_window": 64_000},
        "huge": {**DEAR, "context_window": 128_000},
    }
    with faulty(tmp_path, scenarios, arms) as made, openai_client(made.service) as client:
        answer = ask(client)
        assert answer.choices[0].message.content == "hello"
        assert made.asked == ["bad", "large", "huge"]
        assert [each.decision.kind for each in made.decisions] == ["routed", "fallback", "fallback"]
        assert "did not fit" in made.decisions[1].decision.ineligible["same"]


ALL_FAIL: dict[str, tuple[Scenario, type[openai.APIStatusError], str]] = {
    "C18 broken": (broken, openai.InternalServerError, "upstream_bad_response"),
    "C18 busy": (busy, openai.RateLimitError, "rate_limited"),
    "C9 401": (status(401), openai.InternalServerError, "upstream_auth"),
    "C9 403": (status(403), openai.InternalServerError, "upstream_auth"),
    "C11 null": (lambda talk: talk.reply(b'{"choices": null}'), openai.InternalServerError,
                 "upstream_bad_response"),
    "C2 silent": (silent, openai.InternalServerError, "upstream_timeout"),
}  # fmt: skip


@pytest.mark.parametrize(("scenario", "kind", "code"), ALL_FAIL.values(), ids=ALL_FAIL.keys())
def test_when_all_fail_the_client_is_told_once_and_does_not_try_again(
    tmp_path: Path, scenario: Scenario, kind: type[openai.APIStatusError], code: str
) -> None:
    with (
        faulty(tmp_path, {"a": scenario, "b": scenario}) as made,
        openai_client(made.service) as client,
    ):
        with pytest.raises(kind) as told:
            ask(client)
        assert told.value.code == code
        assert told.value.response.headers["x-should-retry"] == "false"
        assert sorted(made.asked) == ["a", "b"]
        assert [each.outcome is not None for each in made.decisions] == [True, True]
        assert len(made.attempts()) == 2


@pytest.mark.parametrize(
    ("row", "scenario", "finish"),
    [
        ("C12", lambda talk: talk.reply(completion(finish="length")), "length"),
        ("C13", filtered, "content_filter"),
    ],
)
def test_what_is_cut_by_a_limit_or_a_filter_is_passed_on(
    tmp_path: Path, row: str, scenario: Scenario, finish: str
) -> None:
    with (
        faulty(tmp_path, {"bad": scenario, "good": good}, FIRST_BAD) as made,
        openai_client(made.service) as client,
    ):
        assert ask(client).choices[0].finish_reason == finish
        assert made.asked == ["bad"]
        assert made.service.health("bad")["failures"] == 0


def test_c13_a_refusal_is_passed_on(tmp_path: Path) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I would rather not."}
    with (
        faulty(tmp_path, {"a": lambda talk: talk.reply(completion(message))}) as made,
        openai_client(made.service) as client,
    ):
        assert ask(client).choices[0].message.refusal == "I would rather not."


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": "3", "completion_tokens": "2"},
        {"prompt_tokens": 10**12, "completion_tokens": 10**12},
        {"prompt_tokens": 0, "completion_tokens": 0},
        [1, 2],
    ],
    ids=str,
)
def test_c14_usage_that_cannot_be_true_is_estimated(tmp_path: Path, usage: object) -> None:
    with (
        faulty(tmp_path, {"a": lambda talk: talk.reply(completion(usage=usage))}) as made,
        openai_client(made.service) as client,
    ):
        assert ask(client).choices[0].message.content == "hello"
        [only] = made.decisions
        assert only.outcome is not None
        assert only.outcome.usage_estimated
        assert 0 < only.outcome.cost_usd < 0.001


def test_c16_a_redirect_is_not_followed_and_no_key_goes_there(tmp_path: Path) -> None:
    with misbehaving({"bad": good}) as (elsewhere, seen):

        def moved(talk: Conversation) -> None:
            where = f"Location: {elsewhere}/chat/completions"
            talk.head("307 Temporary Redirect", "text/plain", where, "Content-Length: 0")

        with (
            faulty(tmp_path, {"bad": moved, "good": good}, FIRST_BAD) as made,
            openai_client(made.service) as client,
        ):
            assert ask(client).choices[0].message.content == "hello"
            assert made.asked == ["bad", "good"]
        assert seen.connections == 0


def test_c21_a_key_that_is_echoed_reaches_nobody(tmp_path: Path) -> None:
    echo = status(401, body=json.dumps({"error": {"message": f"bad key {KEY}"}}).encode())
    with faulty(tmp_path, {"a": echo, "b": echo}) as made, openai_client(made.service) as client:
        with pytest.raises(openai.APIStatusError) as told:
            ask(client)
        assert KEY not in told.value.response.text
        for each in made.decisions:
            path = f"/decisions/{each.decision.id}"
            assert KEY not in json.dumps(made.service.get(path))
        assert KEY not in json.dumps(made.service.get("/policy"))


def test_c22_a_model_with_a_line_end_in_its_name_splits_no_header(tmp_path: Path) -> None:
    name = "m\r\nX-Evil: 1<script>"

    def evil(talk: Conversation) -> None:
        talk.reply(completion(model=name))

    with faulty(tmp_path, {"a": evil}) as made, openai_client(made.service) as client:
        messages = [{"role": "user", "content": "hi"}]
        raw = client.chat.completions.with_raw_response.create(model="auto", messages=messages)
        assert "x-evil" not in raw.headers
        [only] = made.decisions
        assert only.outcome is not None
        assert only.outcome.model == "a"
