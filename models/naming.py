"""What things are called in a repository, wherever it lies."""

import re
from pathlib import Path

from models.errors import InvalidName, TakenVersion

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
VERSION = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
# What lies beside a card.
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
SERVING = "serving.json"


def check_name(name: str) -> None:
    """Refuse what is no name of a model.

    :raises InvalidName: it breaks the grammar.
    """
    if not NAME.fullmatch(name):
        raise InvalidName(f"'{name[:64]}' is no model name: at most 64 of a-z, 0-9, '-' and '_', the first a letter")


def taken(root: Path | str, name: str, version: int) -> TakenVersion:
    """The refusal of a version whose number another one has."""
    return TakenVersion(
        f"the repository {root} holds another version {version} of '{name}', and published versions never change; "
        "--next publishes this one under the next free number"
    )
