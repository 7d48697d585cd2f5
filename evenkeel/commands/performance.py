"""`performance NAME [VERSION]`: how good a served version is now, by what its answers let expect and by labels."""

import argparse
from collections.abc import Iterator
from typing import Any

from evenkeel.commands.asking import LONGEST_SUMMARY, add_question
from models.terminal import printable

HEADER = ("", "rows", "accuracy", "95 % interval", "log-loss", "calibration")
# Classes of a confusion that fit a terminal.
MOST_CLASSES = 8
LONGEST_CLASS = 12


def add_performance(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command `performance`."""
    add_question(
        commands,
        "performance",
        "show accuracy as tested, as expected of live rows, and by labels",
        "expected: what the probabilities of all live answers promise, without labels; it follows rows that "
        "shift, and sees no changed rule. labelled: answers whose true class was sent to POST /v1/feedback; promised: "
        "what the probabilities of these promise.",
        _lines,
    )


def _lines(told: Any) -> Iterator[str]:
    model = told["model"]
    yield f"{printable(model['name'], 64)} version {model['version']}"
    yield printable(told["summary"], LONGEST_SUMMARY)
    yield ""
    yield _row(HEADER)
    yield _figures("test", told["test"])
    for window in told["windows"]:
        yield ""
        yield f"{printable(window['name'], 64)}:"
        yield _figures("expected", window["expected"])
        if not window["live"]["rows"]:
            yield f"  no labels: POST /v1/feedback takes them, {window['labels_needed']} tell"
            continue
        yield _figures("labelled", window["live"])
        yield _figures("promised", window["promised"])
        yield f"  as labelled it may be as low as {window['chance_accuracy']:.1%} by chance alone"
    last = told["windows"][-1]
    if last["live"]["rows"] and len(last["confusion"]["labels"]) <= MOST_CLASSES:
        yield from ("", f"labels of the {printable(last['name'], 64)}, in lines, and what was answered:")
        yield from _confusion(last["confusion"])


def _figures(name: str, one: Any) -> str:
    interval = one.get("accuracy_interval")
    error = one.get("calibration_error")
    cells = (
        name,
        str(one["rows"]),
        "–" if one["accuracy"] is None else f"{one['accuracy']:.1%}",
        "" if interval is None else f"{interval[0]:.1%} – {interval[1]:.1%}",
        "–" if one["log_loss"] is None else f"{one['log_loss']:.4f}",
        "" if error is None else f"{error:.4f}",
    )
    return _row(cells)


def _row(cells: tuple[str, ...]) -> str:
    first, rows, accuracy, interval, log_loss, error = cells
    return f"  {first:<10}{rows:>9}{accuracy:>10}{interval:>17}{log_loss:>10}{error:>13}".rstrip()


def _confusion(told: Any) -> Iterator[str]:
    names = [printable(name, LONGEST_CLASS) for name in told["labels"]]
    width = max(map(len, names))
    yield f"  {'':<{width}}" + "".join(f"  {name:>{max(len(name), 5)}}" for name in names)
    for name, counts in zip(names, told["counts"], strict=True):
        cells = (f"  {count:>{max(len(other), 5)}}" for count, other in zip(counts, names, strict=True))
        yield f"  {name:<{width}}" + "".join(cells)
