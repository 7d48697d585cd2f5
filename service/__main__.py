"""`python -m service`: serve the model repository over HTTP, as `evenkeel serve` does."""

import os
import sys

# `python -m` looks into the working folder first, where somebody may have a models.py of their own.
if not sys.flags.safe_path and os.path.realpath(f"{__file__}/../..") != sys.path[0] == os.getcwd():
    del sys.path[0]

import argparse
from collections.abc import Sequence
from typing import Any

from models.terminal import IO, USAGE, CommandLine, add_command, needing, run
from service import COMMANDS
from service.errors import InvalidSetting
from service.settings import Settings, flag, unknown_variables, variable

# What somebody who starts it by hand thinks of first.
WHAT = (
    *(
        "repository",
        "cache",
        "default_model",
        "host",
        "port",
        "root_path",
        "api_keys_file",
        "allow_origins",
        "allow_hosts",
    ),
    *("workers", "extra_features"),
)

MOVED = "files are scored by evenkeel predict TABLE --url http://127.0.0.1:8080; without --url no service is needed"

EXIT_CODES: dict[type[Exception], int] = {InvalidSetting: USAGE, OSError: IO}


def main(arguments: Sequence[str] | None = None, program: str = "python -m service") -> int:
    """Serve until told to stop, and return the exit code. Without a command it serves."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["predict"]:
        print(f"{program}: {MOVED}", file=sys.stderr)
        return USAGE
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


def _parser(program: str) -> CommandLine:
    parser = CommandLine(prog=program, description="Serve the model repository over HTTP.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    return parser


def _add_serve(commands: "argparse._SubParsersAction[Any]") -> None:
    serve = add_command(
        commands,
        "serve",
        _serve,
        COMMANDS["serve"],
        examples=("", "--port 9000 --repository models/store --model penguins"),
        epilog="A flag overrides its variable. Logs are lines of text on a terminal, and JSON elsewhere. Ctrl-C "
        "stops at once, SIGTERM after the requests in flight. Exit codes: 0 done, 64 usage, 74 cannot listen.",
    )
    what, limits = serve.add_argument_group("serving"), serve.add_argument_group("limits and logs")
    for setting, field in Settings.model_fields.items():
        default = "" if field.default in (None, "") else f"; {field.default} by default"
        names = ["--model", flag(setting)] if setting == "default_model" else [flag(setting)]
        explained = f"{field.description} ({variable(setting)}{default})"
        group = what if setting in WHAT else limits
        if field.annotation is bool:
            group.add_argument(*names, action=argparse.BooleanOptionalAction, help=explained)
        else:
            group.add_argument(*names, dest=setting, metavar=setting.rpartition("_")[2].upper(), help=explained)


if __name__ == "__main__":
    sys.exit(main())
