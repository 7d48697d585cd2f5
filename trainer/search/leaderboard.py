"""The leaderboard: one line a trial, the best first, for people, for spreadsheets and for machines."""

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.files import replace_file
from trainer.search.plan import Plan, Trials, ranked

ASKED_FIRST = ("learning_rate", "layers", "units")
FACTS = (
    "rank",
    "trial",
    "stage",
    "log_loss",
    "validation_log_loss",
    "accuracy",
    "epochs",
    "best_epoch",
    "ending",
    "seconds",
)


def rows(plan: Plan, trials: Trials) -> list[dict[str, Any]]:
    """A mapping a trial: its rank, what it reached and how, and the values that it tried."""
    return [
        {
            "rank": rank,
            "trial": trial.index,
            "stage": plan.stage_of(trial.index) + 1,
            "log_loss": trial.log_loss if math.isfinite(trial.log_loss) else None,
            "validation_log_loss": min(trial.log_losses) if trial.best_epoch else None,
            "accuracy": trial.accuracy if trial.best_epoch else None,
            "epochs": len(trial.log_losses),
            "best_epoch": trial.best_epoch or None,
            "ending": trial.ending,
            "seconds": round(trial.seconds, 3),
            **{name: trial.values.get(name) for name in first_columns(plan, {})},
        }
        for rank, trial in enumerate(ranked(list(trials.values())), 1)
    ]


def write_csv(path: Path, plan: Plan, trials: Trials) -> None:
    """Replace the file by the leaderboard of the moment."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*FACTS, *first_columns(plan, {})], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(plan, trials))
    replace_file(path, text.getvalue())


def first_columns(plan: Plan, importances: Mapping[str, float]) -> list[str]:
    """The parameters in the order in which they are shown: what everybody asks for first, then what matters most."""
    asked = [name for name in ASKED_FIRST if name in plan.box]
    return [*asked, *(name for name in importances or plan.box if name not in asked)]


def document(name: str, plan: Plan, trials: Trials, importances: Mapping[str, float]) -> dict[str, Any]:
    """Everything about a study, for machines."""
    return {
        "study": name,
        "trials": len(trials),
        "boxes": [
            {axis: vars(plan.box_of(first, trials)[axis]) for axis in plan.box} for first in stage_starts(plan, trials)
        ],
        "importances": dict(importances),
        "leaderboard": rows(plan, trials),
    }


def stage_starts(plan: Plan, trials: Trials) -> list[int]:
    """The first trial of every stage that has begun."""
    if plan.sampler != "random" or not trials:
        return [0]
    return list(range(0, max(trials) + 1, plan.stage))
