"""Withdraw what somebody rated in bad faith: revoked vote by vote, then as if it was never given.

What a vote has taught is unlearned as it is revoked, by every process. What was found by it, such
as that an arm has changed, goes as the log is folded anew without it. Whoever is killed in between
says it again. What a retrain has chosen by those votes meanwhile stays until the next one.
"""

import time
from collections.abc import Mapping

import click

from app.commands.delivery import delivered, delivered_all
from app.commands.exporting import ALWAYS_S, moment_s
from app.commands.keys import key_of
from app.commands.told import tell
from app.commands.training import awaits_fold, refolded
from app.figures import counted
from app.settings import Settings
from jobs.intake import DISTRUST, of_distrusted, of_withdrawn_votes
from storage.reader import LogReader
from storage.records import Voters
from storage.stores import open_reader
from storage.votes import Cast, cast, taken_back, withdrawals

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
    """Withdraw all their votes, show how far that has come, and say how many of them counted.

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
        found, back, version = cast(log.ask, voters), taken_back(log.ask, voters), None
        said = f"{counted(found.votes, 'thumbs')}{whose}, {found.mean:.2f} on average"
        said += f", and {back} that were taken back" if back else ""
        if is_new := found.votes + back > 0:
            if not confirmed:
                click.confirm(f"Withdraw {said}, for good?", abort=True, err=True)
            _withdraw(settings, log, voters, found, now_s)
        if is_new or awaits_fold(log, DISTRUST):
            version = refolded(settings, log, "distrust")
    done = f"withdrawn: {said}" if is_new else f"no thumbs{whose} count"
    done += "" if version is None else f"; policy {version} serves"
    tell(
        {"votes": found.votes, "mean": found.mean, "policy_version": version}, done, as_json=as_json
    )


def _withdraw(
    settings: Settings, log: LogReader, voters: Voters, found: Cast, now_s: float
) -> None:
    if found.votes:
        pieces = map(of_withdrawn_votes, withdrawals(log.ask, voters, now_s, PIECE))
        rest = "thumbs are withdrawn; say it again, and the rest follows"
        delivered_all(settings, pieces, PIECE, found.votes, "withdrawing", rest)
    delivered(settings, of_distrusted(voters))


def _in_words(named: Mapping[str, str | None], since: str | None) -> str:
    of = ", ".join(f"{what} {name!r}" for what, name in named.items() if name is not None)
    return (f" of {of}" if of else "") + (f" since {since}" if since else "")
