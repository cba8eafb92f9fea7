"""The log as one Parquet file: a row for each decision, with how it ended, its reward, its calls.

Rows are written in groups as they are read, so memory does not grow with the log. Texts of prompts
and answers are not among them.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import escape
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.calls import calls
from storage.parcel import clear
from storage.reader import LogReader
from storage.records import Attempt, Round

GROUP = 5_000

TEXT, WHOLE, REAL, YES = pa.string(), pa.int64(), pa.float64(), pa.bool_()
MOMENT = pa.timestamp("us", tz="UTC")
TEXTS, REALS = pa.list_(pa.string()), pa.list_(pa.float64())
CALLS = pa.list_(
    pa.struct(
        [
            ("n", WHOLE),
            ("arm", TEXT),
            ("started_at", MOMENT),
            ("latency_s", REAL),
            ("ttft_s", REAL),
            ("status", TEXT),
            ("http_status", WHOLE),
            ("message", TEXT),
            ("input_tokens", WHOLE),
            ("cached_tokens", WHOLE),
            ("output_tokens", WHOLE),
            ("cost_usd", REAL),
        ]
    )
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the file: its type, and what it is."""

    name: str
    type: pa.DataType
    says: str


# Of the decision; where the name is another than that of the log's column, `FROM` has it.
DECIDED = (
    Column("id", TEXT, "the decision"),
    Column("decided_at", MOMENT, "when it was made"),
    Column("tenant", TEXT, "whose key asked"),
    Column("key_id", TEXT, "which key asked"),
    Column("session", TEXT, "the conversation"),
    Column("task", TEXT, "the caller's tag"),
    Column("kind", TEXT, "`routed`, `pinned`, `fallback` or `cached`"),
    Column("retry_of", TEXT, "the decision whose arm had failed"),
    Column("answer_of", TEXT, "the decision whose stored answer was given again"),
    Column("policy", TEXT, "the rule that decided"),
    Column("policy_version", WHOLE, "the version that served"),
    Column("learned_seq", WHOLE, "the event up to which it had learned"),
    Column("arm", TEXT, "the arm that was drawn"),
    Column("propensity", REAL, "the exact probability with which it was drawn"),
    Column("explore", YES, "whether an arm might be tried out"),
    Column("willingness_to_pay_usd", REAL, "dollars that one more thumbs-up was worth"),
    Column("allowance", REAL, "probability mass that might be put off the best arm"),
    Column("eligible", TEXTS, "the arms that could be drawn"),
    Column("propensities", REALS, "their probabilities, in this order"),
    Column("quality", REALS, "the reward expected of each"),
    Column("quality_sd", REALS, "the doubt about that"),
    Column("cost_usd_predicted", REALS, "the dollars expected of each"),
    Column("ineligible", pa.map_(TEXT, TEXT), "the other arms, and why"),
    Column("cached_by_arm", pa.map_(TEXT, WHOLE), "prompt tokens held in an arm's cache"),
    Column("input_tokens_estimated", WHOLE, "tokens of the prompt, before it was sent"),
    Column("words", WHOLE, "words of the last user message"),
    Column("prompt_sha256", TEXT, "its hash, empty where none is kept"),
    Column("feature_version", WHOLE, "the space of the context"),
    Column("context", REALS, "what the policy saw of the prompt"),
    Column("sketch", pa.binary(), "facts and hashed words, from which later spaces are computed"),
    Column("sandbox", YES, "whether synthetic models answered"),
)
ENDED = (
    Column("ended_at", MOMENT, "when it ended; null while it is open, as all that follows"),
    Column("status", TEXT, "how it ended"),
    Column("answered_by", TEXT, "the arm that answered"),
    Column("model", TEXT, "what the provider called its model"),
    Column("finish_reason", TEXT, "why the answer ended"),
    Column("input_tokens", WHOLE, "tokens as billed"),
    Column("cached_tokens", WHOLE, "of them from the provider's cache"),
    Column("output_tokens", WHOLE, "tokens of the answer, or of all that were asked for at once"),
    Column("choices", WHOLE, "how many those are"),
    Column("usage_estimated", YES, "whether we had to count ourselves"),
    Column("cost_usd", REAL, "dollars of all its calls"),
    Column("latency_s", REAL, "seconds until the answer was whole"),
    Column("ttft_s", REAL, "seconds until its first content"),
    Column("cache", TEXT, "`miss`, `hit` or `stale`"),
    Column("seq", WHOLE, "the position of its end among the learning events"),
)
RATED = Column("reward", REAL, "the mean over its raters; null if nobody rated it")
CALLED = Column("attempts", CALLS, "the calls to providers, in order")
COLUMNS = (*DECIDED, *ENDED, RATED, CALLED)
FROM = {
    "decided_at": "decided_at_s",
    "ended_at": "at_s",
    "started_at": "started_at_s",
    "answered_by": "arm",
}


def schema() -> pa.Schema:
    """Return the schema of the file; each field says in its metadata what it is."""
    return pa.schema(
        [pa.field(each.name, each.type, metadata={"says": each.says}) for each in COLUMNS]
    )


def export(
    log: LogReader, path: Path, since_s: float, told: Callable[[int], None], group: int = GROUP
) -> int:
    """Write the decisions since a moment, the newest first, and return how many there were.

    `told` is told how many more have been written. The file is there once it is whole.

    raises : OSError if it cannot be written; StoreUnavailable
    """
    clear(path.parent, f".{escape(path.name)}.*.part")
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    written = 0
    try:
        with pq.ParquetWriter(draft, schema(), compression="zstd") as file:
            for rows in _groups(log, since_s, group):
                file.write_batch(pa.RecordBatch.from_pylist(rows, schema=file.schema))
                written += len(rows)
                told(len(rows))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return written


def _groups(log: LogReader, since_s: float, group: int) -> Iterator[list[dict[str, Any]]]:
    reading = log.decisions(since_s=since_s)
    while rounds := list(islice(reading, group)):
        newest, oldest = rounds[0].decision, rounds[-1].decision
        made = calls(log.ask, oldest.decided_at_s, newest.decided_at_s)
        yield [_row(each, made.get(each.decision.id, ())) for each in rounds]


def _row(each: Round, made: Sequence[Attempt]) -> dict[str, Any]:
    ended = {} if each.outcome is None else _taken(ENDED, each.outcome)
    called = [_taken(CALLS.value_type, attempt) for attempt in made]
    return {**_taken(DECIDED, each.decision), **ended, "reward": each.reward, "attempts": called}


def _taken(columns: Iterable[Any], record: object) -> dict[str, Any]:
    return {
        each.name: _value(each.type, getattr(record, FROM.get(each.name, each.name)))
        for each in columns
    }


def _value(kind: pa.DataType, value: Any) -> Any:
    if kind == MOMENT:
        return round(value * 1e6)
    if pa.types.is_map(kind):
        return list(value.items())
    return value
