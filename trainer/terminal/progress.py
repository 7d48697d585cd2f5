"""What a person sees of one run as it goes on, and when a job is done. The only module that knows uniplot."""

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from models import terminal
from models.repository import ModelRepository
from models.terminal import label, printable, room, spelled_out, tell, wrapped
from models.wording import aligned
from trainer.data.schema import Found, Schema
from trainer.data.table import Table as TrainingTable
from trainer.data.wording import PARTICULAR, REMEDIES
from trainer.evaluation.cautions import GIVES_AWAY
from trainer.fitting.members import Watch, unwatched
from trainer.job.publishing import Outcome
from trainer.terminal.epochs import COLOUR, brief, lines
from trainer.terminal.summary import published, summary
from trainer.training.range_test import RangeTest
from trainer.training.records import Epoch

CURVE_MARGIN = 14
# Of training and validation; the contrast with black and with white is 3.8 or more.
CURVES = (COLOUR, "#d75f00")
# So many of a list are shown, and how many more there are.
SHOWN = 5
WIDE = 60
# What a person who trains need not be told, or is warned of anyway.
UNTOLD = ("nearly constant", GIVES_AWAY)


class Curve:
    """The learning curve of one run, drawn anew after every epoch on a terminal; elsewhere one line an epoch."""

    def __init__(self, console: Console, live: Live | None, watch: Watch = unwatched) -> None:
        self._console, self._live, self._watch = console, live, watch
        self._epochs: list[Epoch] = []

    def begin(self, epochs: Sequence[Epoch]) -> None:
        """Take over the epochs of a run that goes on."""
        self._epochs = list(epochs)
        self.report(f"the run goes on after epoch {len(epochs)}")

    def report(self, sentence: str) -> None:
        """Say something above the curve."""
        self._console.print(f"note: {sentence}", markup=False, highlight=False, soft_wrap=True)

    def __call__(self, member: int, members: int, epoch: Epoch) -> None:
        self._epochs.append(epoch)
        self._watch(member, members, epoch)
        if self._live is not None and len(self._epochs) > 1:
            self._live.update(
                Text.from_ansi(f"{self._drawing()}\n  epoch {epoch.number}  {brief(epoch)}"), refresh=True
            )

    def _drawing(self) -> str:
        validation = [epoch.validation.log_loss for epoch in self._epochs if epoch.validation]
        numbers = list(range(1, len(validation) + 1))
        return _plot(
            ys=[[epoch.loss for epoch in self._epochs], validation],
            xs=[numbers, numbers],
            color=list(CURVES),
            legend_labels=["training", "validation"],
            title="log-loss (nats) over epochs",
            width=max(self._console.width - CURVE_MARGIN, 20),
        )


def _plot(**options: Any) -> str:
    return str(_plotter()(**options, lines=True, character_set="braille"))


@cache
def _plotter() -> Callable[..., Any]:
    """What plots, without numba: compiled, lines of a hundred points would take seconds at first, and a second to load.

    Loaded only by who sees a curve.
    """
    name = "numba"
    loaded = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # An import of it fails, and uniplot does without.
    try:
        from uniplot import plot_to_string
    finally:
        del sys.modules[name]
        if loaded:
            sys.modules[name] = loaded
    return plot_to_string


@contextmanager
def watching_curve(*, quiet: bool = False, verbose: bool = False) -> Iterator[Curve]:
    """Show the learning curve on stderr as it grows; where nothing is drawn, what `watching` would show."""
    console = Console(stderr=True)
    if quiet or verbose or not console.is_terminal:
        with lines(console, quiet, verbose) as shown:
            yield Curve(console, None, shown.watch)
        return
    with Live(console=console, auto_refresh=False, transient=False, vertical_overflow="visible") as live:
        yield Curve(console, live)


def show(outcome: Outcome, repository: ModelRepository, *, quiet: bool = False) -> None:
    """Print what to be warned of on stderr, then the closing summary on stdout; `quiet` only where the model is."""
    for sentence in () if quiet else _notes(outcome.schema, UNTOLD):
        tell("note", sentence)
    for sentence in outcome.warnings:
        tell("warning", sentence)
    terminal.show(published(outcome, repository) if quiet else summary(outcome, repository, room()))


def show_schema(name: str, table: TrainingTable, schema: Schema) -> None:
    """Print on stdout how a table is read, column by column, and what is remarkable about it."""
    examples, width = table.examples, room()
    counts = np.bincount(examples.labels, minlength=len(examples.classes))
    ranks = np.argsort(-counts, kind="stable")
    classes = [f"{label(examples.classes[place], 40)} {counts[place]}" for place in ranks]
    left_out = f"; {table.rows_without_target} more have no target" if table.rows_without_target else ""
    print(f"{_brief_name(name)}: {len(examples)} rows{left_out}")
    print("\n".join(wrapped(f"{_brief_name(schema.target)}, the target: {_some(classes, SHOWN)}", width)), end="\n\n")
    if schema.read_as:
        print("\n".join(wrapped(f"read as: {printable(schema.read_as, 1000)}", width, hanging=2)), end="\n\n")
    rows = [("column", "kind", "different", "missing", "values"), *_column_lines(schema)]
    print("\n".join(f"  {line}" for line in aligned(rows, left=2, width=width - 2)), end="\n\n")
    for sentence in _notes(schema):
        print("\n".join(f"  {line}" for line in wrapped(sentence, width - 2, hanging=2)))


def _column_lines(schema: Schema) -> Iterator[tuple[str, ...]]:
    """A line a column; in a wide table, a line for all columns of a kind that follow each other."""
    if len(schema.columns) <= WIDE:
        for name, column in schema.columns.items():
            yield (_brief_name(name), column.kind, *_column_cells(column.found))
        return
    for kind, run in groupby(schema.columns, key=lambda name: schema.columns[name].kind):
        names = list(run)
        if len(names) == 1:
            yield (_brief_name(names[0]), kind, *_column_cells(schema.columns[names[0]].found))
        else:
            first, last = (printable(name, 20) for name in (names[0], names[-1]))
            yield (f"{first} … {last}, {len(names)} columns", kind, "", "", "")


def _column_cells(found: Found | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    values = ""
    if found.categories is not None:
        values = _some([_brief_name(text) for text in found.categories], SHOWN)
    elif found.earliest is not None:
        values = f"{found.earliest} to {found.latest}"
    elif found.minimum is not None:
        values = f"{found.minimum:.7g} to {found.maximum:.7g}"
    return str(found.different), str(found.missing), values


def _brief_name(name: str) -> str:
    return printable(name, 40)


def _some(words: Sequence[str], most: int) -> str:
    shown = ", ".join(words[:most])
    return f"{shown} and {len(words) - most} more" if len(words) > most else shown


def _notes(schema: Schema, without: tuple[str, ...] = ()) -> Iterator[str]:
    """A sentence a rule, with the columns that it was found in."""
    for rule, columns in schema.remarks().items():
        if rule.startswith(without):
            continue
        names = [_brief_name(name) for name in columns if name]
        dropped = shlex.quote(spelled_out(next(iter(columns))))
        particulars = printable(next(iter(columns.values())), 120) if len(columns) == 1 else ""
        if rule in PARTICULAR and len(columns) > 1:
            names = [f"{_brief_name(name)} ({printable(found, 80)})" for name, found in columns.items()]
        found = f"{rule}: {_some(names, SHOWN)}" if names else rule
        remedy = REMEDIES[rule].replace("COLUMN", dropped)
        yield found + (f" ({particulars})" if particulars else "") + f"; {remedy}"


def show_range_test(test: RangeTest) -> None:
    """Draw the training loss over the learning rate on stdout, the suggested rate as a line, and say it."""
    print(
        _plot(
            ys=test.losses,
            xs=test.rates,
            x_as_log=True,
            x_gridlines=[test.suggestion],
            y_gridlines=[],
            color=False,
            title="training loss (nats) over learning rate",
        )
    )
    print(f"Suggested: --learning-rate {test.suggestion:.1g}")
