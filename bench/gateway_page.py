"""The page of a gateway run: one row for each gateway, and what may be read from it."""

import os
import platform
from pathlib import Path
from typing import Any

import click

from bench.gateway import HELD_TOKENS, Measured, measure
from bench.gateways import KNOWN
from bench.studies import publish

COLUMNS = {
    "cpu_ms_c32": ("CPU ms a request, 32 callers", "{:.3f}"),
    "cpu_ms_c256": ("256 callers", "{:.3f}"),
    "per_s_c32": ("requests/s, 32 callers", "{:,.0f}"),
    "per_s_c256": ("256 callers", "{:,.0f}"),
    "added_ms_c1": ("added ms, 1 caller", "{:.2f}"),
    "added_ms_c8": ("8 callers", "{:.2f}"),
    "ttft_ms": ("added ms to the first token", "{:.2f}"),
    "cpu_s_per_1000_chunks": ("CPU s per 1,000 chunks", "{:.3f}"),
    "memory_mb": ("memory MB", "{:.0f}"),
}
HELD = {
    "held": ("whole", "{:,.0f}"),
    "held_s": ("seconds, median", "{:.1f}"),
    "held_cpu_s": ("CPU s", "{:.1f}"),
    "held_memory_mb": ("memory MB", "{:.0f}"),
}
READING = """
CPU is that of the gateway's whole process tree, children and schedulers included, so what else the
machine does hardly moves it; it does move delays and requests a second. Memory counts shared pages
once for each process. All gateways run on one core and take turns before the same provider on
loopback; figures are medians of the rounds. Delays are those through the gateway less those of
asking the provider itself.

Not every gateway does the same work. Turnpike validates the request, computes features, draws among
five arms, and has the decision and the outcome on disk (`synchronous = FULL`) before the client has
its last byte; its delay is mostly those two waits. Portkey and LiteLLM are as they come, with one
process and one model, and record nothing durably. nginx only passes bytes; where
it is not installed it has no row.
""".strip()


def page(measured: Measured, command: str) -> list[str]:
    """Return the page as lines of Markdown."""
    names = list(measured.figures)
    lines = [
        "# Gateways, in one run",
        "",
        f"Made by `{command}` on {os.cpu_count()} cores, Python "
        f"{platform.python_version()}. Peers are those of the locks in `bench/peers/`.",
        "",
        *_table(measured, names, COLUMNS),
    ]
    if measured.held:
        lines += [
            "",
            f"{measured.held:,} streams at once, 20 tokens a second, {HELD_TOKENS} tokens each; "
            f"without a gateway that takes {HELD_TOKENS / 20:.0f} s:",
            "",
            *_table(measured, names, HELD),
        ]
    lines += ["", *(_against(measured, names)), "", READING]
    failures = [f"- {name}: {why}" for name, why in measured.failures.items()]
    return lines + (["", "What failed:", "", *failures] if failures else [])


def _table(measured: Measured, names: list[str], columns: dict[str, tuple[str, str]]) -> list[str]:
    lines = ["| | " + " | ".join(title for title, _ in columns.values()) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name in names:
        cells = [_cell(measured.of(name, figure), form) for figure, (_, form) in columns.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _against(measured: Measured, names: list[str]) -> list[str]:
    """Return how Turnpike's CPU compares with each peer's, in a sentence each."""
    ours = measured.of("Turnpike", "cpu_ms_c32") if "Turnpike" in names else None
    found = [(name, measured.of(name, "cpu_ms_c32")) for name in names if name != "Turnpike"]
    return [
        f"- CPU of a request at 32 callers: Turnpike {ours:.2f} ms, {name} {theirs:.2f} ms: "
        f"{ours / theirs:.2f} of it."
        for name, theirs in found
        if ours and theirs
    ]


@click.command()
@click.option("--only", default=",".join(KNOWN), help="These gateways, separated by commas.")
@click.option("--rounds", type=click.IntRange(1), default=3)
@click.option("--held", type=click.IntRange(0), default=1_000, help="Streams held at once.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default="docs/results/gateway.md"
)
def gateway(only: str, rounds: int, held: int, out: Path) -> None:
    """Measure what gateways cost before the same provider, in one run."""
    measured = measure(only.split(","), rounds, held, _tell)
    options: dict[str, Any] = {"--only": (only, ",".join(KNOWN)), "--rounds": (rounds, 3)}
    options["--held"] = (held, 1_000)
    given = [f"{name} {value}" for name, (value, usual) in options.items() if value != usual]
    command = " ".join(["python -m bench gateway", *given])
    publish(out, page(measured, command))


def _tell(what: str) -> None:
    click.echo(what, err=True)
