"""What the three command lines share: sysexits exit codes, and one way to refuse."""

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

USAGE = 64
DATA = 65
IO = 74


class CommandLine(argparse.ArgumentParser):
    """An argument parser that leaves with exit code 64 (EX_USAGE) and says what would have been right."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def run(
    program: str,
    command: Callable[[], None],
    exit_codes: Mapping[type[Exception], int],
    *,
    interrupted: str = "interrupted",
) -> int:
    """Run a command; turn a refusal that `exit_codes` names into one sentence on stderr and its exit code.

    A Ctrl-C that the command does not take leaves with 130 and the sentence `interrupted`.
    """
    try:
        command()
    except tuple(exit_codes) as error:
        print(f"{program}: {_sentence(error)}", file=sys.stderr)
        return next(code for kind, code in exit_codes.items() if isinstance(error, kind))
    except KeyboardInterrupt:
        print(f"{program}: {interrupted}", file=sys.stderr)
        return 130
    return 0


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
