"""`python -m service`: serve the model repository over HTTP, as `evenkeel serve` does."""

import os
import sys

# `python -m` looks into the working folder first, where somebody may have a models.py of their own.
if not sys.flags.safe_path and os.path.realpath(f"{__file__}/../..") != sys.path[0] == os.getcwd():
    del sys.path[0]

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.errors import InvalidName
from models.prediction_log import NoLog
from models.terminal import DATA, IO, NO_INPUT, USAGE, CommandLine, add_command, needing, run
from service import COMMANDS
from service.errors import NEVER_READY, InvalidSetting, NeverReady, NotLogged, Unproven, Unrepeated
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

# Beside those of sysexits.h, which end with 78.
SOME_UNPROVEN = 80
EXIT_CODES: dict[type[Exception], int] = {
    InvalidSetting: USAGE,
    NeverReady: NEVER_READY,
    InvalidName: USAGE,
    NoLog: NO_INPUT,
    NotLogged: DATA,
    Unrepeated: DATA,
    Unproven: SOME_UNPROVEN,
    OSError: IO,
}


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


def _replay(options: argparse.Namespace) -> None:
    from service.audit.replay import replay

    replay(options)


def _forget(options: argparse.Namespace) -> None:
    from service.audit.forget import forget

    forget(options)


def _parser(program: str) -> CommandLine:
    parser = CommandLine(prog=program, description="Serve the model repository over HTTP.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_replay(commands)
    _add_forget(commands)
    return parser


def _add_serve(commands: "argparse._SubParsersAction[Any]") -> None:
    serve = add_command(
        commands,
        "serve",
        _serve,
        COMMANDS["serve"],
        examples=("", "--port 9000 --repository models/store --model penguins"),
        epilog="A flag overrides its variable. Logs are lines of text on a terminal, and JSON elsewhere. Ctrl-C "
        "stops at once, SIGTERM after the requests in flight. Exit codes: 0 done, 64 usage, 74 cannot listen, 75 "
        "ended by SIGTERM before it was ready.",
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


def _add_replay(commands: "argparse._SubParsersAction[Any]") -> None:
    command = add_command(
        commands,
        "replay",
        _replay,
        COMMANDS["replay"],
        examples=("/var/lib/predictions", "/var/lib/predictions --repository models/store --json"),
        epilog="On one class of processors, and with one onnxruntime, every bit must be the same; elsewhere a "
        "probability may differ by 4 units in the last place. Exit codes: 0 every answer was repeated, 64 usage, 65 an "
        "answer differs or a line was altered, 66 no log, 74 cannot read, 80 some answers cannot be repeated.",
    )
    _add_log(command)
    command.add_argument(
        "--repository",
        metavar="STORE",
        help="model repository, a folder or s3:// URL (default: EVENKEEL_REPOSITORY or models/store)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_forget(commands: "argparse._SubParsersAction[Any]") -> None:
    command = add_command(
        commands,
        "forget",
        _forget,
        COMMANDS["forget"],
        examples=("/var/lib/predictions 94d9dcc1be4ddda7bbfe000000000000", "/var/lib/predictions order-1 order-2"),
        epilog="Lines are written over with blanks where they stand; a service may go on writing. Exit codes: 0 done, "
        "64 usage, 65 no line of a request, 66 no log, 74 cannot write.",
    )
    _add_log(command)
    command.add_argument("request_ids", nargs="+", metavar="REQUEST_ID", help="X-Request-Id of the answer")


def _add_log(command: argparse.ArgumentParser) -> None:
    command.add_argument("log", type=Path, help="folder that EVENKEEL_PREDICTION_LOG names, or one file of it")


if __name__ == "__main__":
    sys.exit(main())
