"""A card that vouches for itself: it states the digest of every file of its version, and its own."""

from collections.abc import Mapping

from models.card import FileDigest, ModelCard
from models.files import sha256

CARD = "card.json"
BLANK = "0" * 64


def sealed(card: ModelCard, files: Mapping[str, bytes]) -> bytes:
    """The text of card.json, with the digest of each file and its own."""
    digests = {file: FileDigest(bytes=len(data), sha256=sha256(data)) for file, data in files.items()}
    own = FileDigest(bytes=0, sha256=BLANK)
    while True:
        text = card.model_copy(update={"files": {**digests, CARD: own}}).to_json().encode()
        if len(text) == own.bytes:
            return text.replace(_stated(BLANK), _stated(sha256(text)))
        own = FileDigest(bytes=len(text), sha256=BLANK)


def own_digest(data: bytes, stated: str) -> FileDigest:
    """The digest that a card should state of itself: that of its text with zeros in the digest's place."""
    return FileDigest(bytes=len(data), sha256=sha256(data.replace(_stated(stated), _stated(BLANK))))


def _stated(digest: str) -> bytes:
    # With the key in front, as no text that a card quotes can hold it.
    return f'"sha256": "{digest}"'.encode()
