"""How long a provider asks to be left alone."""

import email.utils
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream.waits import wait_s


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("3", 3),
        (" 2.5 ", 2.5),
        ("0", 0),
        ("120", 120),
        ("301", 300),
        ("1e9", 300),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("soon", None),
        ("Wed, 21 Oct", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 -99999999999999", None),
        ("Wed, 21 Oct 2015 07:28:00 +9999999999999999999999", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 300),
        ("9" * 5000, None),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 300),
        ("Wed, 21 Oct 2099 07:28:00 -0000", 300),
    ],
)
def test_retry_after_is_seconds_within_reason_or_nothing(value, expected) -> None:
    assert wait_s({} if value is None else {"retry-after": value}) == expected


WORDS = st.sampled_from(
    ["Wed,", "21", "Oct", "2015", "07:28:00", "GMT", "-0000", ":", "+", "-", ","]
)
DATES = st.lists(WORDS | st.integers().map(str) | st.text(max_size=9), max_size=9)


@given(DATES.map(" ".join) | DATES.map("".join))
def test_whatever_retry_after_says_is_a_wait_within_reason_or_none(value: str) -> None:
    asked_s = wait_s({"retry-after": value})
    assert asked_s is None or 0 <= asked_s <= 300


def test_retry_after_may_be_a_date() -> None:
    asked_s = wait_s({"retry-after": email.utils.formatdate(time.time() + 60, usegmt=True)})
    assert asked_s is not None
    assert 58 < asked_s <= 60


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1),
        ({"retry-after-ms": "-5", "retry-after": "1"}, 1),
        ({"retry-after-ms": "9e9"}, 300),
        ({"retry-after-ms": "", "retry-after": ""}, None),
    ],
)
def test_milliseconds_are_finer_than_seconds(headers, expected) -> None:
    assert wait_s(headers) == expected


INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo"}


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ([{"@type": "a/google.rpc.Help", "links": []}, {**INFO, "retryDelay": "46s"}], 46),
        ([{**INFO, "retryDelay": "2.75s"}], 2.75),
        ([{**INFO, "retryDelay": "37037.723541104s"}], 300),
        ([{**INFO, "retryDelay": "-3s"}], None),
        ([{**INFO, "retryDelay": "3 s"}], None),
        ([{**INFO, "retryDelay": {"seconds": 3}}], None),
        ([INFO, "retryDelay", None], None),
        ("46s", None),
        (None, None),
    ],
)
def test_a_refusal_without_a_header_may_tell_the_wait_in_its_details(details, expected) -> None:
    error = {"code": 429, "message": "quota", "details": details}
    assert wait_s({}, error) == expected
    assert wait_s({"retry-after": "7"}, error) == 7
