"""Commands that ask a running service about a version: their options, the question, and the answer in lines."""

import argparse
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evenkeel.client.connection import Connection
from evenkeel.scoring.local import API_KEY, address_from_settings, api_key
from models.repository import ModelRepository
from models.terminal import add_command, add_model, tell

LONGEST_SUMMARY = 400
EXAMPLES = ("penguins", "penguins 3 --url http://127.0.0.1:8080")
EXIT_CODES = "Exit codes: 0 done, 64 usage, 65 refused by the service, 74 cannot reach the service."


def add_question(
    commands: "argparse._SubParsersAction[Any]",
    name: str,
    summary: str,
    epilog: str,
    lines: Callable[[Any], Iterable[str]],
) -> None:
    """Add a command that prints, in `lines`, what the service has under `name` of a version."""
    epilog = f"{epilog} {EXIT_CODES}"
    parser = add_command(commands, name, partial(_ask, name, lines), summary, examples=EXAMPLES, epilog=epilog)
    add_model(parser)
    parser.add_argument(
        "--url", metavar="ADDRESS", help="address of the service (default: EVENKEEL_HOST and EVENKEEL_PORT)"
    )
    parser.add_argument(
        "--patience", type=float, default=60.0, metavar="SECONDS", help="time to wait for the service (default: 60)"
    )
    parser.add_argument("--key-file", type=Path, metavar="FILE", help=f"file with the API key (default: ${API_KEY})")


def _ask(what: str, lines: Callable[[Any], Iterable[str]], _: ModelRepository, options: argparse.Namespace) -> None:
    """Print what a service tells of a version.

    :raises RefusedByService: it has no such model, or wants another key.
    :raises Unreachable: it does not answer.
    """
    url, key = options.url or address_from_settings(), api_key(options.key_file)
    version = f"/versions/{options.version}" if options.version else ""
    with closing(Connection(url, key, options.patience, partial(tell, "note"))) as service:
        told = service.document(f"/v1/models/{quote(options.name, safe='')}{version}/{what}")
    try:
        text = "\n".join(lines(told))
    except (KeyError, TypeError, ValueError, IndexError):
        raise service.stranger() from None
    print(text)
