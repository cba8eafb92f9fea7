"""Forget a tenant or a session: in the log, in what was learned, among stored answers.

The log is done first, piece by piece, then the policy is folded anew over what is left. Whoever is
killed in between is told so by the next `forget`, which goes on.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from app.commands.delivery import delivered_all
from app.commands.told import tell
from app.commands.training import awaits_fold, refolded
from app.figures import counted
from app.mode import beside_log
from app.processes.berth import waiting_beside
from app.settings import Settings
from app.wiring import cache_path
from jobs.forget import PIECE, stripped
from jobs.intake import FORGET, of_stripped
from policy.errors import ConfigError, InvalidInput, StoreUnavailable
from storage import snapshots
from storage.cache_file import remove
from storage.erasing import FORGOTTEN, Whose, held
from storage.reader import LogReader
from storage.spool import Spooling
from storage.stores import open_log, open_reader


def forget(settings: Settings, whose: Whose, *, confirmed: bool, as_json: bool) -> None:
    """Take them out of everything, show how far it has come, and say what there was.

    raises : InvalidInput if nobody can be called so; ConfigError if there is no log;
             StoreUnavailable
    """
    if whose.tenant == FORGOTTEN:
        raise InvalidInput(
            f"tenant is {FORGOTTEN!r}: so is called whoever is forgotten already; "
            "give the tenant of a key",
            param="tenant",
        )
    _bring_back(settings)
    with open_reader(settings.database) as log:
        there = held(log.ask, whose)
        told: dict[str, Any] = {**asdict(there), "policy_version": None}
        if there.decisions:
            if not confirmed:
                click.confirm(_asked(whose, there.decisions, there.comments), abort=True, err=True)
            _strip(settings, log, whose, there.decisions)
        if there.decisions or awaits_fold(log, FORGET):
            told["policy_version"] = version = refolded(settings, log, "forget")
            if version is not None:
                snapshots.forget_before(beside_log(settings) / "snapshots", version)
            _forget_answers(settings)
    tell(told, _in_words(whose, told), as_json=as_json)


def _bring_back(settings: Settings) -> None:
    """Bring what waits beside the log into it: it may be theirs, and would come after all is said.

    raises : StoreUnavailable if something still waits
    """
    if waiting_beside(settings) and isinstance(settings.database, Path):
        with (
            suppress(ConfigError),  # a service holds the log, and brings it by itself
            open_log(settings.database, spooling=Spooling(settings.spool_bytes)) as log,
        ):
            log.bring_back()
    if waiting := waiting_beside(settings):
        raise StoreUnavailable(
            f"{counted(waiting, 'rows')} that may be theirs wait beside the log, so nothing was "
            "forgotten: let the service bring them into it, then say it again"
        )


def _strip(settings: Settings, log: LogReader, whose: Whose, decisions: int) -> None:
    """Hand over what stays of all that is there: who goes on asking would never be done with."""
    pieces = map(of_stripped, stripped(log.ask, whose))
    rest = "decisions are stripped; say it again, and the rest follows"
    delivered_all(settings, pieces, PIECE, decisions, "forgetting", rest)


def _forget_answers(settings: Settings) -> None:
    """Delete the stored answers, unless a service holds them, which forgets them by itself."""
    if not isinstance(settings.database, str):
        try:
            with open_log(settings.database):
                remove(cache_path(beside_log(settings)))
        except ConfigError:
            return


def _in_words(whose: Whose, told: Mapping[str, Any]) -> str:
    if not told["decisions"] and told["policy_version"] is None:
        return f"there is nothing of {_named(whose)} in the log"
    left = (
        f"forgotten: {counted(told['decisions'], 'decisions')} of {_named(whose)}, with the words "
        f"of {told['transcripts']} prompts and answers, {counted(told['comments'], 'comments')}, "
        f"and who gave {counted(told['ratings'], 'ratings')}"
    )
    version = told["policy_version"]
    return left if version is None else f"{left}; policy {version} serves, and knows none of it"


def _asked(whose: Whose, decisions: int, comments: int) -> str:
    return f"Forget {decisions} decisions and {comments} comments of {_named(whose)} for ever?"


def _named(whose: Whose) -> str:
    named = (("session", whose.session), ("tenant", whose.tenant))
    return " of ".join(f"{what} {name!r}" for what, name in named if name is not None)
