"""`python -m service`: serve the model repository over HTTP."""

import argparse
import os
import sys
from collections.abc import Sequence

from models.terminal import IO, USAGE, CommandLine, run
from service.errors import InvalidSetting
from service.server import serve
from service.settings import Settings

EXIT_CODES: dict[type[Exception], int] = {InvalidSetting: USAGE, OSError: IO}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop, and return the exit code."""
    _parser().parse_args(arguments)
    return run("service", lambda: serve(Settings.from_environment(os.environ)), EXIT_CODES)


def _parser() -> CommandLine:
    settings = "\n".join(
        f"  EVENKEEL_{name.upper():<16} {field.description} (default: {field.default})"
        for name, field in Settings.model_fields.items()
    )
    return CommandLine(
        prog="python -m service",
        description="Serve the model repository over HTTP.",
        epilog=f"settings, from the environment:\n{settings}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    sys.exit(main())
