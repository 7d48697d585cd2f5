"""What the three command lines share: sysexits exit codes, and one way to refuse."""

import argparse
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from models.absent import instead_of
from models.extras import way_to
from models.output import Unwritten, guarded

USAGE = 64
DATA = 65
NO_INPUT = 66
MEMORY = 71
IO = 74
# What a shell says of a program that SIGPIPE ended.
UNREAD = 141
INTERRUPTED = 130

LONGEST_SENTENCE = 1000
NARROWEST, WIDEST = 40, 120

NO_MEMORY = (
    "there is not enough memory for this; end other programs, give a smaller table or, to fit, a smaller --memory, "
    "which reads the table in blocks"
)

# A word of a command, with what stands in quotes, and a flag with its value.
QUOTED_WORD = re.compile(r"""(?:--[\w-]+ (?!-))?(?:[^\s'"]|'[^']*'|"[^"]*")+""")

OURS = ("evenkeel", "models", "service", "trainer")


class CommandLine(argparse.ArgumentParser):
    """An argument parser with a short usage and examples.

    What is wrong with a command line is one sentence on stderr, and exit code 64 (EX_USAGE).
    """

    def __init__(self, *, description: str | None = None, examples: Sequence[str] = (), **options: Any) -> None:
        """`examples` are what may stand behind the command's own name."""
        super().__init__(**{"formatter_class": Paragraphs, **options})
        commands = (f"{self.prog} {example}".rstrip() for example in examples)
        shown = "\n".join(["examples:", *(line for one in commands for line in continued(one, room(), 2))])
        self.description = "\n\n".join(text for text in (description, shown if examples else "") if text)

    def format_help(self) -> str:
        if self.usage is None:
            self.usage = self._short_usage()
        return super().format_help()

    def _short_usage(self) -> str:
        """What must be given; the rest is listed below it."""
        words, optional = [self.prog], False
        for action in sorted(self._actions, key=lambda action: bool(action.option_strings)):
            name = str(action.metavar or action.dest)
            if action.required and action.option_strings:
                words.append(f"{action.option_strings[0]} {name.upper()}")
            elif action.option_strings:
                optional = True
            else:
                words.append(name.upper() if action.required else f"[{name.upper().strip('[]')}]")
        return " ".join([*words, *(["[options]"] if optional else [])]).replace("%", "%%")

    def error(self, message: str) -> NoReturn:
        refuse(self.prog, f"{message}; {self.prog} --help shows the options")
        raise SystemExit(USAGE)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What was typed; what a command does not know is refused by that command, which has the options."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parser: CommandLine = getattr(options, "parser", self)
            parser.error(f"unrecognized arguments: {' '.join(unknown)}{parser._nearest(unknown)}")
        return options

    def _nearest(self, unknown: Sequence[str]) -> str:
        """The flags of this command that may be meant by those that it does not know."""
        flags = [flag[2:] for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        names = [one[2:].partition("=")[0] for one in unknown if one.startswith("--")]
        nearest = dict.fromkeys(f"--{flag}" for name in names for flag in get_close_matches(name, flags, 1))
        return f"; {' and '.join(nearest)} may be meant" if nearest else ""


class Paragraphs(argparse.HelpFormatter):
    """Wraps each paragraph of a description; the lines of one that has indented lines stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = (
            one if "\n  " in one else super(Paragraphs, self)._fill_text(one, width, indent)
            for one in text.split("\n\n")
        )
        return "\n\n".join(paragraphs)


def add_command(
    commands: "argparse._SubParsersAction[Any]",
    name: str,
    command: Callable[..., None],
    summary: str,
    *,
    examples: Sequence[str],
    epilog: str | None = None,
) -> CommandLine:
    """Add a command that does something, with a sentence that says what, and what somebody would type."""
    parser: CommandLine = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", examples=examples, epilog=epilog
    )
    parser.set_defaults(command=command, parser=parser)
    return parser


def add_model(parser: argparse.ArgumentParser, *, flag: bool = False) -> None:
    """Let a command take a model and, behind it or as a flag, one of its versions."""
    parser.add_argument("name", help="name of the model")
    given: dict[str, Any] = {"metavar": "N"} if flag else {"nargs": "?"}
    what = "version (default: the serving version)"
    parser.add_argument("--version" if flag else "version", type=version_number, help=what, **given)


def version_number(text: str) -> int:
    """The version that somebody typed.

    :raises argparse.ArgumentTypeError: it is none.
    """
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text[:64]}' is no version: versions are 1, 2, 3, …")
    return int(text)


@contextmanager
def needing(extra: str, command: str) -> Iterator[None]:
    """Let a library that is not installed end a command with one sentence, which names the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in OURS:
            raise
        sentence = f"needs {library}: {way_to(extra)}"
        print(f"{command}: {sentence}", file=sys.stderr)
        raise SystemExit(USAGE) from None


def run(program: str, command: Callable[[], None], exit_codes: Mapping[type[Exception], int]) -> int:
    """Run a command; turn a refusal that `exit_codes` names into one sentence on stderr and its exit code.

    Where memory does not suffice it leaves with 71. A Ctrl-C that the command does not take leaves with 130. Output
    that cannot be written leaves with 74, and without a word with 141 where whoever read it has gone, as `head` does.
    In all of these the sentence ends with what `noting` has noted.
    """
    with guarded() as stderr:
        code, sentence = _ending(command, exit_codes)
        with suppress(Unwritten):  # Of what a refused command had printed; the refusal says more.
            sys.stdout.flush()
        if sentence:
            tell(program, sentence)
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


def spelled_out(text: str) -> str:
    """Text that no terminal takes for a command: control characters are spelled out."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def printable(text: str, longest: int) -> str:
    """The same, cut where it grows too long."""
    shown = spelled_out(text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def label(text: str, longest: int) -> str:
    """The name of a class: in quotes where a blank at one of its ends would else not be seen."""
    shown = printable(text, longest)
    return shown if text and text == text.strip() else f"'{shown}'"


def room() -> int:
    """How many columns a line has: those of the terminal, up to a line that is read at ease; 80 where there is none."""
    return min(max(shutil.get_terminal_size((80, 24)).columns, NARROWEST), WIDEST)


def wrapped(text: str, width: int, hanging: int = 0) -> list[str]:
    """The lines of a text that is wrapped between words, all but the first `hanging`.

    A word is never broken, nor what somebody is to type, such as `kind = "date"`. A command at the end begins a line of
    its own, and goes on behind a backslash: what is copied from the terminal runs.
    """
    if text.startswith("evenkeel "):
        return continued(text, width, 0)
    sentence, colon, command = text.partition(": evenkeel ")
    if len(text) > width and colon and ": evenkeel " not in command and ", and evenkeel " not in command:
        return [*wrapped(f"{sentence}:", width, hanging), *continued(f"evenkeel {command}", width, hanging)]
    glued = text.replace(" = ", "\u00a0=\u00a0")
    lines = textwrap.wrap(glued, width, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\u00a0=\u00a0", " = ") for line in lines] or [""]


def continued(command: str, width: int, hanging: int) -> list[str]:
    """The lines of a command of the shell, each but the last with a backslash; what is quoted stays in one."""
    lines = [" " * hanging]
    for word in QUOTED_WORD.findall(command):
        if lines[-1].strip() and len(lines[-1]) + len(word) + 3 > width:
            lines[-1] += " \\"
            lines.append(" " * (hanging + 2))
        lines[-1] += f" {word}" if lines[-1].strip() else word
    return lines


def show(text: str) -> None:
    """Print a result; on a terminal, its longer lines are wrapped between words."""
    if sys.stdout.isatty():
        lines = text.split("\n")
        text = "\n".join(part for line in lines for part in _fitting(line, room()))
    print(text)


def _fitting(line: str, width: int) -> list[str]:
    indent = len(line) - len(line.lstrip())
    return [line] if len(line) <= width else wrapped(line, width, hanging=indent + 2)


def refuse(program: str, sentence: str) -> None:
    """Say on stderr what is wrong with a command line, in lines that fit a terminal."""
    text = f"{program}: {sentence}"
    if sys.stderr.isatty():
        # Not by `wrapped`, which takes a text that begins with "evenkeel " for a command.
        lines = textwrap.wrap(text, room(), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        text = "\n".join(lines)
    print(text, file=sys.stderr)


def tell(kind: str, sentence: str) -> None:
    """Say something beside the result: on stderr, wrapped between words on a terminal, one line elsewhere."""
    text = f"{kind}: {sentence}"
    print("\n".join(wrapped(text, room(), hanging=2)) if sys.stderr.isatty() else text, file=sys.stderr)


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
        return code, "" if code == UNREAD else sentence_of(error)
    except tuple(exit_codes) as error:
        return next(code for kind, code in exit_codes.items() if isinstance(error, kind)), sentence_of(error)
    except MemoryError as error:
        return MEMORY, sentence_of(error, NO_MEMORY)
    except KeyboardInterrupt as error:
        return INTERRUPTED, sentence_of(error, "interrupted")
    return 0, ""


def _exit_code(failure: OSError | None) -> int:
    if failure is None:
        return 0
    return UNREAD if isinstance(failure, BrokenPipeError) else IO


def sentence_of(error: BaseException, otherwise: str = "") -> str:
    """What a person is told of an error: one printable line."""
    sentence = otherwise or str(error)
    if isinstance(error, OSError) and error.strerror:
        sentence = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        if isinstance(error.filename, str) and ";" not in error.strerror:  # Else it says already what to type.
            sentence = "; ".join(filter(None, [sentence, instead_of(Path(error.filename), error.errno)]))
    return "; ".join([printable(sentence, LONGEST_SENTENCE), *getattr(error, "__notes__", [])])
