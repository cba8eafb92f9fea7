"""An outage through the real service: what clients see, what it costs, and how soon it is over.

Five arms, the first so cheap that it is always preferred and the last the dearest. They fail by
turns, in every way at once, while requests go on coming at a steady pace.
"""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.fickle import Fickle, Mood, fickle
from bench.parity import parity
from bench.serving import ServiceRefused, ask, free_bind, port_of, serving

ARMS = ("first", "second", "third", "fourth", "last")
CALLERS = 48
# Deadlines are short, so that silence costs a run no minutes; the rest is as it comes.
FIRST_CONTENT_S = 1.0
SETTLED_S = 5.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time, and the arms that are not well in it; `back` is one that has come back."""

    name: str
    moods: Mapping[str, Mood]
    back: str | None = None


DOWN: Mapping[str, Mood] = {
    "first": "broken",
    "second": "gone",
    "third": "silent",
    "fourth": "busy",
}
PHASES = (
    Phase("all are well", {}),
    Phase("the first is down", {"first": "broken"}),
    Phase("the first is back", {}, back="first"),
    Phase("four of five are down, each in its way", DOWN),
    Phase("all are back", {}, back="first"),
    Phase("the first fails every other call", {"first": "flapping"}),
    Phase("four of five fail every other call", dict.fromkeys(DOWN, "flapping")),
    Phase("all are back again", {}, back="first"),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one request came to; `status` 0 means no HTTP answer at all."""

    status: int
    latency_s: float


@dataclass(frozen=True, slots=True)
class LivedPhase:
    """What a phase came to.

    `calls_per_request` is of the whole phase, `calls_settled` of the time after its first seconds,
    `back_after_s` how long an arm that had come back was not asked.
    """

    phase: Phase
    seen: tuple[Seen, ...]
    calls_per_request: float
    calls_settled: float
    back_after_s: float | None

    @property
    def refused(self) -> int:
        """Return the requests that were not answered with 200."""
        return sum(each.status != 200 for each in self.seen)  # noqa: PLR2004

    @property
    def slowest_s(self) -> float:
        """Return the seconds of the slowest request."""
        return max(each.latency_s for each in self.seen)


def run(seconds: float, per_s: float) -> list[LivedPhase]:
    """Return what each phase came to, `seconds` long, at `per_s` requests a second.

    raises : TimeoutError if the service does not start; RowsDiffer if an answer is not in the log
    """
    with TemporaryDirectory() as folder, fickle() as provider:
        settings = _settings(Path(folder), provider.url)
        with serving(settings), ThreadPoolExecutor(CALLERS) as callers:
            with parity(Path(settings["TURNPIKE_DATABASE"])) as counted:
                lived = [
                    _live(phase, provider, callers, port_of(settings), (seconds, per_s))
                    for phase in PHASES
                ]
                counted.add(sum(len(each.seen) - each.refused for each in lived))
            return lived


def lines(lived: list[LivedPhase]) -> Iterator[str]:
    """Yield the table."""
    yield "| phase | requests | not answered | calls each | settled | slowest s | back after s |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for each in lived:
        back = "" if each.back_after_s is None else f"{each.back_after_s:.1f}"
        yield (
            f"| {each.phase.name} | {len(each.seen)} | {each.refused} "
            f"| {each.calls_per_request:.3f} | {each.calls_settled:.3f} "
            f"| {each.slowest_s:.2f} | {back} |"
        )


def _live(
    phase: Phase,
    provider: Fickle,
    callers: ThreadPoolExecutor,
    port: int,
    pace: tuple[float, float],
) -> LivedPhase:
    seconds, per_s = pace
    requests, settling = round(seconds * per_s), round(min(SETTLED_S, seconds / 2) * per_s)
    provider.become(phase.moods)
    began_s = time.monotonic()
    jobs = []
    calls_settling = 0
    for n in range(requests):
        time.sleep(max(began_s + n / per_s - time.monotonic(), 0.0))
        if n == settling:
            calls_settling = provider.calls.total()
        jobs.append(callers.submit(_one, port))
    seen = tuple(job.result() for job in jobs)
    calls = provider.calls.total()
    back_s = provider.answered_s.get(phase.back or "")
    return LivedPhase(
        phase,
        seen,
        calls_per_request=calls / requests,
        calls_settled=(calls - calls_settling) / (requests - settling),
        back_after_s=None if back_s is None else back_s - began_s,
    )


def _one(port: int) -> Seen:
    began_s, status = time.monotonic(), 200
    try:
        ask(port, "POST", "/complete", {"prompt": "Is it well?"})
    except ServiceRefused as error:
        status = error.status
    except OSError:
        status = 0
    return Seen(status, time.monotonic() - began_s)


def _settings(folder: Path, url: str) -> dict[str, str]:
    tables = [f'[provider.fickle]\nbase_url = "{url}"']
    for n, name in enumerate(ARMS):
        tables.append(
            f'[arm.{name}]\nprovider = "fickle"\nmodel = "{name}"\ncontext_window = 8000\n'
            f"input_usd_per_mtok = {10.0 ** (n + 2)}\noutput_usd_per_mtok = {10.0 ** (n + 2)}\n"
            f"timeouts = {{ first_content_s = {FIRST_CONTENT_S} }}"
        )
    (folder / "arms.toml").write_text("\n".join(tables), encoding="utf-8")
    return {
        "TURNPIKE_ARMS": str(folder / "arms.toml"),
        "TURNPIKE_DATABASE": str(folder / "turnpike.db"),
        "TURNPIKE_BIND": free_bind(),
        "TURNPIKE_SANDBOX": "off",
        # The cheapest arm that stands well: who is asked is then a matter of health alone.
        "TURNPIKE_POLICY": "greedy",
        "TURNPIKE_LOG_LEVEL": "error",
    }
