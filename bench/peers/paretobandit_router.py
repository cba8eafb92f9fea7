"""ParetoBandit's router in the configuration of its paper's first experiment.

alpha 0.01, forgetting 0.997, adaptive budget pacer with lr 0.05 and lambda_max 5, no fixed cost
penalty, the pacer told what was really paid. Two things differ: it gets the contexts all others get
instead of its embeddings, which have to be downloaded, and so starts without its shipped priors,
which only fit those. Evals, if there are any, are learned at one time: if its clock went on with
each, as its documentation has it for batches, it would begin to forget the first of them. Where a
price is to be paid, a reward less that may be below 0: its range is set wide enough.

source : ParetoBandit 0.1.1, README and config; experiments/01_stationary_budget_pacing
"""

import json
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.worker import Beginning

TOKENS_OF_AN_ANSWER = 1_000
PACER_LR = 0.05
PACER_LAMBDA_MAX = 5.0
MTOK = 1e6


class ParetoBandit:
    """The library's BanditRouter; arms it ships with have its prices, others cost per answer."""

    def __init__(self, beginning: Beginning) -> None:
        import pareto_bandit  # not in the service's environment
        from pareto_bandit.budget_pacer import BudgetPacer, PacingMode
        from pareto_bandit.config import BEST_K3_HPARAMS
        from pareto_bandit.feature_service import FeatureService
        from pareto_bandit.types import RouterConfig

        shipped = Path(pareto_bandit.__file__).parent / "config" / "models.json"
        models = json.loads(shipped.read_text(encoding="utf-8"))["models"]
        self._shipped = {each["model_id"]: each for each in models}
        self._started_at = dict(beginning.arms)
        self._offered = list(beginning.arms)
        self._pacer: Any = None
        if beginning.budget_usd is not None:
            self._pacer = BudgetPacer(
                beginning.budget_usd, PacingMode.ADAPTIVE, lr=PACER_LR, lambda_max=PACER_LAMBDA_MAX
            )
        self._router: Any = pareto_bandit.BanditRouter.create(
            model_registry={name: self._prices(name, usd) for name, usd in beginning.arms.items()},
            feature_service=FeatureService.for_precomputed(beginning.d),
            priors="none",
            alpha=BEST_K3_HPARAMS["alpha"],
            forgetting_factor=BEST_K3_HPARAMS["forgetting_factor"],
            cost_penalty=0.0,
            budget_pacer=self._pacer,
            bandit_seed=beginning.seed,
            config=RouterConfig(reward_min=-inf),
        )

    def offer(self, arms: Mapping[str, float]) -> None:
        """Register arms that are new, and tell the prices of the others."""
        for name, usd in arms.items():
            if name in self._offered:
                self._router.update_model_pricing(name, **self._prices(name, usd))
            else:
                self._started_at[name] = usd
                self._router.register_model(name, **self._prices(name, usd))
        self._offered = list(arms)

    def choose(self, context: list[float]) -> tuple[str, float]:
        """Return what the router routes to."""
        arm, _ = self._router.route(np.array(context))
        return str(arm), 1.0

    def learn(self, arm: str, context: list[float], reward: float, propensity: float) -> None:
        """Update the bandit; the pacer is told apart, because most answers are not rated."""
        self._router.update(arm, np.array(context), reward, advance_time=False)

    def pay(self, usd: float) -> None:
        """Tell the pacer what was paid."""
        if self._pacer is not None:
            self._pacer.observe(usd)

    def _prices(self, name: str, usd: float) -> dict[str, float]:
        cost = ("input_cost_per_m", "output_cost_per_m")
        if name in self._shipped and self._started_at[name]:  # on a machine of one's own it is free
            change = usd / self._started_at[name]
            return {each: self._shipped[name][each] * change for each in cost}
        return dict.fromkeys(cost, usd / TOKENS_OF_AN_ANSWER * MTOK)
