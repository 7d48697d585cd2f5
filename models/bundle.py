"""All files of one version, as they were published: what moves between repositories and archives.

A bundle is checked when it is made: each of its files is listed in the card, and has the digest that the card states.
The bytes of card.json stay as they are, so provenance and the card's own digest are the same wherever a version lies.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from models import files as disk
from models.card import FileDigest, ModelCard
from models.errors import CorruptModel
from models.naming import FILE
from models.seal import CARD, is_unbroken

MODEL = "model.onnx"


@dataclass(frozen=True)
class Bundle:
    """One version: its card, all of its files with card.json among them, and the digest of card.json."""

    card: ModelCard
    version: int
    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """The digest of card.json, which vouches for all other files: equal digests are equal versions."""
        return disk.sha256(self.files[CARD])


def read_card(data: bytes, name: str, version: int) -> ModelCard:
    """The card that card.json of a version holds.

    :raises CorruptModel: it cannot be read, is another model's, or is not what was published.
    """
    where = f"{CARD} of {name} version {version}"
    try:
        card = ModelCard.model_validate_json(data)
        json.loads(data, parse_int=_within_64_bits)
    except ValidationError as error:
        raise CorruptModel(f"{where}: {first_fault(error)}") from None
    except ValueError as error:
        raise CorruptModel(f"{where}: {error}") from None
    if card.name != name:
        raise CorruptModel(f"{where} describes another model, '{card.name}'")
    if not is_unbroken(card, data):
        raise CorruptModel(f"{where} {disk.DIFFERS}")
    return card


def listed(card: ModelCard, version: int) -> dict[str, FileDigest]:
    """The files that lie beside card.json, in the order of their names.

    :raises CorruptModel: there is no model.onnx among them, or one is no plain name.
    """
    if MODEL not in card.files:
        raise CorruptModel(f"{CARD} of {card.name} version {version} lists no {MODEL}")
    for file in card.files:
        if not FILE.fullmatch(file):
            raise CorruptModel(
                f"'{file[:64]}' of {card.name} version {version} is no name of a file beside {CARD}: at most 128 "
                "letters, digits and ._-, the first a letter or a digit"
            )
    return {file: card.files[file] for file in sorted(card.files) if file != CARD}


def check_file(data: bytes, digest: FileDigest, where: str) -> None:
    """Hold a file against its digest.

    :raises CorruptModel: it differs.
    """
    if len(data) != digest.bytes or disk.sha256(data) != digest.sha256:
        raise CorruptModel(f"{where} {disk.DIFFERS}")


def _within_64_bits(digits: str) -> None:
    """Other readers of JSON hold no longer number, or lose its last digits."""
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise ValueError(f"{digits[:24]} does not fit in 64 bits")


def first_fault(error: ValidationError) -> str:
    """The first of a document's faults, and where it stands."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{place}: {first['msg']}"
