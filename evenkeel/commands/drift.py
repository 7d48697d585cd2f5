"""`drift NAME [VERSION]`: whether the rows that a running service answers still follow the training distribution."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from evenkeel.client.connection import Connection
from evenkeel.commands.bars import Bar, bars
from evenkeel.scoring.local import API_KEY, address_from_settings, api_key
from models.repository import ModelRepository
from models.terminal import add_command, add_model, printable, tell

# Of the features, so many are listed, the furthest first.
MOST_LISTED = 20
HEADER = ("feature", "status", "chance", "missing", "outside", "PSI")
LONGEST_SUMMARY = 400


def add_drift(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command `drift`."""
    parser = add_command(
        commands,
        "drift",
        tell_drift,
        "show whether live rows still follow the training distribution",
        examples=("penguins", "penguins 3 --url http://127.0.0.1:8080"),
        epilog="PSI is the population stability index; chance alone stays below the number under chance; outside are "
        "categories unseen in training and numbers far outside its range. Exit codes: 0 done, 64 usage, 65 refused by "
        "the service, 74 cannot reach the service.",
    )
    add_service(parser)


def add_service(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that asks a service about a version."""
    add_model(parser)
    parser.add_argument(
        "--url", metavar="ADDRESS", help="address of the service (default: EVENKEEL_HOST and EVENKEEL_PORT)"
    )
    parser.add_argument(
        "--patience", type=float, default=60.0, metavar="SECONDS", help="time to wait for the service (default: 60)"
    )
    parser.add_argument("--key-file", type=Path, metavar="FILE", help=f"file with the API key (default: ${API_KEY})")


def ask_service(options: argparse.Namespace, what: str, lines: Callable[[Any], Iterable[str]]) -> list[str]:
    """What a service tells of a version, in lines.

    :raises RefusedByService: it has no such model, or wants another key.
    :raises Unreachable: it does not answer.
    """
    url, key = options.url or address_from_settings(), api_key(options.key_file)
    version = f"/versions/{options.version}" if options.version else ""
    with closing(Connection(url, key, options.patience, partial(tell, "note"))) as service:
        told = service.document(f"/v1/models/{quote(options.name, safe='')}{version}/{what}")
    try:
        return list(lines(told))
    except (KeyError, TypeError, ValueError, IndexError):
        raise service.stranger() from None


def tell_drift(_: ModelRepository, options: argparse.Namespace) -> None:
    """Print what a service tells of the drift of a version.

    :raises RefusedByService: it has no such model, or wants another key.
    :raises Unreachable: it does not answer.
    """
    print("\n".join(ask_service(options, "drift", _lines)))


def _lines(told: Any) -> Iterator[str]:
    model = told["model"]
    yield f"{printable(model['name'], 64)} version {model['version']}, {told['training_rows']} training rows"
    yield printable(told["summary"], LONGEST_SUMMARY)
    if sets := told.get("sets"):
        yield f"sets: {printable(sets['summary'], LONGEST_SUMMARY)}"
    features = [dict(told["predictions"], feature="predicted classes"), *told["features"]]
    for at, window in enumerate(told["windows"]):
        yield ""
        needed = f" (steady takes {window['rows_needed']})" if window["rows"] < window["rows_needed"] else ""
        yield f"{printable(window['name'], 64)}: {window['rows']} rows{needed}"
        if not window["rows"]:
            continue
        listed = sorted(features, key=lambda one: one["windows"][at]["psi"], reverse=True)
        yield from bars(HEADER, [_bar(one["feature"], one["windows"][at]) for one in listed[:MOST_LISTED]])
        if len(listed) > MOST_LISTED:
            yield f"  and {len(listed) - MOST_LISTED} more, whose PSI is lower"


def _bar(name: str, measure: Any) -> Bar:
    outside = measure.get("unseen", measure.get("far_outside", 0.0))
    status = "few rows" if measure["status"] == "too_few_rows" else measure["status"]
    texts = (name, status, f"{measure['band']:.3f}", f"{measure['missing']:.1%}", f"{outside:.1%}")
    return Bar(texts, f"{measure['psi']:.3f}", measure["psi"])
