"""`python -m service`: serve the model repository over HTTP; `python -m service predict`: score a file.

The command `evenkeel` has the same commands, `serve` and `predict`.
"""

import os
import sys

# `python -m` looks into the working folder first, where somebody may have a models.py of their own.
if not sys.flags.safe_path and os.path.realpath(f"{__file__}/../..") != sys.path[0] == os.getcwd():
    del sys.path[0]

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.terminal import DATA, IO, USAGE, CommandLine, add_command, needing, run
from service import COMMANDS
from service.access import KEY, KEY_RULE
from service.client import score
from service.errors import InvalidSetting, RefusedTable
from service.settings import Settings, flag, unknown_variables, variable

API_KEY = "EVENKEEL_API_KEY"

# What somebody who starts it by hand thinks of first.
WHAT = ("repository", "default_model", "host", "port", "api_keys_file", "workers")

EXIT_CODES: dict[type[Exception], int] = {InvalidSetting: USAGE, RefusedTable: DATA, OSError: IO}


def main(arguments: Sequence[str] | None = None, program: str = "python -m service") -> int:
    """Serve until told to stop, or score a file, and return the exit code. Without a command it serves."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "serve")
    options = _parser(program).parse_args(given)
    with needing("service", f"{program} {given[0]}"):
        return run(program.split()[-1], lambda: options.command(options), EXIT_CODES)


def _serve(options: argparse.Namespace) -> None:
    flags = {
        setting: str(value) for setting in Settings.model_fields if (value := getattr(options, setting)) is not None
    }
    settings = Settings.from_environment(os.environ, flags)
    # Only whoever serves needs the server and its libraries.
    from service.processes.server import serve

    serve(settings, unknown_variables(os.environ))


def _predict(options: argparse.Namespace) -> None:
    key = _api_key(options.key_file)
    if options.output is None:
        score(options.table, sys.stdout, options.url, options.model, key)
        return
    with options.output.open("w", encoding="utf-8", newline="") as output:
        score(options.table, output, options.url, options.model, key)


def _api_key(file: Path | None) -> str | None:
    """The key to send: what a file holds, or the environment. No flag takes it, for others could read it there."""
    key = os.environ.get(API_KEY) if file is None else file.read_text(errors="replace").strip()
    if file is None and not key:
        return None
    if not KEY.fullmatch(key or ""):
        raise InvalidSetting(f"{file or API_KEY} should hold an API key and nothing else: {KEY_RULE}")
    return key


def _parser(program: str) -> CommandLine:
    parser = CommandLine(prog=program, description="Serve the model repository over HTTP, or score a file.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_predict(commands)
    return parser


def _add_serve(commands: "argparse._SubParsersAction[Any]") -> None:
    serve = add_command(
        commands,
        "serve",
        _serve,
        COMMANDS["serve"],
        examples=("", "--port 9000 --repository models/store --model penguins"),
        epilog="A flag goes before its variable. Log lines are for people on a terminal, and JSON elsewhere. Ctrl-C "
        "ends it at once, SIGTERM when what is under way is answered. Exit codes: 0 done, 64 usage, 74 cannot listen.",
    )
    what, limits = serve.add_argument_group("what is served, and where"), serve.add_argument_group("limits and the log")
    for setting, field in Settings.model_fields.items():
        default = "" if field.default in (None, "") else f"; {field.default} by default"
        names = ["--model", flag(setting)] if setting == "default_model" else [flag(setting)]
        explained = f"{field.description} ({variable(setting)}{default})"
        group = what if setting in WHAT else limits
        if field.annotation is bool:
            group.add_argument(*names, action=argparse.BooleanOptionalAction, help=explained)
        else:
            group.add_argument(*names, dest=setting, metavar=names[0][2:].upper(), help=explained)


def _add_predict(commands: "argparse._SubParsersAction[Any]") -> None:
    predict = add_command(
        commands,
        "predict",
        _predict,
        COMMANDS["predict"],
        examples=("examples/penguins.csv", "mine.csv --model mine --output scored.csv"),
        epilog="Exit codes: 0 done, 64 usage, 65 unfit table, 74 cannot read, write or reach the service.",
    )
    predict.add_argument(
        "table", type=Path, help="CSV file with a header; columns that are no features are passed over"
    )
    predict.add_argument(
        "--url", default="http://127.0.0.1:8080", help="where the service listens (default: %(default)s)"
    )
    predict.add_argument("--model", help="needed only where several are served")
    predict.add_argument(
        "--key-file", type=Path, help=f"file with the API key, where the service asks for one (default: ${API_KEY})"
    )
    predict.add_argument("--output", type=Path, help="CSV file to write (default: standard output)")


if __name__ == "__main__":
    sys.exit(main())
