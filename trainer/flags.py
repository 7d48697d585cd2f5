"""The flags that say what to train on and how, one a setting, made from the settings themselves."""

import argparse
import os
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from models.repository import ModelRepository
from trainer.config import TrainingConfig
from trainer.errors import InvalidSetting

Flags = argparse._ArgumentGroup  # noqa: SLF001

MOST_COUNTED = 1_000_000
# The settings that are shown under other headings than "training".
SPLIT = ("validation", "test", "seed")
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
)


def add_table(command: argparse.ArgumentParser) -> Flags:
    """Add the table and its target; the group that they stand in."""
    table = command.add_argument_group("table")
    table.add_argument(
        "table", help="a CSV file with a header line, a Parquet file, an Excel workbook, or a folder of them"
    )
    table.add_argument("--target", required=True, metavar="COLUMN", help="the column that holds the class")
    table.add_argument("--delimiter", metavar="CHARACTER", help="what parts cells: , ; tab or | (default: found)")
    table.add_argument("--encoding", help="how text is encoded, as utf-8 or windows-1252 (default: found)")
    table.add_argument("--decimal", metavar=".|,", help="the decimal mark of numbers that can be read in two ways")
    table.add_argument("--sheet", metavar="NAME", help="the sheet of a workbook (default: the first)")
    table.add_argument("--keep-total", action="store_true", default=None, help="a last row 'Total' is a row")
    table.add_argument(
        "--merge-spellings", action="store_true", default=None, help="classes that differ by case or blanks are one"
    )
    return table


def add_table_and_settings(command: argparse.ArgumentParser) -> None:
    """Add the table, how it is read and split, and a flag for every setting that has an explanation."""
    table = add_table(command)
    table.add_argument(
        "--schema", dest="table_schema", metavar="FILE", help="how each column is read, as inspect wrote it"
    )
    table.add_argument("--drop", action="append", metavar="COLUMN", help="leave a column out; may be repeated")
    table.add_argument("--weight", metavar="COLUMN", help="the column that says how many times each row counts")
    split = command.add_argument_group("split")
    split.add_argument(
        "--split-by", metavar="COLUMN", help="the column that names each row's part: train, validation or test"
    )
    split.add_argument("--group", metavar="COLUMN", help="the column whose equal values stay in one part")
    split.add_argument("--time", metavar="COLUMN", help="the column by whose order the newest rows are the test")
    split.add_argument(
        "--keep", action="append", metavar="COLUMN", help="the column of --group or --time is a feature too"
    )
    split.add_argument("--test-table", metavar="FILE", help="a table of its own for the test, with the same columns")
    network, training = command.add_argument_group("network"), command.add_argument_group("training")
    for setting, field in TrainingConfig.model_fields.items():
        if field.description:
            default = ",".join(map(str, field.default)) if setting == "hidden" else field.default
            flag = f"--{setting.replace('_', '-')}"
            metavar = "|".join(choices) if (choices := _choices(field.annotation)) else flag[2:].upper()
            explanation = f"{field.description} (default: {'none' if default is None else default})"
            group = split if setting in SPLIT else network if setting in NETWORK else training
            group.add_argument(flag, metavar=metavar, help=explanation)


def _choices(annotation: object) -> tuple[str, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def add_publishing(command: argparse.ArgumentParser) -> Flags:
    """Add what a published model is called and where it goes; the group that they stand in."""
    publishing = command.add_argument_group("publishing")
    publishing.add_argument("--name", required=True, help="the model's name in the repository")
    publishing.add_argument(
        "--repository", type=Path, help="its root folder (default: EVENKEEL_REPOSITORY or models/store)"
    )
    publishing.add_argument(
        "--no-report", action="store_true", help="publish the model without its report.html and figures.json"
    )
    return publishing


def add_output(command: argparse.ArgumentParser) -> None:
    """Add how much is said."""
    output = command.add_argument_group("output").add_mutually_exclusive_group()
    output.add_argument("--quiet", action="store_true", help="print warnings, and a line that names the new version")
    output.add_argument(
        "--verbose", action="store_true", help="print a line an epoch, also where standard error is no terminal"
    )


def repository_of(options: argparse.Namespace) -> ModelRepository:
    """The repository that a flag or the environment names."""
    return ModelRepository(options.repository) if options.repository else ModelRepository.from_environment(os.environ)


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
