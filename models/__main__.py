"""`python -m models`, and `evenkeel models`: look into the model repository, check it, and decide what serves."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from models import variables
from models.commands import decide, look, travel
from models.errors import CorruptModel, InvalidName, TakenVersion, UnknownModel
from models.repository import DEFAULT_ROOT
from models.terminal import DATA, IO, USAGE, CommandLine, add_command, add_model, run, version_number

DESCRIPTION = "Inspect the model repository, verify it, choose the serving version, and move models."

MODEL = "name of the model"
NAMED = "model, and version behind a colon (default: the serving version)"

EXIT_CODES = {InvalidName: USAGE, UnknownModel: DATA, TakenVersion: DATA, CorruptModel: DATA, OSError: IO}


def main(arguments: Sequence[str] | None = None, program: str = "python -m models") -> int:
    """Run one command and return its exit code."""
    return run(program.removeprefix("python -m "), lambda: _run(arguments, program), EXIT_CODES)


def _run(arguments: Sequence[str] | None, program: str) -> None:
    options = _command_line(program).parse_args(arguments)
    place = options.repository or variables.read(os.environ, variables.REPOSITORY, variables.repository)
    options.command(travel.opened(str(place or DEFAULT_ROOT)), options)


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
        "list models and versions",
        examples=("", "--repository models/store"),
    )

    show = add_command(commands, "show", look.show, "show a model's card", examples=("penguins", "penguins 1 --json"))
    add_model(show)
    show.add_argument("--json", action="store_true", help="print the card as JSON")

    verify = add_command(
        commands,
        "verify",
        look.verify,
        "verify every file by the digests in its card",
        examples=("", "penguins 1"),
    )
    verify.add_argument("name", nargs="?", help="model (default: all)")
    verify.add_argument("version", nargs="?", type=version_number, help="version (default: all)")

    promote = add_command(
        commands,
        "promote",
        decide.promote,
        "pin the serving version",
        examples=("penguins 1", "penguins --newest"),
    )
    promote.add_argument("name", help=MODEL)
    chosen = promote.add_mutually_exclusive_group(required=True)
    chosen.add_argument("version", nargs="?", type=version_number, help="version to serve")
    chosen.add_argument(
        "--newest", action="store_true", help="serve the newest version, and each newer one from then on"
    )

    rollback = add_command(
        commands,
        "rollback",
        decide.rollback,
        "serve the version before the serving one",
        examples=("penguins", "mine"),
    )
    rollback.add_argument("name", help=MODEL)

    canary = add_command(
        commands,
        "canary",
        decide.canary,
        "route a share of the requests to a version",
        examples=("penguins 2 --share 5%", "penguins --off"),
    )
    canary.add_argument("name", help=MODEL)
    _or_off(canary)
    canary.add_argument(
        "--share", type=_share, default=0.05, help="share of the requests, such as 0.1 or 10%% (default: 5%%)"
    )

    shadow = add_command(
        commands,
        "shadow",
        decide.shadow,
        "send requests to a version too, and only compare its answers",
        examples=("penguins 2", "penguins --off"),
    )
    shadow.add_argument("name", help=MODEL)
    _or_off(shadow)

    prune = add_command(
        commands,
        "prune",
        decide.prune,
        "delete old versions that do not serve",
        examples=("penguins --keep 5", "mine --keep 1"),
    )
    prune.add_argument("name", help=MODEL)
    prune.add_argument("--keep", type=_count, required=True, metavar="N", help="number of newest versions to keep")

    _add_travelling(commands)

    where = "folder or s3:// URL (default: EVENKEEL_REPOSITORY or models/store)"
    parser.add_argument("--repository", metavar="STORE", help=where)
    for command in commands.choices.values():
        # Behind the command too; there it must not take away what stands before it.
        command.add_argument("--repository", metavar="STORE", default=argparse.SUPPRESS, help=where)
    return parser


def _add_travelling(commands: "argparse._SubParsersAction[Any]") -> None:
    """The commands that move a version from one place to another."""
    export = add_command(
        commands,
        "export",
        travel.export,
        "write a version as one file, an archive",
        examples=("penguins:1 penguins-1.tar.gz", "penguins penguins.tar.zst"),
    )
    export.add_argument("model", type=_named, metavar="NAME[:V]", help=NAMED)
    archive = "file, or s3:// object, that ends with .tar.zst, .tar.gz or .tar"
    export.add_argument("archive", metavar="ARCHIVE", help=archive)

    take = add_command(
        commands,
        "import",
        travel.import_archive,
        "publish the version that an archive holds",
        examples=("penguins-1.tar.gz", "penguins-1.tar.gz --next"),
    )
    take.add_argument("archive", metavar="ARCHIVE", help=archive)

    copy = add_command(
        commands,
        "copy",
        travel.copy,
        "publish what one repository holds in another",
        examples=("penguins:1 --from staging --to s3://bucket/models", "--all --to /backup/models"),
    )
    what = copy.add_mutually_exclusive_group(required=True)
    what.add_argument("model", nargs="?", type=_named, metavar="NAME[:V]", help=NAMED)
    what.add_argument("--all", action="store_true", help="all versions of all models, and which of them serve")
    for flag, dest in (("--from", "source"), ("--to", "target")):
        copy.add_argument(flag, dest=dest, metavar="STORE", help="folder or s3:// URL (default: the repository)")
    copy.add_argument("--every", type=_seconds, metavar="SECONDS", help="with --all: go on, and copy what is new")
    for command in (take, copy):
        command.add_argument("--next", action="store_true", help="give it the next free number, not the one it has")
        command.add_argument("--hold", action="store_true", help="pin what serves first, so that it goes on serving")


def _named(text: str) -> tuple[str, int | None]:
    """A model and perhaps a version, as NAME:V."""
    name, colon, version = text.partition(":")
    return name, version_number(version) if colon else None


def _or_off(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("version", nargs="?", type=version_number, help="version that is tried beside the serving one")
    chosen.add_argument("--off", action="store_true", help="end it")


def _count(text: str) -> int:
    """How many versions stay."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"should be a whole number from 1, not {text[:64]!r}")
    return int(text)


def _seconds(text: str) -> float:
    if not (text.isascii() and text.replace(".", "", 1).isdigit() and float(text) > 0):
        raise argparse.ArgumentTypeError(f"should be a number of seconds above 0, not {text[:64]!r}")
    return float(text)


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
