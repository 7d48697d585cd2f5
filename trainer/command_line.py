"""The batch job's command line: flags in, one config out."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.repository import ModelRepository
from models.terminal import CommandLine, add_command, noting, room, run, wrapped
from trainer import COMMANDS
from trainer.data.frames import NO_FRAMES, Frames
from trainer.data.inspection import with_findings
from trainer.data.logged import read_logged, target_and_time
from trainer.data.schema import file_schema, to_toml, write_schema
from trainer.data.table import read_table
from trainer.errors import EXIT_CODES
from trainer.files import text_of
from trainer.job import job
from trainer.job.promotion import check_promote
from trainer.search.commands import add_babysit, add_search
from trainer.settings.config import TrainingConfig
from trainer.settings.flags import (
    add_output,
    add_publishing,
    add_table,
    add_table_and_settings,
    count,
    given_settings,
    repository_of,
)
from trainer.terminal import epochs, progress


def main(arguments: Sequence[str] | None = None, program: str = "python -m trainer") -> int:
    """Run one command and return its exit code."""
    return run(program.split()[-1], lambda: _run(arguments, program), EXIT_CODES)


def _run(arguments: Sequence[str] | None, program: str) -> None:
    options = _parser(program).parse_args(arguments)
    options.command(options)


def _parser(program: str) -> CommandLine:
    parser = CommandLine(prog=program, description="Train a batch-normalised classifier on a table.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    inspect = add_command(
        commands,
        "inspect",
        _inspect,
        COMMANDS["inspect"],
        examples=(
            "examples/penguins.csv --target species",
            "mine.csv --target y --output mine.schema.toml",
        ),
        epilog="Exit codes: 0 done, 64 usage, 65 unfit table, 66 no table, 74 cannot write, 75 the table was changing.",
    )
    add_table(inspect)
    schema = inspect.add_argument_group("schema")
    schema.add_argument(
        "--output", type=Path, metavar="FILE", help="schema file to write (default: TABLE.schema.toml in this folder)"
    )
    schema.add_argument("--force", action="store_true", help="overwrite an existing schema")
    _add_fit(commands)
    add_search(commands)
    lr_find = add_command(
        commands,
        "lr-find",
        _lr_find,
        COMMANDS["lr-find"],
        examples=("examples/penguins.csv --target species", "mine.csv --target y --hidden 256,256 --batch-size 128"),
        epilog="Nothing is published. Exit codes: 0 done, 64 usage, 65 unfit table or no rate stands out, 66 no table.",
    )
    add_table_and_settings(lr_find)
    add_babysit(commands)
    return parser


def _add_fit(commands: "argparse._SubParsersAction[Any]") -> None:
    fit = add_command(
        commands,
        "fit",
        _fit,
        COMMANDS["fit"],
        examples=(
            "examples/penguins.csv --target species --name penguins",
            "mine.csv --target y --name mine --drop id --time day --promote if-better",
            "--from-log /var/lib/predictions --name mine --promote if-better",
        ),
        epilog="Ctrl-C publishes the best epoch so far. Exit codes: 0 done, 64 usage, 65 unfit table, 66 no table, "
        "70 defect of the trainer or a process lost, 71 not enough memory, 74 cannot write, 75 the table was changing, "
        "79 no better than a baseline (with --fail-below-baseline), 130 interrupted before the first epoch was over.",
    )
    fit.usage = f"{fit.prog} TABLE --target COLUMN --name NAME [options]"
    add_table_and_settings(fit, or_log=True)
    run = fit.add_argument_group("run")
    run.add_argument(
        "--jobs", metavar="N", help="networks trained in parallel, one process each (default: one per core)"
    )
    run.add_argument(
        "--memory",
        metavar="2g",
        help="a larger table is read in blocks, and its rows are kept in files (default: half of what there is)",
    )
    run.add_argument(
        "--time-limit",
        metavar="10m",
        help="training time at most, in seconds, minutes (m) or hours (h); the best model by then is published",
    )
    publishing = add_publishing(fit, checked=True)
    publishing.add_argument("--once", action="store_true", help="do nothing if the model is already published")
    publishing.add_argument("--resume", action="store_true", help="resume a killed run, with the same result")
    publishing.add_argument(
        "--promote",
        metavar="always|if-better|never",
        default="always",
        help="when the new version serves: always (unless a version is pinned), if its test log-loss is below that "
        "of the serving version, or never (default: always)",
    )
    publishing.add_argument(
        "--fail-below-baseline",
        action="store_true",
        help="publish nothing and exit with 79 if the model is not significantly better than a baseline",
    )
    add_output(fit)


def _fit(options: argparse.Namespace) -> None:
    repository = repository_of(options)
    frames = _table_of(options, repository)
    config = TrainingConfig.of(**given_settings(options))
    promote = check_promote(options.promote)
    jobs = None if options.jobs is None else count("--jobs", options.jobs)
    published = repository.versions(config.name)
    if options.once and published:
        print(f"{config.name} is published already, version {published[-1]}; nothing to do")
        return
    with epochs.watching(config.epochs, quiet=options.quiet, verbose=options.verbose) as shown:
        outcome = job.run(
            config,
            repository,
            shown.watch,
            ended=shown.ended,
            tried=shown.tried,
            over=shown.over,
            jobs=jobs,
            resume=options.resume,
            promote=promote,
            fail_below_baseline=options.fail_below_baseline,
            with_report=not options.no_report,
            frames=frames,
        )
    with noting(outcome.fact):
        progress.show(outcome, repository, quiet=options.quiet)


def _table_of(options: argparse.Namespace, repository: ModelRepository) -> Frames:
    """The rows of a log, where they are to be trained on; their target and their time become options."""
    if options.from_log is None:
        needed = {"table": options.table, "--target": options.target, "--name": options.name}
        if missing := [name for name, given in needed.items() if given is None]:
            options.parser.error(f"the following arguments are required: {', '.join(missing)}")
        return NO_FRAMES
    if options.name is None:
        options.parser.error("the following arguments are required: --name")
    if given := [name for name in ("table", "target", "table_schema", "weight") if getattr(options, name) is not None]:
        options.parser.error(f"--from-log stands without {given[0].replace('table_schema', 'schema')}: the log says it")
    folder, options.from_log = Path(options.from_log), True
    rows = read_logged(folder, repository, options.name, options.drop or ())
    options.table = folder
    options.target, time = target_and_time(rows)
    if not options.split_by and not options.group and not options.test_table:
        options.time = time
    return {folder: rows}


def _inspect(options: argparse.Namespace) -> None:
    path = Path(options.table)
    given = (options.delimiter, options.encoding, options.decimal, options.sheet)
    file = file_schema(*given, keep_total=bool(options.keep_total))
    table = read_table(path, options.target, file=file, merge_spellings=bool(options.merge_spellings))
    schema = with_findings(table.schema, table.examples)
    progress.show_schema(path.name, table, schema)
    output = options.output or Path(f"{path.name.split('.')[0]}.schema.toml")
    write_schema(output, to_toml(schema, text_of(path)), force=options.force)
    said = f"Written to {output}; change what is wrong in it, and train with --schema {shlex.quote(str(output))}"
    print("\n".join(wrapped(said, room())))


def _lr_find(options: argparse.Namespace) -> None:
    options.name = "lr-find"
    config = TrainingConfig.of(**given_settings(options))
    progress.show_range_test(job.suggest_learning_rate(config))
