"""Settings and sentences of the command line as Python has them."""

import numbers
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.errors import InvalidSetting

# Parameters that are no single value.
LISTS, TUPLES, SWITCHES = ("drop", "keep"), ("hidden", "student"), ("keep_total", "merge_spellings")
FILES = {"schema": "evenkeel inspect writes one"}
NAMES = ("target", "weight", "group", "time", "split_by")
# A flag and the word behind it, which is its value if it stands in quotes, in capitals or as a number; after some flags
# other words are, and after none a word of the sentence.
FLAG = re.compile(r"""--([a-z][a-z0-9-]*)(?: ('[^']*'|"[^"]*"|\d+(?:,\d+)+|[^\s;,:()<]*[^\s;,:()<.]))?""")
VALUE = r"""'[^']*'|"[^"]*"|[A-Z_]{3,}|\d[\w.,]*"""
NEVER = r"(?!)"
WORDS = {
    "drop": r".+",
    "keep": r".+",
    "positive": r"(?!(?:is|out|or|and|needs)$).+",
    "threshold": r"f1|recall@.+|cost=.+",
    "statistics": "auto",
    "class_weight": "balanced",
    "batch_norm": "none",
    "encoding": r"utf-8|utf-16-le|windows-1252",
    "on_error": "null",
    "promote": "never",
}


def plain(value: Any) -> Any:
    """Numbers as Python has them, whatever a search drew them from."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | list | tuple):
        return tuple(plain(one) for one in value)
    return value


def in_python(sentence: str) -> str:
    """A sentence of the command line with its flags as parameters; a whole command at its end stays one."""
    words, command, flags = sentence.partition(": evenkeel ")
    return FLAG.sub(_parameter, words) + command + flags


def check_kinds(given: Mapping[str, Any]) -> None:
    """Refuse values of a kind that nobody can type on a command line, with what to write in Python.

    :raises InvalidSetting: there is one.
    """
    for name, value in given.items():
        shown = str(value)[:64]
        if name in LISTS and isinstance(value, str):
            raise InvalidSetting(f"{name} is a list of columns; write {name}=[{shown!r}]")
        if name in TUPLES and isinstance(value, numbers.Integral):
            raise InvalidSetting(f"{name} is the units of each layer; write {name}=({shown},)")
        if name in FILES and not isinstance(value, str | os.PathLike | None):
            kind = type(value).__name__
            raise InvalidSetting(f'{name} is the path of a file, not a {kind}; write {name}="FILE" ({FILES[name]})')
        if name in NAMES and not isinstance(value, str | None):
            raise InvalidSetting(f"{name} is the name of a column, as text; write {name}={shown!r}")


def _parameter(flag: re.Match[str]) -> str:
    name, value = flag[1].replace("-", "_"), flag[2]
    if value is None or not re.fullmatch(f"{VALUE}|{WORDS.get(name, NEVER)}", value):
        said = f"{name}=True" if name in SWITCHES else name
        return said if value is None else f"{said} {value}"
    if name in TUPLES:
        units = value.strip("'\"").split(",")
        return f"{name}=({', '.join(filter(None, units))}{',' * (len(units) == 1 and units != [''])})"
    quoted = value if value[0] in "'\"" or _is_number(value) else f'"{value}"'
    return f"{name}=[{quoted}]" if name in LISTS else f"{name}={quoted}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
