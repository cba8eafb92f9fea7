"""Retrain and roll back from the command line: read the log, hand the result to its writer."""

import time
from collections.abc import Callable
from pathlib import Path

import click

from app.settings import Settings
from app.wiring import data_folder
from jobs.intake import hand_over_policy, hand_over_retrain, records
from jobs.learned import Learned
from jobs.retrain import retrain as fit_and_judge
from policy.errors import ConfigError, InvalidInput
from storage.handover import pending, take
from storage.records import PolicyVersion, RetrainTrigger
from storage.sqlite_log import SqliteLog
from storage.sqlite_reader import SqliteReader

TAKEN_WITHIN_S = 30.0
POLL_S = 0.1


def retrain(settings: Settings, trigger: RetrainTrigger) -> None:
    """Fit a candidate, hand it over with the verdict, and say what came of it.

    raises : InvalidInput before the first start; StoreUnavailable
    """
    click.echo("fitting and judging a candidate ...", err=True)
    with SqliteReader(settings.database) as log:
        result = fit_and_judge(log, trigger, time.time, settings.retrain_first_outcomes)
    delivered(settings, lambda data: hand_over_retrain(data, result))
    verdict = "promoted" if result.retrain.promoted else "kept the incumbent"
    took_s = result.retrain.ended_at_s - result.retrain.started_at_s
    click.echo(f"{verdict}: {result.retrain.reason} ({took_s:.1f} s)")


def rollback(settings: Settings, version: int | None) -> None:
    """Adopt an earlier policy again, under a new version number, folded over the whole log.

    raises : InvalidInput if there is no such version
    """
    with SqliteReader(settings.database) as log:
        latest = log.latest_policy()
        if latest is None or latest.version == 1:
            raise InvalidInput("there is no earlier policy version to go back to", param="version")
        wanted = log.policy_version(latest.version - 1 if version is None else version)
        policy = _renewed(wanted, latest.version + 1)
        position = log.position()
        click.echo(f"folding {position} events under policy {wanted.version} ...", err=True)
        learned = Learned.start(policy).fold(log.events(0, position))
    delivered(settings, lambda data: hand_over_policy(data, policy, learned))
    click.echo(f"policy {policy.version} serves: it is version {wanted.version} again")


def delivered(settings: Settings, hand_over: Callable[[Path], str]) -> None:
    """Hand something over, and return when it is in the log; without a service, write it here.

    raises : ConfigError if nobody took it in time; InvalidInput if it was rejected
    """
    data = data_folder(settings)
    identity = hand_over(data)
    give_up_at = time.monotonic() + TAKEN_WITHIN_S
    while any(identity in path.name for path in pending(data / "handover")):
        _take_here(settings, data)
        if time.monotonic() > give_up_at:
            raise ConfigError(f"nobody took {identity} from {data / 'handover'}; is serve running?")
        time.sleep(POLL_S)
    if list((data / "handover" / "rejected").glob(f"{identity}*")):
        raise InvalidInput("it was rejected; the lines of the service say why")


def _take_here(settings: Settings, data: Path) -> None:
    """Write what waits, if no service holds the log."""
    try:
        log = SqliteLog(settings.database)
    except ConfigError:
        return  # the service holds it, and takes the parcel within a second
    with log:
        take(data / "handover", log, records, time.time())


def _renewed(policy: PolicyVersion, version: int) -> PolicyVersion:
    return PolicyVersion(
        version=version,
        created_at_s=time.time(),
        source="rollback",
        feature_version=policy.feature_version,
        space=policy.space,
        hyper=policy.hyper,
    )
