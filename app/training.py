"""Retrain and roll back from the command line: read the log, hand the result to its writer."""

import time
from contextlib import AbstractContextManager
from functools import partial

import click

from app.delivery import delivered
from app.settings import Settings
from app.wiring import data_folder
from jobs.intake import hand_over_policy, hand_over_retrain
from jobs.learned import Learned
from jobs.refold import Fold, LogSource, Watches, folding, followed
from jobs.retrain import retrain as fit_and_judge
from policy.errors import InvalidInput
from storage.log import ReadableLog
from storage.records import PolicyVersion, RetrainTrigger
from storage.sqlite_reader import SqliteReader


def retrain(settings: Settings, trigger: RetrainTrigger) -> None:
    """Fit a candidate, hand it over with the verdict, and say what came of it.

    raises : InvalidInput before the first start; StoreUnavailable
    """
    click.echo("fitting and judging a candidate ...", err=True)
    with SqliteReader(settings.database) as log, _folding(settings, log) as fold:
        result = fit_and_judge(log, trigger, time.time, settings.retrain_first_outcomes, fold)
    made = result.retrain
    delivered(settings, lambda data: hand_over_retrain(data, made, result.policy, result.learned))
    verdict = "promoted" if made.promoted else "kept the incumbent"
    took_s = made.ended_at_s - made.started_at_s
    click.echo(f"{verdict}: {made.reason} ({took_s:.1f} s)")


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
        with _folding(settings, log) as fold:
            learned = fold(Learned.start(policy), position)
    delivered(settings, lambda data: hand_over_policy(data, policy, learned))
    click.echo(f"policy {policy.version} serves: it is version {wanted.version} again")


def _folding(settings: Settings, log: ReadableLog) -> AbstractContextManager[Fold]:
    """Return how the log is folded; the changes of arms are those the service has found."""
    source = LogSource(partial(SqliteReader, settings.database.absolute()))
    snapshots = data_folder(settings) / "snapshots"

    def watches() -> Watches:
        policy = log.latest_policy()
        return {} if policy is None else followed(snapshots, Learned.start(policy))

    return folding(log, source, settings.dask, watches)


def _renewed(policy: PolicyVersion, version: int) -> PolicyVersion:
    return PolicyVersion(
        version=version,
        created_at_s=time.time(),
        source="rollback",
        feature_version=policy.feature_version,
        space=policy.space,
        hyper=policy.hyper,
    )
