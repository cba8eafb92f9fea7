"""Words in the log, where the operator keeps any: the text of a prompt, and of the answer to it.

A transcript is no learning event. What is taken out again is named decision by decision, so that it
goes in small pieces, and can be done once more.
"""

from dataclasses import dataclass
from typing import Literal

from policy.types import Floats

Part = Literal["prompt", "answer"]
Form = Literal["redacted", "full"]
FORMS: tuple[Form, ...] = ("redacted", "full")

TABLES = """
CREATE TABLE transcripts (
    decision_id TEXT NOT NULL REFERENCES decisions (id),
    part TEXT NOT NULL,
    at_s REAL NOT NULL,
    form TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (decision_id, part)
) STRICT;

CREATE INDEX transcripts_by_time ON transcripts (at_s);

CREATE INDEX handovers_by_kind ON handovers (kind, received_at_s);

CREATE INDEX decisions_by_hash ON decisions (decided_at_s) WHERE prompt_sha256 <> ''
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The text of a prompt, or of the answer to it, in the form that was allowed at the time."""

    decision_id: str
    part: Part
    at_s: float
    form: Form
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """The keeping time of a decision's text, or of the hash of its prompt, is over."""

    decision_id: str
    what: Literal["text", "hash"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Stripped:
    """What stays of a decision that is forgotten: no words, nobody's, and nothing of a rater.

    shapes : context (d,)
    """

    decision_id: str
    tenant: str
    key_id: str | None
    sketch: bytes
    context: Floats
