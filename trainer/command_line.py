"""The batch job's command line: flags in, one config out."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from models.repository import ModelRepository
from models.terminal import CommandLine, run
from trainer import job, progress
from trainer.config import TrainingConfig
from trainer.errors import EXIT_CODES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    return run("trainer", lambda: options.command(options), EXIT_CODES)


def _parser() -> CommandLine:
    parser = CommandLine(prog="python -m trainer", description="Train a batch-normalised classifier on a table.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fit = commands.add_parser(
        "fit",
        help="train on a CSV file and publish the model",
        epilog="Exit codes: 0 done, 64 usage, 65 unfit table, 70 defect of the trainer, 74 cannot read or write.",
    )
    fit.set_defaults(command=_fit)
    fit.add_argument("table", help="a CSV file with a header line, in UTF-8")
    fit.add_argument("--target", required=True, metavar="COLUMN", help="the column that holds the class")
    fit.add_argument("--name", required=True, help="the model's name in the repository")
    fit.add_argument("--drop", action="append", metavar="COLUMN", help="leave a column out; may be repeated")
    fit.add_argument("--repository", type=Path, help="its root folder (default: EVENKEEL_REPOSITORY or models/store)")
    fit.add_argument("--once", action="store_true", help="do nothing if a model of this name is published already")
    for setting, field in TrainingConfig.model_fields.items():
        if field.description:
            default = ",".join(map(str, field.default)) if setting == "hidden" else field.default
            flag = f"--{setting.replace('_', '-')}"
            fit.add_argument(flag, metavar=flag[2].upper(), help=f"{field.description} (default: {default})")
    return parser


def _fit(options: argparse.Namespace) -> None:
    repository = (
        ModelRepository(options.repository) if options.repository else ModelRepository.from_environment(os.environ)
    )
    given = {
        setting: value for setting in TrainingConfig.model_fields if (value := getattr(options, setting)) is not None
    }
    if "hidden" in given:
        given["hidden"] = given["hidden"].split(",") if given["hidden"] else ()
    config = TrainingConfig.of(**given)
    published = repository.versions(config.name)
    if options.once and published:
        print(f"{config.name} is published already, version {published[-1]}; nothing to do")
        return
    with progress.watching(config.epochs) as watch:
        outcome = job.run(config, repository, watch)
    progress.show(outcome, repository)
