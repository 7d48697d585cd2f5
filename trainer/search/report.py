"""The report of a search: one HTML file that needs nothing beside it."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from trainer.files import replace_file, text_of
from trainer.report.page import document, facts, section, table
from trainer.search import charts, leaderboard
from trainer.search.charts import Ranks
from trainer.search.plan import FEWEST_TO_WEIGH, Plan, Trial, Trials
from trainer.settings.config import TrainingConfig

SHOWN = 25


def write(
    path: Path, config: TrainingConfig, plan: Plan, trials: Trials, importances: Mapping[str, float], winner: str
) -> None:
    """Replace the file by the report of the moment; `winner` is the command that trains with the best settings."""
    replace_file(path, page(config, plan, trials, importances, winner))


def page(config: TrainingConfig, plan: Plan, trials: Trials, importances: Mapping[str, float], winner: str) -> str:
    """The report as text."""
    ranks = Ranks(trials)
    title = f"{config.name}: a search on {text_of(config.table)}"
    if not ranks.order:
        return document(title, ['<p class="lead">No trial has come to a result yet.</p>'])
    stages = [plan.box_of(first, trials) for first in leaderboard.stage_starts(plan, trials)]
    sections = [
        _facts(trials, ranks.order[0]),
        section(
            "Trials over time",
            "Each dot is a trial; hollow ones were stopped early. The line is the best so far. Everywhere "
            "in this report the <b class='best'>best trial</b> and the <b class='fifth'>best fifth</b> have their "
            "colours, and a trial under the pointer tells its values.",
            charts.course(plan, ranks),
        ),
        section(
            "From coarse to fine",
            "The range that each stage drew from, on the parameter's own scale: the hull of the best fifth of all "
            "stages before it.",
            charts.boxes(plan, ranks, stages, importances),
        ),
        section(
            "Parallel coordinates",
            "The most important hyperparameters on the left, the log-loss on the right: lower is "
            "better. Where coloured lines run together lies what works.",
            charts.parallel(plan, ranks, importances),
        ),
        *_what_matters(trials, importances),
        section(
            "Learning curves",
            "Validation log-loss by epoch. At a rung of successive halving a trial continues if it is among the best "
            "third of the trials that reached the rung well before it.",
            charts.curves(plan, ranks),
        ),
        section("Leaderboard", "", _table(plan, trials)),
        section(
            "Reproduction",
            "The settings of the best trial, with those fixed by a flag.",
            f'<code class="block">{escape(winner)}</code>',
        ),
    ]
    return document(title, sections)


def _what_matters(trials: Trials, importances: Mapping[str, float]) -> list[str]:
    if not importances:
        return [
            section(
                "Importance of the hyperparameters", f"{len(trials)} trials are too few; it takes {FEWEST_TO_WEIGH}."
            )
        ]
    explanation = "How much each parameter tells the best tenth from the others (PED-ANOVA, Watanabe et al. 2023)."
    return [section("Importance of the hyperparameters", explanation, charts.importance(importances))]


def _facts(trials: Trials, best: Trial) -> str:
    endings = [trial.ending for trial in trials.values()]
    values = {
        "best log-loss": f"{best.log_loss:.4f}",
        "its accuracy": f"{best.accuracy:.4f}",
        "its trial": str(best.index),
        "trials": str(len(trials)),
        "stopped early": str(endings.count("stopped")),
        "diverged": str(endings.count("diverged")),
        "seconds of training": f"{sum(trial.seconds for trial in trials.values()):.0f}",
    }
    return facts(values)


def _table(plan: Plan, trials: Trials) -> str:
    rows = leaderboard.rows(plan, trials)[:SHOWN]
    best = next((place for place, row in enumerate(rows) if row["rank"] == 1), None)
    head = [name.replace("_", " ") for name in rows[0]]
    return table(head, (list(map(_cell, row.values())) for row in rows), best=best)


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
