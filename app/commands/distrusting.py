"""Withdraw what somebody rated in bad faith: each vote is revoked, as its rater could have done.

What was learned of it is unlearned as it is withdrawn, by every process. What a retrain has chosen
meanwhile by those votes stays until the next one, and an arm that was found changed by them stays
so: what others had said of it before is forgotten.
"""

import time
from collections.abc import Mapping

import click

from app.commands.delivery import delivered_all
from app.commands.exporting import ALWAYS_S, moment_s
from app.commands.keys import key_of
from app.commands.told import tell
from app.figures import counted
from app.settings import Settings
from jobs.intake import of_withdrawn_votes
from storage.stores import open_reader
from storage.votes import Voters, cast, withdrawals

PIECE = 500


def distrust(
    settings: Settings,
    *,
    tenant: str | None,
    key: str | None,
    rater: str | None,
    since: str | None,
    confirmed: bool,
    as_json: bool,
) -> None:
    """Withdraw all their votes that count, show how far that has come, and say how many there were.

    raises : InvalidInput if there is no such key, or `since` is no moment; ConfigError if there is
             no log; StoreUnavailable
    """
    now_s = time.time()
    voters = Voters(
        tenant=tenant,
        key_id=None if key is None else key_of(settings, key).id,
        rater=rater,
        since_s=ALWAYS_S if since is None else moment_s(since, now_s),
    )
    whose = _in_words({"tenant": tenant, "key": key, "rater": rater}, since)
    with open_reader(settings.database) as log:
        found = cast(log.ask, voters)
        said = f"{counted(found.votes, 'thumbs')}{whose}, {found.mean:.2f} on average"
        if found.votes:
            if not confirmed:
                click.confirm(f"Withdraw {said}, for good?", abort=True, err=True)
            pieces = map(of_withdrawn_votes, withdrawals(log.ask, voters, now_s, PIECE))
            rest = "thumbs are withdrawn; say it again, and the rest follows"
            delivered_all(settings, pieces, PIECE, found.votes, "withdrawing", rest)
    done = f"withdrawn: {said}" if found.votes else f"no thumbs{whose} count"
    tell({"votes": found.votes, "mean": found.mean}, done, as_json=as_json)


def _in_words(named: Mapping[str, str | None], since: str | None) -> str:
    of = ", ".join(f"{what} {name!r}" for what, name in named.items() if name is not None)
    return (f" of {of}" if of else "") + (f" since {since}" if since else "")
