"""Why a decision went where it went, in words that agree with its row."""

from typing import Any
from urllib.parse import quote

import pytest

from app.pages.decisions import because, in_words, timeline
from app.routing.why import considered, context_in_words
from features.prompt import Prompt
from features.sketch import Sketch
from storage.records import Decision
from tests.app.running import Running
from tests.storage.rounds import ATTEMPT, DECISION, NOON_S, OUTCOME, but

ROUTED = but(DECISION, arm="small", propensity=0.75)


def sketch_of(text: str) -> bytes:
    return Sketch.of(Prompt.of([{"role": "user", "content": text}])).to_bytes()


def test_the_arm_that_looked_best_was_worth_the_most() -> None:
    assert because(ROUTED).startswith("It looked worth the most of 2")
    assert "0.750" in because(ROUTED)


def test_an_arm_that_did_not_look_best_was_tried_out() -> None:
    dearer = but(ROUTED, quality=(0.2, 0.9), willingness_to_pay_usd=1.0)
    assert because(dearer).startswith("It was tried out")
    assert "large looked worth more" in because(dearer)
    assert "the draw explored" in str(considered(dearer))


def test_the_list_calls_explored_what_its_own_page_says_was_tried_out(service: Running) -> None:
    log, likely = service.parts.log, but(ROUTED, sketch=sketch_of("Hello"))
    dear = but(likely, quality=(0.2, 0.9), willingness_to_pay_usd=1.0)
    seldom = but(dear, arm="large", propensity=0.25)
    made = {"best": likely, "likely but worse": dear, "seldom but best": seldom}
    for name, decision in made.items():
        log.decide(but(decision, id=name)).wait()
    rows = service.client.get("/pages/decisions").text.split("<tr>")
    for name in made:
        [row] = [each for each in rows if f'href="{quote(f"/pages/decisions/{name}")}"' in each]
        tried_out = "It was tried out" in service.client.get(f"/pages/decisions/{name}").text
        assert ("explored" in row) == tried_out == (name == "likely but worse")


def many(arms: int, odds: float, policy: str = "thompson") -> Decision:
    """Return a decision for one of these arms, of which the last looks best with such odds."""
    alike = (0.1,) * arms
    return but(
        ROUTED,
        policy=policy,
        arm="arm0",
        eligible=tuple(f"arm{i}" for i in range(arms)),
        propensities=(1 - odds, *(0.0,) * (arms - 2), odds)[-arms:],
        quality=(*alike[:-1], 0.9),
        quality_sd=alike,
        cost_usd_predicted=alike,
        sketch=sketch_of("Hello"),
    )


@pytest.mark.parametrize(
    ("made", "is_held_back"),
    [
        (many(16, 0.0001), False),
        (many(17, 0.0001), True),
        (many(17, 0.0, "greedy"), True),
        (many(17, 0.1), False),
    ],
)
def test_of_many_arms_one_that_looks_best_may_be_held_back_which_tries_no_other_out(
    service: Running, made: Decision, is_held_back: bool
) -> None:
    most = "It looked worth the most of those compared, of so many arms a few first"
    assert because(made).startswith(most if is_held_back else "It was tried out")
    last = next(each for each in considered(made) if each["arm"] == made.eligible[-1])
    why = "of so many arms a few are compared first" if is_held_back else "the draw explored"
    assert last["would_look_better_if"].endswith(why)
    service.parts.log.decide(made).wait()
    assert ("explored</span>" in service.client.get("/pages/decisions").text) != is_held_back


def test_of_many_arms_one_that_is_held_back_and_drawn_all_the_same_is_tried_out() -> None:
    made = but(many(17, 0.0001), arm="arm16", propensity=0.0001)
    most = "It was tried out to learn about it: arm0 looked worth the most of those compared"
    assert because(made).startswith(most)


def test_the_only_arm_that_could_be_asked_was_not_chosen_for_its_worth() -> None:
    assert because(many(1, 1.0)) == "It was the only one that could be asked."


@pytest.mark.parametrize("rule", ["fixed:small", "uniform", "word_count"])
def test_a_rule_that_learns_nothing_tried_nothing_out(rule: str) -> None:
    ruled = but(ROUTED, policy=rule, quality=(0.2, 0.9), willingness_to_pay_usd=1.0)
    assert because(ruled).startswith(f"The rule in force is {rule}")
    assert "explored" not in str(considered(ruled))


@pytest.mark.parametrize(
    ("kind", "says"), [("pinned", "by name"), ("cached", "stored answer"), ("fallback", "failed")]
)
def test_how_else_an_arm_may_be_come_by(kind: str, says: str) -> None:
    assert says in because(but(ROUTED, kind=kind))


def test_the_facts_of_a_prompt_are_told_as_they_are() -> None:
    text = "What is 2 + 2?\nSay why."
    decision = but(ROUTED, sketch=sketch_of(text))
    words = list(in_words(context_in_words(decision)["facts"]))
    assert f"about {len(text)} characters" in words
    assert "opens as a question" in words
    assert "2 numbers" in words
    assert "1 question mark" in words
    assert "13 % signs" in words


@pytest.mark.parametrize(
    ("body", "right", "wrong"),
    [
        (
            {"messages": [{"role": "system", "content": "Be terse."}]},
            "conversation or system message",
            "conversation",
        ),
        ({"tools": [{}]}, "tools or images", "tools and images"),
        ({"text": "{[]}" * 9}, "30 % or more code marks", "30 % code marks"),
        ({"text": "1+2=3"}, "20 % or more maths marks", "20 % maths marks"),
        ({"text": "a+bcdefghijk"}, "8 % maths marks", "8 % or more maths marks"),
    ],
)
def test_nothing_is_told_of_a_prompt_that_it_has_not(
    body: dict[str, Any], right: str, wrong: str
) -> None:
    messages = [*body.get("messages", ()), {"role": "user", "content": body.get("text", "Hello")}]
    sketch = Sketch.of(Prompt.of(messages, tools=body.get("tools", ())))
    told = context_in_words(but(ROUTED, sketch=sketch.to_bytes()))
    words = list(in_words(told["facts"]))
    assert right in words
    assert wrong not in words


def test_the_line_of_time_spans_the_first_call_to_the_last() -> None:
    first = but(ATTEMPT, started_at_s=NOON_S, latency_s=1.0)
    second = but(ATTEMPT, started_at_s=NOON_S + 1, latency_s=3.0, ttft_s=1.0, status="ok")
    found = timeline([(ROUTED, None, [first]), (but(ROUTED, id="e"), OUTCOME, [second])])
    assert found["took_s"] == 4.0
    assert [(each["left"], each["width"]) for each in found["calls"]] == [(0, 25), (25, 75)]
    assert found["calls"][1]["first"] == 25
    assert found["decisions"] == ["d", "e"]


def test_a_decision_without_calls_has_no_line() -> None:
    assert timeline([(ROUTED, None, [])])["took_s"] is None


def test_the_pages_of_a_failure_and_of_its_fallback_tell_the_calls_of_both(
    service: Running,
) -> None:
    log, seen = service.parts.log, sketch_of("Hello")
    log.decide(but(DECISION, id="d0", sketch=seen))
    log.attempt(but(ATTEMPT, decision_id="d0", message="the first one was full"))
    log.settle(but(OUTCOME, decision_id="d0", status="error"))
    log.decide(but(DECISION, id="d1", sketch=seen, kind="fallback", retry_of="d0"))
    log.attempt(but(ATTEMPT, decision_id="d1", status="ok", message="the second one answered"))
    log.settle(but(OUTCOME, decision_id="d1")).wait()
    for identity in ("d0", "d1"):
        text = service.client.get(f"/pages/decisions/{identity}").text
        assert text.index("the first one was full") < text.index("the second one answered")


@pytest.mark.parametrize("failed", [None, "d0"])
def test_of_a_stored_answer_that_stands_in_the_page_says_that_arms_were_asked(
    service: Running, failed: str | None
) -> None:
    log, seen = service.parts.log, sketch_of("Hello")
    log.decide(but(DECISION, id="d0", sketch=seen))
    stored = but(DECISION, id="d1", sketch=seen, kind="cached", retry_of=failed, answer_of="d0")
    log.decide(stored).wait()
    text = service.client.get("/pages/decisions/d1").text
    assert ("Nobody was asked" in text) == (failed is None)
    assert ("No arm that was asked has answered." in text) == (failed is not None)


def test_a_prediction_beyond_the_line_is_shown_at_its_end_and_told_as_it_is(
    service: Running,
) -> None:
    log = service.parts.log
    made = but(ROUTED, quality=(1.0154, -0.0454), sketch=sketch_of("Hello"))
    log.decide(made).wait()
    text = service.client.get("/pages/decisions/d").text
    assert "<span>1.00 <small>" in text
    assert "<span>0.00 <small>" in text
    assert "1.02" not in text
    told = service.get("/decisions/d")["arms"]
    assert [arm["quality"] for arm in told] == list(made.quality)
