"""`python -m models`, and `evenkeel models`: look into the model repository, check it, and decide what serves."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from models.commands import decide, look
from models.errors import CorruptModel, InvalidName, UnknownModel
from models.repository import ModelRepository
from models.terminal import DATA, IO, USAGE, CommandLine, add_command, add_model, run, version_number

DESCRIPTION = "Look into the model repository, check it, and decide what serves."

EXIT_CODES = {InvalidName: USAGE, UnknownModel: DATA, CorruptModel: DATA, OSError: IO}


def main(arguments: Sequence[str] | None = None, program: str = "python -m models") -> int:
    """Run one command and return its exit code."""
    return run(program.removeprefix("python -m "), lambda: _run(arguments, program), EXIT_CODES)


def _run(arguments: Sequence[str] | None, program: str) -> None:
    options = _command_line(program).parse_args(arguments)
    repository = (
        ModelRepository(options.repository) if options.repository else ModelRepository.from_environment(os.environ)
    )
    options.command(repository, options)


def _command_line(program: str) -> CommandLine:
    parser = CommandLine(
        prog=program,
        description=DESCRIPTION,
        examples=("list", "rollback penguins"),
        epilog="A running service follows within moments. Exit codes: 0 done, 64 usage, 65 no such model or version, "
        "or it is corrupt, 74 cannot read or write.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add_command(
        commands,
        "list",
        look.list_models,
        "show every model, a line a version",
        examples=("", "--repository models/store"),
    )

    show = add_command(commands, "show", look.show, "show a model's card", examples=("penguins", "penguins 1 --json"))
    add_model(show)
    show.add_argument("--json", action="store_true", help="the card as it stands on disk")

    verify = add_command(
        commands,
        "verify",
        look.verify,
        "check every file against the digests in its card",
        examples=("", "penguins 1"),
    )
    verify.add_argument("name", nargs="?", help="default: every model")
    verify.add_argument("version", nargs="?", type=version_number, help="default: every version")

    promote = add_command(
        commands,
        "promote",
        decide.promote,
        "let a version serve, also when newer ones are published",
        examples=("penguins 1", "penguins --newest"),
    )
    promote.add_argument("name")
    chosen = promote.add_mutually_exclusive_group(required=True)
    chosen.add_argument("version", nargs="?", type=version_number)
    chosen.add_argument("--newest", action="store_true", help="let the newest serve again, and each newer one")

    rollback = add_command(
        commands,
        "rollback",
        decide.rollback,
        "let the version before the serving one serve",
        examples=("penguins", "mine"),
    )
    rollback.add_argument("name")

    canary = add_command(
        commands,
        "canary",
        decide.canary,
        "let a version answer a share of the requests",
        examples=("penguins 2 --share 5%", "penguins --off"),
    )
    canary.add_argument("name")
    _or_off(canary)
    canary.add_argument("--share", type=_share, default=0.05, help="of the requests (default: 5%%)")

    shadow = add_command(
        commands,
        "shadow",
        decide.shadow,
        "ask a version too, and only compare its answers",
        examples=("penguins 2", "penguins --off"),
    )
    shadow.add_argument("name")
    _or_off(shadow)

    prune = add_command(
        commands,
        "prune",
        decide.prune,
        "remove old versions that serve in no way",
        examples=("penguins --keep 5", "mine --keep 1"),
    )
    prune.add_argument("name")
    prune.add_argument("--keep", type=version_number, required=True, metavar="N", help="how many of the newest stay")

    where = "the repository's root folder (default: EVENKEEL_REPOSITORY or models/store)"
    parser.add_argument("--repository", type=Path, help=where)
    for command in commands.choices.values():
        # Behind the command too; there it must not take away what stands before it.
        command.add_argument("--repository", type=Path, default=argparse.SUPPRESS, help=where)
    return parser


def _or_off(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("version", nargs="?", type=version_number)
    chosen.add_argument("--off", action="store_true")


def _share(text: str) -> float:
    number = text.removesuffix("%")
    try:
        share = float(number) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no share: 5% is one, and so is 0.05")
    return share


if __name__ == "__main__":
    sys.exit(main())
