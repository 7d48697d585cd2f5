"""The batch job's command line: flags in, one config out."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from models.terminal import CommandLine, noting, run
from trainer import job, progress
from trainer.config import TrainingConfig
from trainer.data.inspection import with_findings
from trainer.data.schema import file_schema, to_toml, write_schema
from trainer.data.table import read_table
from trainer.errors import EXIT_CODES
from trainer.files import text_of
from trainer.flags import add_name_and_repository, add_table, add_table_and_settings, given_settings, repository_of
from trainer.promotion import check_promote
from trainer.search.commands import add_babysit, add_search


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return run("trainer", lambda: _run(arguments), EXIT_CODES)


def _run(arguments: Sequence[str] | None) -> None:
    options = _parser().parse_args(arguments)
    options.command(options)


def _parser() -> CommandLine:
    parser = CommandLine(prog="python -m trainer", description="Train a batch-normalised classifier on a table.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fit = commands.add_parser(
        "fit",
        help="train on a table and publish the model",
        epilog="Ctrl-C publishes the best epoch so far. Exit codes: 0 done, 64 usage, 65 unfit table, 66 no table, "
        "70 defect of the trainer, 74 cannot write, 75 the table was changing, 79 no better than a baseline (with "
        "--fail-below-baseline), 130 interrupted before the first epoch was over.",
    )
    fit.set_defaults(command=_fit)
    add_name_and_repository(fit)
    fit.add_argument("--once", action="store_true", help="do nothing if a model of this name is published already")
    fit.add_argument("--resume", action="store_true", help="take up the same run where it was killed, to the same end")
    fit.add_argument(
        "--promote",
        metavar="always|if-better|never",
        default="always",
        help="whether the new version serves: always, unless another is pinned; if its log-loss on the test rows is "
        "lower than that of the version that serves; or never by itself (default: always)",
    )
    fit.add_argument(
        "--fail-below-baseline",
        action="store_true",
        help="publish nothing and leave with 79 if the model is no better than a baseline, beyond the noise",
    )
    add_table_and_settings(fit)
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
    add_table(inspect)
    lr_find = commands.add_parser(
        "lr-find",
        help="suggest a learning rate: a short run in which it climbs from 1e-6 to 10",
        epilog="Nothing is published. Exit codes: 0 done, 64 usage, 65 unfit table or no rate stands out, 66 no table.",
    )
    lr_find.set_defaults(command=_lr_find)
    add_table_and_settings(lr_find)
    add_search(commands)
    add_babysit(commands)
    return parser


def _fit(options: argparse.Namespace) -> None:
    repository = repository_of(options)
    config = TrainingConfig.of(**given_settings(options))
    promote = check_promote(options.promote)
    published = repository.versions(config.name)
    if options.once and published:
        print(f"{config.name} is published already, version {published[-1]}; nothing to do")
        return
    with progress.watching(config.epochs) as watch:
        outcome = job.run(
            config,
            repository,
            watch,
            resume=options.resume,
            promote=promote,
            fail_below_baseline=options.fail_below_baseline,
        )
    with noting(outcome.fact):
        progress.show(outcome, repository)


def _inspect(options: argparse.Namespace) -> None:
    path = Path(options.table)
    given = (options.delimiter, options.encoding, options.decimal, options.sheet)
    file = file_schema(*given, keep_total=bool(options.keep_total))
    table = read_table(path, options.target, file=file, merge_spellings=bool(options.merge_spellings))
    schema = with_findings(table.schema, table.examples)
    progress.show_schema(path.name, table, schema)
    output = options.output or Path(f"{path.name.split('.')[0]}.schema.toml")
    write_schema(output, to_toml(schema, text_of(path)), force=options.force)
    print(f"Written to {output}; change what is wrong in it, and train with --schema {output}")


def _lr_find(options: argparse.Namespace) -> None:
    options.name = "lr-find"
    config = TrainingConfig.of(**given_settings(options))
    progress.show_range_test(job.suggest_learning_rate(config))
