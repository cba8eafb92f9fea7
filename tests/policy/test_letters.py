"""How many tokens a text is about."""

import pytest

from policy.letters import about_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0.0), ("refund" * 50, 75.0), ("请问这份发票" * 50, 200.0), ("ab" + "发票" * 3, 4.5)],
)
def test_wide_letters_are_more_tokens_each_than_narrow_ones(text: str, tokens: float) -> None:
    assert about_tokens(text) == tokens
