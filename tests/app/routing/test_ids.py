"""A decision's id tells when it was made, and nothing else."""

import time
from uuid import RFC_4122, UUID

from app.routing.ids import PREFIX, decision_id

CHANCE = (1 << 62) - 1 | 0xFFF << 64
"""The bits of a UUID of version 7 that are drawn."""


def test_an_id_is_a_uuid_of_version_7_with_the_moment_and_74_bits_of_chance() -> None:
    began_ms = time.time_ns() // 1_000_000
    made = [UUID(decision_id().removeprefix(PREFIX)) for _ in range(200)]
    ended_ms = time.time_ns() // 1_000_000
    assert {(each.version, each.variant) for each in made} == {(7, RFC_4122)}
    moments = [each.int >> 80 for each in made]
    assert began_ms <= moments[0]
    assert moments == sorted(moments)
    assert moments[-1] <= ended_ms
    ever, always = 0, CHANCE
    for each in made:
        ever, always = ever | each.int & CHANCE, always & each.int
    assert (ever, always) == (CHANCE, 0)
