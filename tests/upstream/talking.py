"""The real client on one side, a misbehaving provider on the other, a loopback socket between."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from policy.types import Arm, Timeouts
from tests.upstream.misbehaving import Scenario, Seen, misbehaving
from upstream.catalogue import Catalogue, Provider
from upstream.client import Upstream

KEY = "hunter2-hunter2"
BODY = {"messages": [{"role": "user", "content": "Say hello to the whole room."}]}
SHORT = Timeouts(connect_s=0.3, first_content_s=0.3, idle_s=0.3, total_s=0.9)
PATIENT = Timeouts(total_s=20, first_content_s=20, idle_s=20)
"""For what is not about lateness: a machine that is busy for a moment is no late provider."""


def arm_on(provider: str = "p", model: str = "m", **more: object) -> Arm:
    settings = {"timeouts": PATIENT, **more}
    return Arm("arm-a", provider, model, 1.0, 2.0, 8000, **settings)


def upstream_at(url: str, **more: Any) -> Upstream:
    """Return a client whose one provider, p, is there."""
    catalogue = Catalogue({"p": Provider("p", url, **more)}, {})
    return Upstream(lambda: catalogue, {})


@contextmanager
def talking_to(scenario: Scenario, **more: object) -> Iterator[tuple[Upstream, Arm, Seen]]:
    """Yield a client, an arm whose provider plays the scenario, and what the provider sees."""
    arm = arm_on(**more)
    with misbehaving({arm.model: scenario}) as (url, seen):
        catalogue = Catalogue({"p": Provider("p", url, "KEY")}, {arm.name: arm})
        with Upstream(lambda: catalogue, {"KEY": KEY}) as upstream:
            yield upstream, arm, seen
