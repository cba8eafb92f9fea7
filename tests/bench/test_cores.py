"""Work is spread over processes and comes back in the order it was asked for."""

from dataclasses import dataclass

import pytest

from bench.cores import spread


@dataclass(frozen=True)
class Square:
    name: str = "square"

    def of(self, seed: int) -> int:
        return seed * seed


@pytest.mark.slow
def test_results_are_in_the_order_of_the_seeds(capfd: pytest.CaptureFixture[str]) -> None:
    assert spread(Square(), [3, 1, 2]) == [9, 1, 4]
    assert "square: 3 of 3 seeds, 0 s left" in capfd.readouterr().err
