"""The page of retrains: each candidate against the policy that served, and the way back."""

import os
import subprocess
import sys
from functools import partial
from typing import Any

from structlog import get_logger

from app.processes.loop import beside
from app.wiring import Parts
from policy.errors import InvalidInput, StoreUnavailable
from policy.evaluate import Value
from policy.tuning import LOG_BAYES_FACTOR
from storage.records import Retrain

LOGGER = get_logger()
RETRAINS, VERSIONS = 20, 30
ROLLED_BACK_WITHIN_S = 90.0
HALF = 50.0


def retrains(parts: Parts, sees: str | None) -> dict[str, Any]:
    """Return what the page shows; how many ratings come in is the operator's alone."""
    learned, latest = parts.live.learned, parts.log.retrains(RETRAINS)
    serving = learned.policy_version
    versions = parts.log.lookups.versions(VERSIONS)
    seen = latest[0].report.get("upto_seq", 0) if latest else 0
    new = partial(parts.log.lookups.ratings_since, seen)
    return {
        "retrains": [_told(each) for each in latest],
        "serving": serving,
        "features_of": max(learned.space.version, 1),
        "earlier": [each for each in versions if each.version < serving],
        "new_ratings": beside(new) if sees is None else None,
        "first_outcomes": parts.settings.retrain_first_outcomes,
        "every_s": parts.settings.retrain_every_s,
        "factor_needed": LOG_BAYES_FACTOR,
    }


def roll_back(parts: Parts, version: int) -> None:
    """Serve with an earlier policy again, by the command that does so everywhere.

    It folds the whole log, which may take a while: a process of its own does that.

    raises : InvalidInput if there is no such version; StoreUnavailable if it did not come about
    """
    serving = parts.live.learned.policy_version
    if not 0 < version < serving:
        raise InvalidInput(
            f"version is {version}: it must be an earlier one than {serving}, which serves",
            param="version",
        )
    parts.log.policy_version(version)
    command = [sys.executable, "-m", "app", "rollback", str(version)]
    try:
        ended = subprocess.run(  # noqa: S603 (the one argument is a number that the log knows)
            command, env=os.environ, capture_output=True, timeout=ROLLED_BACK_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise StoreUnavailable(
            f"going back to policy {version} takes longer than {ROLLED_BACK_WITHIN_S:.0f} s: run "
            f"./run rollback {version} where the service runs"
        ) from error
    if ended.returncode != 0:
        says = ended.stderr.decode(errors="replace").strip().splitlines()
        LOGGER.error("rollback failed", code=ended.returncode, says=says[-1:])
        raise StoreUnavailable(
            f"policy {version} could not be taken up again; the service's lines say why"
        )


def _told(retrain: Retrain) -> dict[str, Any]:
    report = retrain.report
    value = {name: _value(report.get(name)) for name in ("candidate", "incumbent", "gain")}
    snips = {name: _value(report.get(f"{name}_snips")) for name in ("candidate", "incumbent")}
    return {
        "retrain": retrain,
        "took_s": retrain.ended_at_s - retrain.started_at_s,
        "rounds": report.get("rounds"),
        "value": value,
        "snips": snips,
        "bar": _bar(value["gain"]),
        "calibration": [report.get(f"{name}_calibration") for name in ("candidate", "incumbent")],
        "report": report,
    }


def _value(told: Any) -> Value | None:
    if not isinstance(told, dict) or told.get("mean") is None or told.get("se") is None:
        return None
    return Value(told["mean"], told["se"], told.get("blind") or 0.0)


def _bar(gain: Value | None) -> dict[str, float] | None:
    """Return the interval of a gain as places from 0 to 100; no gain is in the middle."""
    if gain is None:
        return None
    low, high = gain.interval
    scale = HALF / max(abs(low), abs(high), 1e-9)
    return {
        "low": HALF + low * scale,
        "mean": HALF + gain.mean * scale,
        "width": max((high - low) * scale, 0.5),
    }
