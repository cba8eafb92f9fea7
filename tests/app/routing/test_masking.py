"""What is masked in a text that is kept, what is left, and that no text takes long."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.routing.masking import IBAN_LENGTHS, is_card, is_iban, masked

MASKED = {
    "ann.o'neil+news@mail.example.co.uk": "[e-mail]",
    "jörg@exämple.org": "[e-mail]",
    "+49 (0)30 1234-567": "[phone]",
    "+1-202-555-0123": "[phone]",
    "(202) 555-0123": "[phone]",
    "0049 30 1234567": "[phone]",
    "030/123 45 67": "[phone]",
    "01701234567": "[phone]",
    "4111 1111 1111 1111": "[card]",
    "4111111111111111": "[card]",
    "3782-822463-10005": "[card]",
    "5555 5555 5555 4444": "[card]",
    "30569309025904": "[card]",
    "DE89370400440532013000": "[iban]",
    "gb82 west 1234 5698 7654 32": "[iban]",
    "NO93 8601 1117 947": "[iban]",
    "FR14 2004 1010 0505 0001 3M02 606": "[iban]",
    "sk-proj-abcdef123456": "[secret]",
    "Bearer eyJhbGciOi": "[secret]",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP": "[secret]",
    "AKIAIOSFODNN7EXAMPLE": "[secret]",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a": "[secret]",
    "xoxb-1234567890-abcdefghij": "[secret]",
    "password: hunter2": "[secret]",
    "my_db_password=hunter2": "[secret]",
    '"access_token": "abc123"': '"[secret]',
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08": "[secret]",
    "https://ann:hunter2@example.org/x?y=1": "[url]",
    "postgresql://turnpike:s3cret@db:5432/turnpike": "[url]",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----": "[secret]",
}

LEFT = (
    "Refund order 20261125-1234 from 2026-11-25 at 10:30, 1,234,567.89 EUR",
    "4111 1111 1111 1112",
    "FR14 2114 1311 1515 1111 3M12 611",
    "https://example.org/a/b?c=d#e",
    "What is 17 * 23? And 3.14159265358979?",
    "192.168.178.20:8000 and 10.0.0.1/24",
    "def f(x, *, y=0): return {x: y for _ in range(10)}",
    "The token limit is 8192; the secret of good bread is time.",
    "ISBN 978-3-16-148410-0",
    "DE89370400440532013000X",
    "Ann Smith, 12 Long Street, Springfield",
    "a@b and @handle and mail me @ home",
)


@pytest.mark.parametrize(("text", "as_kept"), MASKED.items())
def test_what_tells_who_it_is_or_opens_a_door_is_masked(text: str, as_kept: str) -> None:
    assert masked(f"Please use {text} for this.") == f"Please use {as_kept} for this."
    assert masked(f"({text}, ok)").startswith(f"({as_kept}")


@pytest.mark.parametrize("text", LEFT)
def test_what_only_looks_like_it_is_left(text: str) -> None:
    assert masked(text) == text


def test_a_card_among_other_numbers_is_found() -> None:
    assert masked("Pay 12 4111 1111 1111 1111 12/27") == "Pay 12 [card] 12/27"
    assert masked("IBAN DE89 3704 0044 0532 0130 00 until 2027") == "IBAN [iban] until 2027"


@given(st.lists(st.integers(0, 9), min_size=15, max_size=15))
def test_exactly_one_last_digit_makes_a_card(digits: list[int]) -> None:
    stem = "".join(map(str, digits))
    assert sum(is_card(f"{stem}{last}") for last in range(10)) == 1


@given(st.sampled_from(sorted(IBAN_LENGTHS)), st.integers(0, 10**20))
def test_exactly_one_pair_of_check_digits_makes_an_account(country: str, account: int) -> None:
    stem = str(account).zfill(IBAN_LENGTHS[country] - 4)[: IBAN_LENGTHS[country] - 4]
    good = [check for check in range(2, 99) if is_iban(f"{country}{check:02}{stem}")]
    assert len(good) == 1
    whole = f"{country}{good[0]:02}{stem}"
    assert masked(f"to {whole}.") == "to [iban]."


WORST = (
    "a", "a-", "1 ", "4111 ", "a@", "a://b:", "DE89 ", "password ", "-----BEGIN A-----", "+4 ",
    "eyJaaaaaaaa-", "bearer ", "key=", "1a", "(", "0", "sk-", ".", "\n",
)  # fmt: skip


@pytest.mark.parametrize("piece", WORST)
def test_time_grows_as_the_text_does(piece: str) -> None:
    def took_s(chars: int) -> float:
        text = piece * (chars // len(piece))
        best = 1e9
        for _ in range(3):
            began = time.thread_time()
            masked(text)
            best = min(best, time.thread_time() - began)
        return best

    assert took_s(40_000) < 8 * took_s(10_000) + 0.02  # squared it would be sixteen times


def test_random_text_never_fails() -> None:
    rng = random.Random(1)
    signs = "ab1 4@.:/-+()=_\n'\"é漢" + "0123456789"
    for _ in range(300):
        masked("".join(rng.choice(signs) for _ in range(200)))
