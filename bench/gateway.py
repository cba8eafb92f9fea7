"""What a gateway costs: CPU of all its processes, the delay it adds, the streams it holds.

All gateways stand before the same provider in one run and take turns, so what else the machine does
falls on all alike. The gateways share one core; the provider and the callers have the others.
"""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.gateways import CHAT, ROOT, Running, body, started, wait_until_answered
from bench.load import Load, Target, plain, streams
from bench.parity import parity
from bench.processes import used
from storage.postgres_server import free_port

WARM_S, PLAIN_S, LATENCY_S = 2.0, 4.0, 2.0
CALLERS, FEW = (32, 256), (1, 8)
FIRST_TOKENS = 20
LIGHT_STREAMS, LIGHT_TOKENS = 40, 80
HELD_TOKENS = 200

GatewayFigures = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found: for each gateway its figures, one number for each round, and its failures."""

    figures: dict[str, GatewayFigures]
    failures: dict[str, str]
    rounds: int
    held: int

    def of(self, gateway: str, figure: str) -> float | None:
        """Return the median of a figure, None if it could not be measured."""
        found = self.figures[gateway].get(figure)
        return median(found) if found else None


def measure(names: Sequence[str], rounds: int, held: int, told: Callable[[str], None]) -> Measured:
    """Return the figures of the gateways of these names that can be run here.

    raises : TimeoutError if one does not answer
    """
    figures: dict[str, GatewayFigures] = defaultdict(lambda: defaultdict(list))
    failures: dict[str, str] = {}
    *ours, theirs = sorted(os.sched_getaffinity(0))
    with ExitStack() as running_until, on_cores(ours or [theirs]):
        folder = running_until.enter_context(TemporaryDirectory())
        upstream = running_until.enter_context(provider())
        with on_cores([theirs]):
            running = running_until.enter_context(started(names, Path(folder), upstream))
        for gateway in running:
            plain(gateway.target, body(), FEW[-1], WARM_S)
        for n in range(rounds):
            for gateway in running:
                told(f"round {n + 1} of {rounds}: {gateway.name}")
                _one_round(gateway, Target(upstream, CHAT), figures[gateway.name], failures)
        for gateway in running if held else ():
            told(f"{held} streams: {gateway.name}")
            _hold(gateway, held, figures[gateway.name], failures)
    return Measured(dict(figures), failures, rounds, held)


def _one_round(
    gateway: Running, direct: Target, figures: GatewayFigures, failures: dict[str, str]
) -> None:
    """Measure one gateway once; of ours, every answer must be in the log."""
    with parity(gateway.database) as counted:
        for callers in CALLERS:
            asking = partial(plain, gateway.target, body(), callers, PLAIN_S)
            load, cpu_s = _cost(gateway, asking)
            answered = counted.add(len(load.latencies_s))
            _note(gateway, load, failures)
            if answered:
                figures[f"cpu_ms_c{callers}"].append(1e3 * cpu_s / answered)
                figures[f"per_s_c{callers}"].append(answered / load.elapsed_s)
        for callers in FEW:
            straight = plain(direct, body(), callers, LATENCY_S / 2)
            through = plain(gateway.target, body(), callers, LATENCY_S)
            counted.add(len(through.latencies_s))
            _add(figures, f"added_ms_c{callers}", through.latencies_s, straight.latencies_s)
        counted.add(_streamed(gateway, direct, figures, failures))
    figures["memory_mb"].append(used(gateway.pid).memory_mb)


def _streamed(
    gateway: Running, direct: Target, figures: GatewayFigures, failures: dict[str, str]
) -> int:
    """Measure streams, and return how many came whole."""
    first = body(stream=True, tokens=1)
    straight = streams(direct, first, 1, 1, FIRST_TOKENS)
    through = streams(gateway.target, first, 1, 1, FIRST_TOKENS)
    _note(gateway, through, failures)
    _add(figures, "ttft_ms", through.ttfts_s, straight.ttfts_s)
    light = body(stream=True, tokens=LIGHT_TOKENS)
    load, cpu_s = _cost(
        gateway, lambda: streams(gateway.target, light, LIGHT_STREAMS, LIGHT_TOKENS)
    )
    _note(gateway, load, failures)
    if load.chunks:
        figures["cpu_s_per_1000_chunks"].append(1e3 * cpu_s / load.chunks)
    return len(through.latencies_s) + len(load.latencies_s)


def _cost(gateway: Running, ask: Callable[[], Load]) -> tuple[Load, float]:
    """Return what callers saw, and the CPU seconds that the gateway spent on them."""
    before = used(gateway.pid)
    load = ask()
    return load, used(gateway.pid).cpu_s - before.cpu_s


def _add(
    figures: GatewayFigures, name: str, through_s: list[float], straight_s: list[float]
) -> None:
    """Add the milliseconds that going through a gateway takes longer, in the median."""
    if through_s and straight_s:
        figures[name].append(1e3 * (median(through_s) - median(straight_s)))


def _hold(gateway: Running, held: int, figures: GatewayFigures, failures: dict[str, str]) -> None:
    long = body(stream=True, tokens=HELD_TOKENS)
    with parity(gateway.database) as counted:
        load, cpu_s = _cost(gateway, lambda: streams(gateway.target, long, held, HELD_TOKENS))
        counted.add(len(load.latencies_s))
    _note(gateway, load, failures)
    figures["held"].append(len(load.latencies_s))
    figures["held_cpu_s"].append(cpu_s)
    figures["held_memory_mb"].append(used(gateway.pid).memory_mb)
    if load.latencies_s:
        figures["held_s"].append(median(load.latencies_s))


def _note(gateway: Running, load: Load, failures: dict[str, str]) -> None:
    if load.failed:
        why = " ".join(load.why.split())[:160]
        failures[gateway.name] = f"{load.failed} failed, the last with: {why}"


@contextmanager
def provider() -> Iterator[int]:
    """Yield the port of a provider that answers; it runs in a process of its own.

    raises : TimeoutError if it does not answer in time
    """
    port = free_port()
    command = [sys.executable, "-m", "bench.answerer", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as process:  # noqa: S603
        try:
            wait_until_answered(Target(port, CHAT), process)
            yield port
        finally:
            process.kill()


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Keep this process and what it starts inside to these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
