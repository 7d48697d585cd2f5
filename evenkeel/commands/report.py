"""`report NAME [VERSION]`: the report of a published version, drawn anew from its card and its figures."""

import argparse
import sys
from pathlib import Path
from typing import Any

from models.figures import figures_of
from models.output import write_result
from models.repository import ModelRepository
from models.terminal import add_command, add_model
from models.wording import command_on
from trainer.errors import InvalidSetting
from trainer.files import replace_file
from trainer.report.report import report


def add_report(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command `report`."""
    parser = add_command(
        commands,
        "report",
        redraw,
        "draw the report of a published version anew: one HTML file",
        examples=("penguins --output penguins.html", "penguins 1 > penguins-1.html"),
        epilog="fit writes the same beside the model, as report.html. Exit codes: 0 done, 64 usage, 65 no such "
        "model or version, or it is corrupt, 74 cannot write.",
    )
    add_model(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="HTML file to write (default: standard output)")


def redraw(repository: ModelRepository, options: argparse.Namespace) -> None:
    """Write the page of a version to a file, or to standard output.

    :raises ModelError: there is no such version, or it is not intact.
    :raises InvalidSetting: it would go to a terminal.
    """
    output: Path | None = options.output
    if output is None and sys.stdout.isatty():
        raise InvalidSetting(
            f"a report is a page of HTML, and this is a terminal; give it a file: {command_on(repository, 'report')} "
            f"{options.name} --output {options.name}.html"
        )
    version = options.version or repository.serving_version(options.name)
    page = report(repository.card(options.name, version), figures_of(repository, options.name, version))
    if output is None:
        write_result(page.encode())
    else:
        replace_file(output, page)
        print(f"Written to {output}")
