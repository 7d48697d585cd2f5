"""`python -m service`: serve the model repository over HTTP; `python -m service predict`: score a file."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from models.terminal import DATA, IO, USAGE, CommandLine, run
from service.access import KEY, KEY_RULE
from service.client import score
from service.errors import InvalidSetting, RefusedTable
from service.settings import Settings, unknown_variables

API_KEY = "EVENKEEL_API_KEY"

EXIT_CODES: dict[type[Exception], int] = {InvalidSetting: USAGE, RefusedTable: DATA, OSError: IO}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop, or score a file, and return the exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "predict":
        return run("service", lambda: _predict(options), EXIT_CODES)
    return run("service", _serve, EXIT_CODES)


def _serve() -> None:
    # Only whoever serves needs the server and its libraries.
    from service.processes.server import serve

    serve(Settings.from_environment(os.environ), unknown_variables(os.environ))


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


def _parser() -> CommandLine:
    settings = "\n".join(
        f"  EVENKEEL_{name.upper():<16} {field.description} (default: {field.default})"
        for name, field in Settings.model_fields.items()
    )
    parser = CommandLine(
        prog="python -m service",
        description="Serve the model repository over HTTP.",
        epilog=f"settings, from the environment:\n{settings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="[predict]")
    predict = commands.add_parser("predict", help="score a CSV file through a running service")
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
    return parser


if __name__ == "__main__":
    sys.exit(main())
