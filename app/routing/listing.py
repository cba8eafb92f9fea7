"""A new arm in the catalogue: what was learned goes over to the policy version that lists it."""

from dataclasses import replace

from jobs.learned import Learned


def relisted(known: Learned, start: Learned, upto_seq: int) -> Learned | None:
    """Return what is known under a version that only lists more arms, of which nothing is known.

    It is what folding the log from its first event under that version gives, to the bit, because
    an arm without outcomes has no part in what is believed of the others. None if the version
    differs in more, or if something is known of an arm that it lists.
    """
    ours, theirs = known.hyper, start.hyper
    new = {arm for arm, usd in theirs.listed.items() if ours.listed.get(arm) != usd}
    quality, tokens = known.beliefs.quality, known.beliefs.tokens
    heard = new & {*quality.rated, *quality.evals, *ours.hints, *known.watches}
    same = (
        replace(ours, listed=theirs.listed) == theirs and known.space.version == start.space.version
    )
    if heard or not same:
        return None
    beliefs = replace(
        start.beliefs,
        quality=quality.under(start.beliefs.quality.prior),
        tokens=tokens.under(start.beliefs.tokens.prior),
    )
    return replace(
        known,
        upto_seq=upto_seq,
        policy_version=start.policy_version,
        space=start.space,
        beliefs=beliefs,
    )
