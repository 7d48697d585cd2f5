"""`explain NAME [ROW]`: which columns a model goes by, or what each value of one row adds to its answer."""

import argparse
import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evenkeel.commands.bars import Bar, bars
from evenkeel.scoring.local import LocalModel, parsed
from evenkeel.scoring.row import record_of
from models.figures import figures_of
from models.repository import ModelRepository
from models.terminal import add_command, add_model, label, print_json, printable
from models.wording import command_on
from trainer.errors import InvalidSetting

# So many bars are drawn; the others are summed up.
MOST_BARS, MOST_NAMED = 20, 10
REFERENCES = ("typical", "background")


def add_explain(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command `explain`."""
    explain = add_command(
        commands,
        "explain",
        explain_model,
        "show which columns a model goes by, or why one row is answered as it is",
        examples=("penguins", "penguins --table examples/penguins.csv --row 5"),
        epilog="Without a row: by how much the test rows are answered worse when a column is shuffled. Of a row: "
        "Shapley values against a reference row; they sum to the answer. No service is needed. docs/explaining.md says "
        "what these numbers are, and what they are not. Exit codes: 0 done, 64 usage, 65 unfit row, table or model, 66 "
        "no table.",
    )
    add_model(explain, flag=True)
    explain.add_argument("row", nargs="?", help="row as JSON: a record {feature: value}, or values in order")
    explain.add_argument("--table", type=Path, metavar="FILE", help="table to take the row from")
    explain.add_argument("--row", dest="number", type=int, metavar="N", help="number of the row, from 1")
    explain.add_argument(
        "--reference",
        metavar="ROW",
        help="reference row: typical, background, or a row as JSON (default: typical)",
    )
    explain.add_argument("--json", action="store_true", help="print JSON, as the service answers to :explain")


def explain_model(repository: ModelRepository, options: argparse.Namespace) -> None:
    """Print the importance of a model's columns, or the explanation of one row.

    :raises InvalidSetting: what is asked for cannot be.
    :raises TrainerError: the table or its row cannot be read as the training table was.
    :raises ModelError: there is no such version, or it is not intact.
    :raises UnfitRow: the row, or what it is held against, is none of the model's.
    """
    version = options.version or repository.serving_version(options.name)
    if (options.table is None) != (options.number is None):
        raise InvalidSetting("--table and --row belong together: a file, and which of its rows, from 1")
    if options.row is not None and options.table is not None:
        raise InvalidSetting("the row is given twice: as JSON, or by --table and --row; leave one out")
    if options.row is None and options.table is None:
        if options.reference is not None or options.json:
            raise InvalidSetting("--reference and --json need a row: give one as JSON, or by --table and --row")
        print("\n".join(_importance(repository, options.name, version)))
        return
    model = LocalModel(repository.read(options.name, version))
    row = _given(options.row, "ROW") if options.table is None else record_of(options.table, options.number, model.card)
    reference = options.reference
    if reference is not None and reference not in REFERENCES:
        reference = _given(reference, "--reference")
    answer = model.explain(row, reference)
    if options.json:
        print_json(json.dumps(answer, ensure_ascii=False))
    else:
        print("\n".join(_reasons(model, row, reference, answer["explanation"])))


def _given(text: str, what: str) -> Any:
    """The row that a JSON text stands for.

    :raises InvalidSetting: it is none, such as the name of a file.
    """
    if text.lstrip()[:1] in ("{", "["):
        return parsed(text, what)
    shown = printable(text, 60)
    if what == "ROW" and Path(text).is_file():
        way = f"say --table {shlex.quote(shown)} --row 1 for its first row"
        raise InvalidSetting(f"{what} is a row as JSON, and {shown} is a file; {way}")
    way = "write {feature: value}, or [value, …] in order" + (", or typical or background" if what != "ROW" else "")
    raise InvalidSetting(f"{what} is a row as JSON, not {shown!r}; {way}")


def _importance(repository: ModelRepository, name: str, version: int) -> Iterator[str]:
    figures = figures_of(repository, name, version)
    if figures is None or not figures.importance:
        raise InvalidSetting(
            f"{name} version {version} was published without figures, in which its importances stand: publish it again "
            f"with {command_on(repository, 'fit')}, without --no-report; or give a row to explain"
        )
    yield f"{name}, version {version}: by how many nats the log-loss of {figures.rows} test rows rises"
    yield "when a column is shuffled among them; with the 95 % interval"
    yield ""
    rows = [
        Bar((one.feature,), f"{one.mean:+.4f}  {one.interval[0]:+.4f} to {one.interval[1]:+.4f}", one.mean)
        for one in figures.importance
    ]
    yield from bars(("column", "rise"), rows[:MOST_BARS])
    if len(rows) > MOST_BARS:
        yield f"  and {len(rows) - MOST_BARS} more of at most {rows[MOST_BARS].value:+.4f}"


def _reasons(model: LocalModel, row: Any, reference: Any, found: Mapping[str, Any]) -> Iterator[str]:
    card, answer = model.card, label(found["label"], 40)
    names = [feature.name for feature in card.features]
    given = row if isinstance(row, dict) else dict(zip(names, row, strict=True))
    held = card.typical if reference in (None, "typical") else None if reference == "background" else reference
    held = dict(zip(names, held, strict=True)) if isinstance(held, list) else held
    yield f"{card.name}, version {model.version}: {answer}, probability {found['probability']:.4f}"
    against = _against(reference, len(card.background))
    yield f"{against} it has {found['reference_probability']:.4f}; what the values of this row add to that:"
    yield ""
    errors = found.get("standard_errors", {})
    order = sorted((name for name in names if found["values"][name]), key=lambda name: -abs(found["values"][name]))
    rows = [
        Bar(
            (name, _spelled(given[name]), *([] if held is None else [_spelled(held[name])])),
            f"{_signed(found['values'][name])}{f' ± {errors[name]:.4f}' if errors else ''}",
            found["values"][name],
        )
        for name in order
    ]
    if rows:
        yield from bars(("feature", "value", *([] if held is None else ["instead of"]), "adds"), rows[:MOST_BARS])
    if len(rows) > MOST_BARS:
        yield f"  and {len(rows) - MOST_BARS} others, {_signed(sum(one.value for one in rows[MOST_BARS:]))} together"
    if alike := [printable(name, 40) for name in names if name not in order]:
        more = f" and {len(alike) - MOST_NAMED} more" if len(alike) > MOST_NAMED else ""
        yield f"  adding nothing: {', '.join(alike[:MOST_NAMED])}{more}"
    for warning in found.get("warnings", []):
        yield f"warning: {printable(warning['feature'], 40)}: {warning['message']}"


def _against(reference: Any, rows: int) -> str:
    if reference in (None, "typical"):
        return "In the typical row"
    return f"In the mean of {rows} background rows" if reference == "background" else "In the reference"


def _signed(value: float) -> str:
    text = f"{value:+.4f}"
    return text if float(text) else text[1:]


def _spelled(value: Any) -> str:
    """A value as one would type it."""
    if value is None:
        return "missing"
    return f"{value:.7g}" if isinstance(value, float) else str(value)
