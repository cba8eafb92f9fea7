"""Streams, row by row of the matrix of faults: what OpenAI's client gets and the log keeps."""

from pathlib import Path

import openai
import pytest

from storage.snapshots import digest
from tests.app.faulty import Faulty, endless, faulty
from tests.app.hostile_streams import AFTER, BEFORE, PIECES, WHOLE, split_everywhere, told
from tests.app.hostile_streams import ENDING as WELL
from tests.app.serving import openai_client
from tests.upstream.misbehaving import Scenario

CHEAP = {"input_usd_per_mtok": 0.01, "output_usd_per_mtok": 0.01}
DEAR = {"input_usd_per_mtok": 9000.0, "output_usd_per_mtok": 9000.0}
FIRST_BAD = {"bad": CHEAP, "good": DEAR}
TEXT = "".join(PIECES)


class Reader:
    """What a program sees that streams an answer with OpenAI's client."""

    def __init__(self, client: openai.OpenAI, **more: object) -> None:
        self.texts: list[str] = []
        self.roles = 0
        self.ids: set[str] = set()
        self.finish: str | None = None
        self.usages = 0
        messages = [{"role": "user", "content": "hi"}]
        self._stream = client.chat.completions.create(
            model="auto", messages=messages, stream=True, extra_body={"explore": False}, **more
        )

    def read(self) -> "Reader":
        with self._stream:
            for each in self._stream:
                self.ids.add(each.id)
                self.usages += each.usage is not None
                for choice in each.choices:
                    self.texts.append(choice.delta.content or "")
                    self.roles += choice.delta.role is not None
                    self.finish = choice.finish_reason or self.finish
        return self

    @property
    def text(self) -> str:
        return "".join(self.texts)


def quality(made: Faulty) -> str:
    arrays = made.service.learned.to_arrays()
    return digest({name: array for name, array in arrays.items() if name.startswith("rated/")})


@pytest.mark.parametrize(("scenario", "attempt"), BEFORE.values(), ids=BEFORE.keys())
def test_what_fails_before_content_is_one_ordinary_stream_of_another_arm(
    tmp_path: Path, scenario: Scenario, attempt: str
) -> None:
    with (
        faulty(tmp_path, {"bad": scenario, "good": told(*WELL)}, FIRST_BAD) as made,
        openai_client(made.service) as client,
    ):
        before = quality(made)
        answer = Reader(client).read()
        assert (answer.text, answer.finish) == (TEXT, "stop")
        assert answer.roles == 1
        assert made.asked == ["bad", "good"]
        first, second = made.decisions
        assert answer.ids == {second.decision.id}
        assert second.decision.retry_of == first.decision.id
        assert [each.status for each in made.attempts()] == [attempt, "ok"]
        shown = made.service.health("bad")
        assert (shown["failures"], shown["under_way"]) == (1, 0)
        assert quality(made) == before


@pytest.mark.parametrize(("scenario", "status", "code"), AFTER.values(), ids=AFTER.keys())
def test_what_breaks_after_content_is_an_error_and_never_an_end(
    tmp_path: Path, scenario: Scenario, status: str, code: str
) -> None:
    with (
        faulty(tmp_path, {"bad": scenario, "good": told(*WELL)}, FIRST_BAD) as made,
        openai_client(made.service) as client,
    ):
        answer = Reader(client)
        with pytest.raises(openai.APIError) as error:
            answer.read()
        assert error.value.code == code
        assert answer.text.startswith(PIECES[0])
        assert answer.finish is None
        assert made.asked == ["bad"]
        [only] = made.decisions
        assert only.outcome is not None
        assert (only.outcome.status, only.outcome.usage_estimated) == (status, True)
        assert only.outcome.output_tokens > 0
        shown = made.service.health("bad")
        assert (shown["failures"], shown["under_way"]) == (1, 0)


@pytest.mark.parametrize("scenario", WHOLE.values(), ids=WHOLE.keys())
@pytest.mark.parametrize("wants_usage", [False, True], ids=["plain", "with usage"])
def test_what_is_strange_but_whole_is_whole(
    tmp_path: Path, scenario: Scenario, wants_usage: bool
) -> None:
    with faulty(tmp_path, {"a": scenario}) as made, openai_client(made.service) as client:
        more = {"stream_options": {"include_usage": True}} if wants_usage else {}
        answer = Reader(client, **more).read()
        assert (answer.text, answer.finish) == (TEXT, "stop")
        assert (answer.usages > 0) == wants_usage
        [only] = made.decisions
        assert only.outcome is not None
        assert only.outcome.status == "ok"
        if not only.outcome.usage_estimated:
            assert only.outcome.cost_usd == pytest.approx((4 * 1.0 + 3 * 2.0) / 1e6)
        assert made.service.health("a")["failures"] == 0


def test_d9_frames_split_at_every_byte_say_the_same(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": split_everywhere}) as made, openai_client(made.service) as client:
        assert Reader(client).read().text == "naïve 日本 🙂"


def test_an_arm_whose_streams_break_after_content_is_left_alone_too(tmp_path: Path) -> None:
    with (
        faulty(tmp_path, {"bad": told(), "good": told(*WELL)}, FIRST_BAD) as made,
        openai_client(made.service) as client,
    ):
        for _ in range(3):
            with pytest.raises(openai.APIError):
                Reader(client).read()
        assert Reader(client).read().text == TEXT
        assert made.asked == ["bad", "bad", "bad", "good"]
        assert made.service.health("bad")["state"] == "open"


def test_d10_a_client_that_leaves_costs_the_arm_nothing(tmp_path: Path) -> None:
    with faulty(tmp_path, {"a": endless}) as made:
        for _ in range(4):
            answer = made.service.client.post(
                "/v1/chat/completions",
                json={
                    "model": "auto",
                    "messages": [{"role": "user", "content": "hi"}],
                    "stream": True,
                },
                buffered=False,
            )
            next(answer.iter_encoded())
            answer.close()
        assert made.seen.closed_early.wait(2)
        shown = made.service.health("a")
        assert (shown["state"], shown["failures"], shown["under_way"]) == ("closed", 0, 0)
