"""What the three command lines share: sysexits exit codes, and one way to refuse."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NoReturn

from models.output import Unwritten, guarded

USAGE = 64
DATA = 65
IO = 74
# What a shell says of a program that SIGPIPE ended.
UNREAD = 141
INTERRUPTED = 130

LONGEST_SENTENCE = 1000


class CommandLine(argparse.ArgumentParser):
    """An argument parser that leaves with exit code 64 (EX_USAGE) and says what would have been right."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def run(program: str, command: Callable[[], None], exit_codes: Mapping[type[Exception], int]) -> int:
    """Run a command; turn a refusal that `exit_codes` names into one sentence on stderr and its exit code.

    A Ctrl-C that the command does not take leaves with 130. Output that cannot be written leaves with 74, and without a
    word with 141 where whoever read it has gone, as `head` does. In all of these the sentence ends with what
    `noting` has noted.
    """
    with guarded() as stderr:
        code, sentence = _ending(command, exit_codes)
        with suppress(Unwritten):  # Of what a refused command had printed; the refusal says more.
            sys.stdout.flush()
        if sentence:
            print(f"{program}: {sentence}", file=sys.stderr)
        return code or _exit_code(stderr.failure)


@contextmanager
def noting(fact: str, *kinds: type[BaseException]) -> Iterator[None]:
    """Let the sentence of whatever ends a command in this block, or only of these kinds, say also what is done by then.

    What was printed is written before the block is over, so that a full disk ends the command in here.
    """
    endings = kinds or (Exception, KeyboardInterrupt)
    try:
        yield
        sys.stdout.flush()
    except endings as error:
        error.add_note(fact)
        raise


def printable(text: str, longest: int) -> str:
    """Text that no terminal takes for a command: control characters spelled out, cut where it grows too long."""
    shown = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def print_json(text: str, end: str = "\n") -> None:
    """Print JSON; where the encoding of stdout lacks a character, it is spelled as JSON does."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = "".join(one if one.isascii() else json.dumps(one)[1:-1] for one in text)
    print(text, end=end)


def _ending(command: Callable[[], None], exit_codes: Mapping[type[Exception], int]) -> tuple[int, str]:
    """The exit code and the sentence that a command ends with."""
    try:
        try:
            command()
        except SystemExit as leaving:  # After --help.
            if leaving.code:
                raise
        sys.stdout.flush()
    except Unwritten as error:
        code = _exit_code(error.reason)
        return code, "" if code == UNREAD else _sentence(error)
    except tuple(exit_codes) as error:
        return next(code for kind, code in exit_codes.items() if isinstance(error, kind)), _sentence(error)
    except KeyboardInterrupt as error:
        return INTERRUPTED, _sentence(error, "interrupted")
    return 0, ""


def _exit_code(failure: OSError | None) -> int:
    if failure is None:
        return 0
    return UNREAD if isinstance(failure, BrokenPipeError) else IO


def _sentence(error: BaseException, otherwise: str = "") -> str:
    sentence = otherwise or str(error)
    if isinstance(error, OSError) and error.strerror:
        sentence = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "; ".join([printable(sentence, LONGEST_SENTENCE), *getattr(error, "__notes__", [])])
