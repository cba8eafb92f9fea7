"""Example records: complete and valid, so that a test names only what it is about."""

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from storage.records import Attempt, Decision, Eval, Outcome, PolicyVersion, Retrain
from storage.rows import plain

T = TypeVar("T")

NOON_S = 1_800_000_000.0
HOUR_S = 3600.0

DECISION = Decision(
    id="d",
    decided_at_s=NOON_S,
    tenant="acme",
    task="support",
    session=None,
    policy="thompson",
    policy_version=1,
    learned_seq=0,
    kind="routed",
    retry_of=None,
    arm="small",
    propensity=0.75,
    eligible=("small", "large"),
    propensities=(0.75, 0.25),
    quality=(0.6, 0.9),
    quality_sd=(0.1, 0.2),
    cost_usd_predicted=(0.001, 0.010),
    cached_by_arm={"small": 1_200},
    ineligible={"tiny": "the prompt is longer than its window"},
    willingness_to_pay_usd=0.02,
    explore=True,
    allowance=0.1,
    feature_version=1,
    context=np.array([0.1, -2.5, 1.0]),
    sketch=b"\x00\x01sketch",
    input_tokens_estimated=120,
    prompt_sha256="ab" * 32,
    words=90,
)

OUTCOME = Outcome(
    decision_id="d",
    at_s=NOON_S + 2,
    arm="small",
    status="ok",
    finish_reason="stop",
    model="small-2026",
    input_tokens=118,
    cached_tokens=0,
    output_tokens=40,
    usage_estimated=False,
    cost_usd=0.002,
    latency_s=1.5,
    ttft_s=0.3,
)

ATTEMPT = Attempt(
    decision_id="d",
    n=1,
    arm="small",
    started_at_s=NOON_S,
    latency_s=1.5,
    ttft_s=None,
    status="busy",
    http_status=429,
    message="slow down",
    input_tokens=0,
    cached_tokens=0,
    output_tokens=0,
    cost_usd=0.0,
)

EVAL = Eval(
    batch="b",
    at_s=NOON_S,
    prompt_sha256="cd" * 32,
    task=None,
    sketch=b"eval",
    arm="large",
    score=0.8,
)

POLICY = PolicyVersion(
    version=1,
    created_at_s=NOON_S,
    source="initial",
    feature_version=1,
    space=b"",
    hyper={"ridge": 1.5, "arms": ["small", "large"]},
)

RETRAIN = Retrain(
    id="r",
    started_at_s=NOON_S,
    ended_at_s=NOON_S + 9,
    trigger="manual",
    incumbent_version=1,
    candidate_version=None,
    promoted=False,
    reason="not enough feedback yet: 3 of 50",
    report={"ess": 2.5},
)


def but(record: T, **changes: Any) -> T:
    return dataclasses.replace(record, **changes)  # type: ignore[type-var]


def rows(records: Iterable[Any]) -> list[dict[str, Any]]:
    """Records as plain rows, which compare by value where arrays would not."""
    return [plain(record) for record in records]
