"""The report of a search: one HTML file that needs nothing beside it."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from trainer.config import TrainingConfig
from trainer.files import replace_file, text_of
from trainer.search import charts, leaderboard
from trainer.search.charts import Ranks
from trainer.search.plan import FEWEST_TO_WEIGH, Plan, Trial, Trials

SHOWN = 25
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #66707f; --paper: #fbfaf7; --card: #ffffff; --line: #e4e2dc;
  --best: #d9480f; --fifth: #1f6f8b; --rest: #9aa3ad; --s0: #e8eef1; --s1: #cfe0e6; --s2: #b3d0da; --s3: #93bdcb;
  --s4: #71a9bb; --s5: #4f93a9; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #98a2af; --paper: #14181d; --card: #1b2027;
  --line: #2c333c; --best: #ff8a4c; --fifth: #63b3cf; --rest: #59636f; --s0: #222a32; --s1: #24363f; --s2: #26434f;
  --s3: #28505f; --s4: #2a5d70; --s5: #2c6b81; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1040px; padding: 40px 24px 80px; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif }
h1 { font-size: 28px; letter-spacing: -0.02em; margin: 0 } h2 { font-size: 17px; margin: 44px 0 2px }
p { color: var(--soft); margin: 2px 0 12px; max-width: 74ch } p.lead { font-size: 16px }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px; overflow-x: auto }
dl { display: flex; flex-wrap: wrap; gap: 10px 36px; margin: 22px 0 0 } dt { color: var(--soft); font-size: 13px }
dd { margin: 0; font-size: 22px; font-variant-numeric: tabular-nums; letter-spacing: -0.01em }
svg { display: block; width: 100%; min-width: 640px; height: auto; font-size: 12px; font-family: inherit }
svg text { fill: var(--ink) } svg .small { fill: var(--soft); font-size: 11px } svg .name { font-weight: 600 }
svg .halo { paint-order: stroke; stroke: var(--card); stroke-width: 3px }
svg .grid { stroke: var(--line) } svg .axis { stroke: var(--soft) } svg .stage-line { stroke: var(--soft);
  stroke-dasharray: 2 4 } svg .so-far { fill: none; stroke: var(--best); stroke-width: 1.5; opacity: .65 }
circle.best { fill: var(--best) } circle.fifth { fill: var(--fifth) } circle.rest { fill: var(--rest); opacity: .75 }
circle.hollow { fill: var(--card); stroke: var(--rest); stroke-width: 1.4 } circle.hollow.fifth { stroke: var(--fifth) }
circle.stop { fill: var(--rest) }
.trial { fill: none; stroke-linejoin: round } .trial.best { stroke: var(--best); stroke-width: 2.6 }
.trial.fifth { stroke: var(--fifth); stroke-width: 1.5; opacity: .85 } .trial.rest { stroke: var(--rest); opacity: .38 }
.trial.faint { opacity: .2 } .trial:hover { stroke: var(--ink); stroke-width: 3; opacity: 1 }
rect.bar { fill: var(--fifth) } .stage-0 { fill: var(--s0) } .stage-1 { fill: var(--s1) } .stage-2 { fill: var(--s2) }
.stage-3 { fill: var(--s3) } .stage-4 { fill: var(--s4) } .stage-5 { fill: var(--s5) }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; white-space: nowrap }
th, td { text-align: right; padding: 5px 12px 5px 0 } th { color: var(--soft); font-weight: 500 }
tr + tr td { border-top: 1px solid var(--line) } tr.best td { color: var(--best); font-weight: 600 }
code { display: block; background: var(--s0); border-radius: 8px; padding: 12px 14px; font-size: 13px;
  overflow-wrap: anywhere } b.best { color: var(--best) } b.fifth { color: var(--fifth) }
"""


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
        return _document(title, ["<p class=lead>No trial has come to a result yet.</p>"])
    stages = [plan.box_of(first, trials) for first in leaderboard.stage_starts(plan, trials)]
    sections = [
        _facts(trials, ranks.order[0]),
        _section(
            "The course of it",
            "Each dot is a trial; hollow ones were stopped early. The line is the best so far. Everywhere in this "
            "report the <b class=best>best trial</b> and the <b class=fifth>best fifth</b> have their colours, and a "
            "trial under the pointer tells its values.",
            charts.course(plan, ranks),
        ),
        _section(
            "From coarse to fine",
            "The range that each stage drew from, on the parameter's own scale: the hull of the best fifth of all "
            "stages before it.",
            charts.boxes(plan, ranks, stages, importances),
        ),
        _section(
            "Every trial, every value",
            "Parallel coordinates, the parameters that matter most on the left, the log-loss on the right: lower is "
            "better. Where coloured lines run together lies what works.",
            charts.parallel(plan, ranks, importances),
        ),
        *_what_matters(trials, importances),
        _section(
            "Learning curves",
            "Validation log-loss after each epoch. At a rung a trial goes on if it is among the best third of those "
            "that came there well before it.",
            charts.curves(plan, ranks),
        ),
        _section("Leaderboard", "", _table(plan, trials)),
        _section(
            "The best once more",
            "The very same settings, those that were fixed by a flag included.",
            f"<code>{escape(winner)}</code>",
        ),
    ]
    return _document(title, sections)


def _what_matters(trials: Trials, importances: Mapping[str, float]) -> list[str]:
    if not importances:
        return [f"<h2>What matters</h2><p>{len(trials)} trials are too few to say: it takes {FEWEST_TO_WEIGH}.</p>"]
    explanation = "How much each parameter tells the best tenth from the others (PED-ANOVA, Watanabe et al. 2023)."
    return [_section("What matters", explanation, charts.importance(importances))]


def _document(title: str, sections: list[str]) -> str:
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><h1>{escape(title)}</h1>{''.join(sections)}</html>\n"
    )


def _section(heading: str, explanation: str, content: str) -> str:
    return f"<h2>{heading}</h2><p>{explanation}</p><section>{content}</section>"


def _facts(trials: Trials, best: Trial) -> str:
    endings = [trial.ending for trial in trials.values()]
    facts = {
        "best log-loss": f"{best.log_loss:.4f}",
        "its accuracy": f"{best.accuracy:.4f}",
        "its trial": str(best.index),
        "trials": str(len(trials)),
        "stopped early": str(endings.count("stopped")),
        "diverged": str(endings.count("diverged")),
        "seconds of training": f"{sum(trial.seconds for trial in trials.values()):.0f}",
    }
    return "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items()) + "</dl>"


def _table(plan: Plan, trials: Trials) -> str:
    rows = leaderboard.rows(plan, trials)[:SHOWN]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in rows[0])
    lines = (
        f"<tr{' class=best' if row['rank'] == 1 else ''}>"
        + "".join(f"<td>{escape(_cell(value))}</td>" for value in row.values())
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
