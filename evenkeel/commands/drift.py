"""`drift NAME [VERSION]`: whether the rows that a running service answers still follow the training distribution."""

import argparse
from collections.abc import Iterator
from typing import Any

from evenkeel.commands.asking import LONGEST_SUMMARY, add_question
from evenkeel.commands.bars import Bar, bars
from models.terminal import printable

# Of the features, so many are listed, the furthest first.
MOST_LISTED = 20
HEADER = ("feature", "status", "chance", "missing", "outside", "PSI")


def add_drift(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command `drift`."""
    add_question(
        commands,
        "drift",
        "show whether live rows still follow the training distribution",
        "PSI is the population stability index; chance alone stays below the number under chance; outside are "
        "categories unseen in training and numbers far outside its range.",
        _lines,
    )


def _lines(told: Any) -> Iterator[str]:
    model = told["model"]
    yield f"{printable(model['name'], 64)} version {model['version']}, {told['training_rows']} training rows"
    yield printable(told["summary"], LONGEST_SUMMARY)
    if sets := told.get("sets"):
        yield f"sets: {printable(sets['summary'], LONGEST_SUMMARY)}"
    features = [dict(told["predictions"], feature="predicted classes"), *told["features"]]
    for at, window in enumerate(told["windows"]):
        yield ""
        needed = f" (steady takes {window['rows_needed']})" if window["rows"] < window["rows_needed"] else ""
        yield f"{printable(window['name'], 64)}: {window['rows']} rows{needed}"
        if not window["rows"]:
            continue
        listed = sorted(features, key=lambda one: one["windows"][at]["psi"], reverse=True)
        yield from bars(HEADER, [_bar(one["feature"], one["windows"][at]) for one in listed[:MOST_LISTED]])
        if len(listed) > MOST_LISTED:
            yield f"  and {len(listed) - MOST_LISTED} more, whose PSI is lower"


def _bar(name: str, measure: Any) -> Bar:
    outside = measure.get("unseen", measure.get("far_outside", 0.0))
    status = "few rows" if measure["status"] == "too_few_rows" else measure["status"]
    texts = (name, status, f"{measure['band']:.3f}", f"{measure['missing']:.1%}", f"{outside:.1%}")
    return Bar(texts, f"{measure['psi']:.3f}", measure["psi"])
