"""`python -m models`: look into the model repository, check it, and decide what serves."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from models.commands import decide, look
from models.errors import CorruptModel, InvalidName, UnknownModel
from models.repository import ModelRepository
from models.terminal import DATA, IO, USAGE, CommandLine, run

EXIT_CODES = {InvalidName: USAGE, UnknownModel: DATA, CorruptModel: DATA, OSError: IO}


def main(arguments: Sequence[str] | None = None) -> int:
    return run("models", lambda: _run(arguments), EXIT_CODES)


def _run(arguments: Sequence[str] | None) -> None:
    options = _command_line().parse_args(arguments)
    repository = (
        ModelRepository(options.repository) if options.repository else ModelRepository.from_environment(os.environ)
    )
    options.command(repository, options)


def _command_line() -> CommandLine:
    parser = CommandLine(
        prog="python -m models", description="Look into the model repository, check it, and decide what serves."
    )
    parser.add_argument(
        "--repository", type=Path, help="its root folder (default: EVENKEEL_REPOSITORY or models/store)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="every model, a line a version")
    listing.set_defaults(command=look.list_models)

    show = commands.add_parser("show", help="one model's card")
    show.add_argument("name")
    show.add_argument("version", nargs="?", type=_version, help="default: the version that serves")
    show.add_argument("--json", action="store_true", help="the card as it stands on disk")
    show.set_defaults(command=look.show)

    verify = commands.add_parser("verify", help="check every file against the digests in its card")
    verify.add_argument("name", nargs="?", help="default: every model")
    verify.add_argument("version", nargs="?", type=_version, help="default: every version")
    verify.set_defaults(command=look.verify)

    promote = commands.add_parser("promote", help="let a version serve, also when newer ones are published")
    promote.add_argument("name")
    chosen = promote.add_mutually_exclusive_group(required=True)
    chosen.add_argument("version", nargs="?", type=_version)
    chosen.add_argument("--newest", action="store_true", help="let the newest serve again, and each newer one")
    promote.set_defaults(command=decide.promote)

    rollback = commands.add_parser("rollback", help="let the version before the serving one serve")
    rollback.add_argument("name")
    rollback.set_defaults(command=decide.rollback)

    canary = commands.add_parser("canary", help="let a version answer a share of the requests")
    canary.add_argument("name")
    _or_off(canary)
    canary.add_argument("--share", type=_share, default=0.05, help="of the requests (default: 5%%)")
    canary.set_defaults(command=decide.canary)

    shadow = commands.add_parser("shadow", help="ask a version too, and only compare its answers")
    shadow.add_argument("name")
    _or_off(shadow)
    shadow.set_defaults(command=decide.shadow)

    prune = commands.add_parser("prune", help="remove old versions that serve in no way")
    prune.add_argument("name")
    prune.add_argument("--keep", type=_version, required=True, metavar="N", help="how many of the newest stay")
    prune.set_defaults(command=decide.prune)
    return parser


def _or_off(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("version", nargs="?", type=_version)
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


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is no version: versions are 1, 2, 3, …")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
