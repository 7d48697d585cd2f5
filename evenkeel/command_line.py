"""The command `evenkeel`: those of trainer, models and service, and what needs a table and a published model at once.

Each command is looked up by its name, and only then imported: no side needs the other's libraries.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

import service
import trainer
from evenkeel.errors import EXIT_CODES
from models import __version__
from models.repository import ModelRepository
from models.terminal import USAGE, CommandLine, needing, run

# The commands of this package, each in a module of its name.
OWN = {
    "evaluate": "measure a published model on later rows whose classes are known",
    "compare": "hold two versions of a model against each other",
}
SHARED = {"page": "write a model as one HTML file for people, which answers by itself, offline"}
SCORING = {"predict": "score a file of rows, with a service or without one"}
MODELS = {"models": "list, show, verify, promote, rollback, canary, shadow, prune"}
# In the order in which somebody needs them, under headings.
GROUPS = (
    ("train", trainer.COMMANDS),
    ("judge", OWN),
    ("answer", SCORING | SHARED | service.COMMANDS),
    ("decide what serves", MODELS),
)
PROGRAMS = {**dict.fromkeys(trainer.COMMANDS, "trainer"), **dict.fromkeys(service.COMMANDS, "service")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    # Read when onnxruntime is imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if name in ("-h", "--help", "help"):
        return run("evenkeel", lambda: print(overview()), {})
    if name == "--version":
        return run("evenkeel", lambda: print(f"evenkeel {__version__}"), {})
    if name in (*OWN, *SCORING, *SHARED):
        return _own(name, rest)
    if name in PROGRAMS:
        return int(import_module(f"{PROGRAMS[name]}.__main__").main([name, *rest], "evenkeel"))
    if name in MODELS:
        return int(import_module("models.__main__").main(rest, "evenkeel models"))
    nearest = get_close_matches(name, [*OWN, *SCORING, *SHARED, *PROGRAMS, *MODELS], 1)
    meant = f"'evenkeel {nearest[0]}' may be meant; " if nearest else ""
    print(f"evenkeel: there is no command {name[:64]!r}; {meant}evenkeel --help lists them", file=sys.stderr)
    return USAGE


def overview() -> str:
    """Every command with a line, under headings."""
    lines = ["usage: evenkeel COMMAND ...", "", "A classifier for tables: from a file of rows to answers over HTTP."]
    for heading, commands in GROUPS:
        lines += ["", f"{heading}:", *(f"  {name:<9} {summary}" for name, summary in commands.items())]
    lines += [
        "",
        "examples:",
        "  evenkeel fit examples/penguins.csv --target species --name penguins",
        "  evenkeel serve --port 9000",
        "",
        "evenkeel COMMAND --help says more of each.",
    ]
    return "\n".join(lines)


def _own(name: str, arguments: Sequence[str]) -> int:
    parser = CommandLine(prog="evenkeel")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    with needing("trainer", f"evenkeel {name}"):
        module = import_module(f"evenkeel.{name}")
    getattr(module, f"add_{name}")(commands)
    commands.choices[name].add_argument(
        "--repository", type=Path, help="root folder of the models (default: EVENKEEL_REPOSITORY or models/store)"
    )

    def execute() -> None:
        options: argparse.Namespace = parser.parse_args([name, *arguments])
        where: Path | None = options.repository
        options.command(ModelRepository(where) if where else ModelRepository.from_environment(os.environ), options)

    return run("evenkeel", execute, EXIT_CODES)
