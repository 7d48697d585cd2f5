"""The leaderboard: one line a trial, the best first, for people, for spreadsheets and for machines."""

import csv
import io
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.config import TrainingConfig
from trainer.files import replace_file
from trainer.search import space
from trainer.search.plan import Plan, Trial, Trials, ranked

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
            **{name: trial.values.get(name) for name in plan.box},
        }
        for rank, trial in enumerate(ranked(list(trials.values())), 1)
    ]


def write_csv(path: Path, plan: Plan, trials: Trials) -> None:
    """Replace the file by the leaderboard of the moment."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*FACTS, *plan.box], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(plan, trials))
    replace_file(path, text.getvalue())


def command(config: TrainingConfig, trial: Trial) -> str:
    """The command that trains a trial again, but for settings that are the same for all trials."""
    settings = space.settings(trial.values)
    if "hidden" in settings:
        units = settings["hidden"]
        assert isinstance(units, tuple)
        settings["hidden"] = ",".join(map(str, units))
    flags = " ".join(f"--{name.replace('_', '-')} {shlex.quote(_spelled(value))}" for name, value in settings.items())
    where = f"{shlex.quote(str(config.table))} --target {shlex.quote(config.target)} --name {config.name}"
    return f"python -m trainer fit {where} {flags}"


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


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
