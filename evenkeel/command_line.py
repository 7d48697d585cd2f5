"""The command `evenkeel`: those of trainer, models and service, and what needs a table and a published model at once.

Each command is looked up by its name, and only then imported: no side needs the other's libraries. A container image
holds one side only, and has the commands of that side.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from models import __version__
from models.remote import opened
from models.terminal import INTERRUPTED, USAGE, CommandLine, needing, refuse, run, tell

# The commands of this package, each in a module of its name.
OWN = {
    "evaluate": "measure a published model on labelled rows",
    "explain": "show feature importance, or explain the answer to one row",
    "compare": "compare two versions of a model",
    "report": "write the training report of a version: one HTML file",
    "drift": "show whether live rows still follow the training distribution",
    "performance": "show accuracy as tested, as expected of live rows, and by labels",
}
ANSWERING = {
    "predict": "score a file of rows, with or without a service",
    "page": "write a model as one HTML file that predicts offline",
}
# Those that ask a service, and no repository.
REMOTE = frozenset({"drift", "performance"})
# Of the service's commands, those that read its prediction log.
AUDITING = ("replay", "forget")
MODELS = {"models": "list, show, promote, rollback, canary, export, import, copy, …"}
SIDES = ("trainer", "service")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Ctrl-C may come while a command is imported."""
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        tell("evenkeel", "interrupted")
        return INTERRUPTED


def _main(arguments: Sequence[str] | None) -> int:
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    # Read when onnxruntime is imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if name in ("-h", "--help", "help"):
        return run("evenkeel", lambda: print(overview()), {})
    if name == "--version":
        return run("evenkeel", lambda: print(f"evenkeel {__version__}"), {})
    sides = _sides()
    for side, commands in sides.items():
        if name in commands:
            return int(import_module(f"{side}.__main__").main([name, *rest], "evenkeel"))
    if name in MODELS:
        return int(import_module("models.__main__").main(rest, "evenkeel models"))
    if name in OWN | ANSWERING and len(sides) == len(SIDES):
        return _own(name, rest)
    nearest = get_close_matches(name, [command for group in _groups().values() for command in group], 1)
    meant = f"'evenkeel {nearest[0]}' may be meant; " if nearest else ""
    absent = "".join(f", for the {side} is not installed here" for side in SIDES if side not in sides)
    refuse("evenkeel", f"there is no command {name[:64]!r}{absent}; {meant}evenkeel --help lists them")
    return USAGE


def _sides() -> dict[str, dict[str, str]]:
    """The commands of each program that is here."""
    return {side: import_module(side).COMMANDS for side in SIDES if find_spec(side)}


def _groups() -> dict[str, dict[str, str]]:
    """The commands that are here, in the order in which somebody needs them, under headings."""
    sides = _sides()
    whole = len(sides) == len(SIDES)
    serving = sides.get("service", {})
    auditing = {name: serving[name] for name in AUDITING if name in serving}
    serving = {name: summary for name, summary in serving.items() if name not in auditing}
    return {
        "train": sides.get("trainer", {}),
        "evaluate": OWN if whole else {},
        "predict": (ANSWERING if whole else {}) | serving,
        "audit": auditing,
        "deploy": MODELS,
    }


def overview() -> str:
    """Every command with a line, under headings."""
    lines = ["usage: evenkeel COMMAND ...", "", "A classifier for tables: from a file of rows to answers over HTTP."]
    groups = _groups()
    for heading, commands in groups.items():
        if commands:
            lines += ["", f"{heading}:", *(f"  {name:<11} {summary}" for name, summary in commands.items())]
    examples = (
        ("fit", "examples/penguins.csv --target species --name penguins"),
        ("serve", "--port 9000"),
    )
    shown = [f"  evenkeel {name} {rest}" for name, rest in examples if any(name in group for group in groups.values())]
    return "\n".join([*lines, "", "examples:", *shown, "", "evenkeel COMMAND --help shows the options of each."])


def _own(name: str, arguments: Sequence[str]) -> int:
    parser = CommandLine(prog="evenkeel")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    with needing("trainer", f"evenkeel {name}"):
        from evenkeel.errors import EXIT_CODES

        module = import_module(f"evenkeel.commands.{name}")
    getattr(module, f"add_{name}")(commands)
    if name not in REMOTE:
        commands.choices[name].add_argument(
            "--repository",
            metavar="STORE",
            help="model repository, a folder or s3:// URL (default: EVENKEEL_REPOSITORY or models/store)",
        )

    def execute() -> None:
        options: argparse.Namespace = parser.parse_args([name, *arguments])
        where: str | None = getattr(options, "repository", None)
        options.command(opened(where, os.environ, partial(tell, "evenkeel")), options)

    return run("evenkeel", execute, EXIT_CODES)
