"""What is kept of the words of prompts and answers, as the operator has chosen.

`off` keeps nothing by which a text could be told or checked, and the policy sees no word either:
only facts of a prompt, such as its length and form. `hash` keeps a SHA-256 and hashed words,
`redacted` also the text with personal data and secrets masked, `full` all of the text.
"""

from dataclasses import dataclass
from typing import Literal

from app.routing.masking import masked
from features.prompt import Prompt
from features.sketch import Sketch
from storage.words import FORMS, Form, Part, Transcript

Prompts = Literal["off", "hash", "redacted", "full"]

MOST_CHARS = 100_000
CUT = " [cut]"


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of every prompt and its answer."""

    prompts: Prompts

    @property
    def forms(self) -> tuple[Form, ...]:
        """Return the forms in which a text may lie in the log.

        >>> Retention("redacted").forms, Retention("hash").forms
        (('redacted',), ())
        """
        allowed = {"redacted": 1, "full": 2}.get(self.prompts, 0)
        return FORMS[:allowed]

    @property
    def hashes(self) -> bool:
        """Return whether the log may hold hashes of a prompt and its words."""
        return self.prompts != "off"

    def sketch(self, prompt: Prompt) -> Sketch:
        """Return what the policy and the log know of a prompt."""
        sketch = Sketch.of(prompt)
        return sketch if self.hashes else sketch.without_words()

    def digest(self, prompt: Prompt) -> str:
        """Return the hash of a prompt that the log keeps, empty for none."""
        return prompt.digest if self.hashes else ""

    def transcript(self, decision_id: str, part: Part, at_s: float, text: str) -> Transcript | None:
        """Return what is kept of a text; None if it is nothing."""
        if not self.forms or not text.strip():
            return None
        form, short = self.forms[-1], _short(text)
        return Transcript(
            decision_id=decision_id,
            part=part,
            at_s=at_s,
            form=form,
            text=short if form == "full" else masked(short),
        )


def _short(text: str) -> str:
    """Return the text, or its beginning, cut between two words so that no secret is."""
    if len(text) <= MOST_CHARS:
        return text
    whole, _, rest = text[:MOST_CHARS].rpartition(" ")
    return (whole or rest) + CUT
