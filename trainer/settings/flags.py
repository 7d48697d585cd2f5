"""The flags that say what to train on and how, one a setting, made from the settings themselves."""

import argparse
import os
from functools import partial
from typing import Any, Literal, get_args, get_origin

from models.remote import opened
from models.repository import ModelRepository
from models.terminal import tell
from trainer.errors import InvalidSetting
from trainer.settings.config import TrainingConfig

Flags = argparse._ArgumentGroup  # noqa: SLF001

MOST_COUNTED = 1_000_000
# The settings that are shown under other headings than "training".
SPLIT = ("validation", "test", "coverage_rows", "seed")
NETWORK = (
    "hidden",
    "activation",
    "batch_norm",
    "dropout",
    "input_dropout",
    "periodic",
    "statistics",
    "ewma_decay",
    "epsilon",
    "scaling",
    "atoms",
    "one_hot",
    "members",
    "distil",
    "student",
    "teacher",
)
# What stands for the value of a setting that is a text, or several numbers.
METAVARS = {"hidden": "N,N,…", "student": "N,N,…", "positive": "CLASS", "threshold": "RULE"}


def add_table(command: argparse.ArgumentParser, *, or_log: bool = False) -> Flags:
    """Add the table and its target, which with `or_log` may both be those of a log; the group that they stand in."""
    table = command.add_argument_group("table")
    what = "CSV file with a header line, Parquet file, Excel workbook, or a folder of them"
    table.add_argument("table", help=what, nargs="?" if or_log else None)
    table.add_argument("--target", required=not or_log, metavar="COLUMN", help="column of the class to predict")
    if or_log:
        table.add_argument(
            "--from-log",
            metavar="FOLDER",
            help="train on the labelled rows of a prediction log, read as the card of the model says, instead of a "
            "table; the newest are the test set",
        )
    table.add_argument("--delimiter", metavar="CHARACTER", help="field delimiter: , ; tab or | (default: detected)")
    table.add_argument(
        "--encoding", metavar="NAME", help="text encoding, such as utf-8 or windows-1252 (default: detected)"
    )
    table.add_argument("--decimal", metavar=".|,", help="decimal mark, where numbers are ambiguous")
    table.add_argument("--sheet", metavar="NAME", help="sheet of a workbook (default: the first)")
    table.add_argument("--keep-total", action="store_true", default=None, help="keep a last row named 'Total'")
    table.add_argument(
        "--merge-spellings", action="store_true", default=None, help="merge classes that differ only by case or blanks"
    )
    return table


def add_table_and_settings(command: argparse.ArgumentParser, *, or_log: bool = False) -> None:
    """Add the table, how it is read and split, and a flag for every setting that has an explanation."""
    table = add_table(command, or_log=or_log)
    table.add_argument("--schema", dest="table_schema", metavar="FILE", help="schema file, as written by inspect")
    table.add_argument("--drop", action="append", metavar="COLUMN", help="column to leave out; may be repeated")
    table.add_argument("--weight", metavar="COLUMN", help="column of row weights")
    split = command.add_argument_group("split")
    split.add_argument("--split-by", metavar="COLUMN", help="column that assigns each row to train, validation or test")
    split.add_argument("--group", metavar="COLUMN", help="column whose equal values stay in the same part")
    split.add_argument("--time", metavar="COLUMN", help="column to split by time: the newest rows are the test set")
    split.add_argument(
        "--keep", action="append", metavar="COLUMN", help="use the column of --group or --time as a feature too"
    )
    split.add_argument("--test-table", metavar="FILE", help="separate test table with the same columns")
    network, training = command.add_argument_group("network"), command.add_argument_group("training")
    for setting, field in TrainingConfig.model_fields.items():
        if field.description:
            default = "" if field.default is None else f" (default: {_typed(field.default)})"
            group = split if setting in SPLIT else network if setting in NETWORK else training
            flag, metavar = f"--{setting.replace('_', '-')}", _metavar(setting, field.annotation)
            group.add_argument(flag, metavar=metavar, help=field.description + default)


def _typed(value: object) -> str:
    """A default as it would be typed."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def _metavar(setting: str, annotation: object) -> str:
    """What stands for a setting's value in its help: its choices, or the kind of value."""
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    kinds = {str(bool): "true|false", str(int): "N", str(float): "X"}
    kinds |= {f"{kind.__name__} | None": kinds[str(kind)] for kind in (int, float)}
    return kinds.get(str(annotation), METAVARS.get(setting, setting.upper()))


def add_publishing(command: argparse.ArgumentParser, *, checked: bool = False) -> Flags:
    """Add what a published model is called, which the command may have `checked` itself, and where it goes; the group
    that they stand in.
    """
    publishing = command.add_argument_group("publishing")
    publishing.add_argument("--name", required=not checked, help="name of the model")
    publishing.add_argument(
        "--repository",
        metavar="STORE",
        help="model repository, a folder or s3:// URL (default: EVENKEEL_REPOSITORY or models/store)",
    )
    publishing.add_argument("--no-report", action="store_true", help="publish without report.html and figures.json")
    return publishing


def add_output(command: argparse.ArgumentParser) -> None:
    """Add how much is said."""
    output = command.add_argument_group("output").add_mutually_exclusive_group()
    output.add_argument("--quiet", action="store_true", help="print only warnings and the published version")
    output.add_argument("--verbose", action="store_true", help="print one line per epoch")


def repository_of(options: argparse.Namespace) -> ModelRepository:
    """The repository that a flag or the environment names."""
    return opened(options.repository, os.environ, partial(tell, "evenkeel"))


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that have a flag on the command line, as they stand there."""
    given = vars(options)
    return {setting: value for setting in TrainingConfig.model_fields if (value := given.get(setting)) is not None}


def count(flag: str, text: str, least: int = 1) -> int:
    """A whole number that a flag was given.

    :raises InvalidSetting: it is none, or out of range.
    """
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= MOST_COUNTED:
        raise InvalidSetting(f"{flag} should be a whole number from {least} to {MOST_COUNTED}, not {text[:64]!r}")
    return int(text)
