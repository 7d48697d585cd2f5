"""Settings and sentences of the command line as Python has them."""

import re
from typing import Any

import numpy as np


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
    return re.sub(r"--([a-z][a-z0-9-]*)", lambda flag: flag[1].replace("-", "_"), words) + command + flags
