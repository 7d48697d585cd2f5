"""What the three command lines share: sysexits exit codes, and one way to refuse."""

import argparse
import os
import select
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

USAGE = 64
DATA = 65
IO = 74
# What a shell says of a program that SIGPIPE ended.
UNREAD = 141

LONGEST_SENTENCE = 1000


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

    A Ctrl-C that the command does not take leaves with 130 and the sentence `interrupted`; where whoever read the
    output has gone, as `head` does, it leaves with 141 and says nothing.
    """
    try:
        command()
        print(end="", flush=True)
    except tuple(exit_codes) as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return UNREAD
        print(f"{program}: {printable(_sentence(error), LONGEST_SENTENCE)}", file=sys.stderr)
        return next(code for kind, code in exit_codes.items() if isinstance(error, kind))
    except KeyboardInterrupt:
        print(f"{program}: {interrupted}", file=sys.stderr)
        return 130
    return 0


def printable(text: str, longest: int) -> str:
    """Text that no terminal takes for a command: control characters spelled out, cut where it grows too long."""
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def _nobody_reads() -> bool:
    """Whether stdout or stderr is a pipe without a reader; what Python flushes into it as it ends is thrown away."""
    outputs = select.poll()
    for descriptor in (1, 2):
        outputs.register(descriptor, 0)
    broken = [descriptor for descriptor, event in outputs.poll(0) if event & select.POLLERR]
    for descriptor in broken:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
    return bool(broken)


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
