"""The batch job's command line: flags in, one config out."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args, get_origin

from models.repository import ModelRepository
from models.terminal import CommandLine, run
from trainer import job, progress
from trainer.config import TrainingConfig
from trainer.data.inspection import with_findings
from trainer.data.schema import to_toml, write_schema
from trainer.data.table import read_table
from trainer.errors import EXIT_CODES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    stopped = "interrupted; nothing was published"
    return run("trainer", lambda: options.command(options), EXIT_CODES, interrupted=stopped)


def _parser() -> CommandLine:
    parser = CommandLine(prog="python -m trainer", description="Train a batch-normalised classifier on a table.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fit = commands.add_parser(
        "fit",
        help="train on a table and publish the model",
        epilog="Ctrl-C publishes the best epoch so far. Exit codes: 0 done, 64 usage, 65 unfit table, 66 no table, "
        "70 defect of the trainer, 74 cannot write, 75 the table was changing, 130 interrupted before the first epoch "
        "was over.",
    )
    fit.set_defaults(command=_fit)
    fit.add_argument("--name", required=True, help="the model's name in the repository")
    fit.add_argument("--repository", type=Path, help="its root folder (default: EVENKEEL_REPOSITORY or models/store)")
    fit.add_argument("--once", action="store_true", help="do nothing if a model of this name is published already")
    fit.add_argument("--resume", action="store_true", help="take up the same run where it was killed, to the same end")
    _add_table_and_settings(fit)
    inspect = commands.add_parser(
        "inspect",
        help="show how a table is read, and write it down as a schema to edit",
        epilog="Exit codes: 0 done, 64 usage, 65 unfit table, 66 no table, 74 cannot write, 75 the table was changing.",
    )
    inspect.set_defaults(command=_inspect)
    inspect.add_argument(
        "--output", type=Path, metavar="FILE", help="the schema (default: TABLE.schema.toml in this folder)"
    )
    inspect.add_argument("--force", action="store_true", help="write over a schema that is there")
    _add_table(inspect)
    lr_find = commands.add_parser(
        "lr-find",
        help="suggest a learning rate: a short run in which it climbs from 1e-6 to 10",
        epilog="Nothing is published. Exit codes: 0 done, 64 usage, 65 unfit table, 66 no table.",
    )
    lr_find.set_defaults(command=_lr_find)
    _add_table_and_settings(lr_find)
    return parser


def _add_table(command: argparse.ArgumentParser) -> None:
    command.add_argument("table", help="a CSV file with a header line, in UTF-8, plain or gzipped; or a Parquet file")
    command.add_argument("--target", required=True, metavar="COLUMN", help="the column that holds the class")


def _add_table_and_settings(command: argparse.ArgumentParser) -> None:
    _add_table(command)
    command.add_argument(
        "--schema", dest="table_schema", metavar="FILE", help="how each column is read, as inspect wrote it"
    )
    command.add_argument("--drop", action="append", metavar="COLUMN", help="leave a column out; may be repeated")
    command.add_argument("--weight", metavar="COLUMN", help="the column that says how many times each row counts")
    command.add_argument(
        "--split-by", metavar="COLUMN", help="the column that names each row's part: train, validation or test"
    )
    command.add_argument("--group", metavar="COLUMN", help="the column whose equal values stay in one part")
    command.add_argument("--time", metavar="COLUMN", help="the column by whose order the newest rows are the test")
    command.add_argument(
        "--keep", action="append", metavar="COLUMN", help="the column of --group or --time is a feature too"
    )
    command.add_argument("--test-table", metavar="FILE", help="a table of its own for the test, with the same columns")
    for setting, field in TrainingConfig.model_fields.items():
        if field.description:
            default = ",".join(map(str, field.default)) if setting == "hidden" else field.default
            flag = f"--{setting.replace('_', '-')}"
            metavar = "|".join(choices) if (choices := _choices(field.annotation)) else flag[2:].upper()
            explanation = f"{field.description} (default: {'none' if default is None else default})"
            command.add_argument(flag, metavar=metavar, help=explanation)


def _choices(annotation: object) -> tuple[str, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _fit(options: argparse.Namespace) -> None:
    repository = (
        ModelRepository(options.repository) if options.repository else ModelRepository.from_environment(os.environ)
    )
    config = _config(options)
    published = repository.versions(config.name)
    if options.once and published:
        print(f"{config.name} is published already, version {published[-1]}; nothing to do")
        return
    with progress.watching(config.epochs) as watch:
        outcome = job.run(config, repository, watch, resume=options.resume)
    progress.show(outcome, repository)


def _inspect(options: argparse.Namespace) -> None:
    path = Path(options.table)
    table = read_table(path, options.target)
    schema = with_findings(table.schema, table.examples)
    progress.show_schema(path.name, table, schema)
    output = options.output or Path(f"{path.name.split('.')[0]}.schema.toml")
    write_schema(output, to_toml(schema, path.name), force=options.force)
    print(f"Written to {output}; change what is wrong in it, and train with --schema {output}")


def _lr_find(options: argparse.Namespace) -> None:
    options.name = "lr-find"
    config = _config(options)
    progress.show_range_test(job.suggest_learning_rate(config))


def _config(options: argparse.Namespace) -> TrainingConfig:
    given = {
        setting: value for setting in TrainingConfig.model_fields if (value := getattr(options, setting)) is not None
    }
    if "hidden" in given:
        given["hidden"] = given["hidden"].split(",") if given["hidden"] else ()
    return TrainingConfig.of(**given)
