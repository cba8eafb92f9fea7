"""What the log keeps no longer: taken out of it piece by piece, by the process that writes it."""

import time

import click

from app.commands.delivery import delivered
from app.commands.told import tell
from app.processes.work import overdue
from app.settings import Settings
from jobs.intake import of_expiries
from storage.stores import open_reader


def prune(settings: Settings, *, confirmed: bool, as_json: bool) -> None:
    """Take out every text and hash whose keeping time is over, and say how many there were.

    Before the first it asks: what is over is said by the settings of this shell, which may be other
    ones than those of the service that keeps the words.

    raises : ConfigError if there is no log; StoreUnavailable
    """
    gone, now_s = {"text": 0, "hash": 0}, time.time()  # what comes due meanwhile would never end
    with open_reader(settings.database) as log:
        while found := overdue(settings, log.ask, now_s):
            if not confirmed:
                click.confirm(_asked(settings), abort=True, err=True)
                confirmed = True
            delivered(settings, of_expiries(found))
            for expiry in found:
                gone[expiry.what] += 1
            click.echo(f"{sum(gone.values())} taken out ...", err=True)
    said = f"the words of {gone['text']} decisions and {gone['hash']} hashes were taken out"
    tell({"texts": gone["text"], "hashes": gone["hash"]}, said, as_json=as_json)


def _asked(settings: Settings) -> str:
    return (
        f"Take out for good what is not kept with TURNPIKE_PROMPTS={settings.prompts}, texts for "
        f"{settings.prompts_keep_days:g} days and hashes for {settings.hashes_keep_days:g}, as "
        "this shell has it? (A service with other settings may still want it.)"
    )
