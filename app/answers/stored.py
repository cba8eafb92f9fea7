"""A completion as it is stored, and a stored answer as it is said again."""

import json
import time

from app.answers.request_key import RequestKey
from app.routing.turn import Completion
from features.likeness import Likeness
from policy.types import Usage
from storage.cache_file import StoredAnswer
from upstream.answers import acts, says_more, thoughts_of
from upstream.recall import Said


def said(stored: StoredAnswer) -> Said:
    """Return a stored answer as it is sent again."""
    usage = Usage(
        stored.input_tokens, stored.output_tokens, stored.cached_tokens, stored.usage_estimated
    )
    thoughts = json.loads(stored.thoughts)
    return Said(stored.text, stored.model, usage, stored.created_at_s, thoughts)


def is_whole(completion: Completion) -> bool:
    """Return whether an answer came from a provider, to its own end, and is only text and thoughts.

    What a stream has brought besides, whoever has read its frames knows.
    """
    ended = completion.ended
    whole = ended.status == "ok" and ended.finish_reason == "stop"
    asked = completion.turn.cache == "miss"
    more = acts(ended.message) or says_more(completion.data)
    return whole and asked and not more and bool(completion.text.strip())


def as_stored(
    key: RequestKey, likeness: Likeness | None, tenant: str, completion: Completion
) -> StoredAnswer:
    """Return what is stored of a completion."""
    turn, usage = completion.turn, completion.ended.usage
    return StoredAnswer(
        key=key.key,
        kin=key.kin,
        likeness=b"" if likeness is None else likeness.to_bytes(),
        tenant=tenant,
        decision_id=turn.decision.id,
        arm=turn.arm.name,
        model=completion.model,
        text=completion.text,
        thoughts=json.dumps(thoughts_of(completion.ended.message)),
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
        usage_estimated=usage.estimated,
        cost_usd=completion.cost_usd,
        created_at_s=time.time(),
    )
