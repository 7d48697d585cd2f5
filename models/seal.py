"""The seal of a version: card.json states the digest of every file, its own among them."""

from collections.abc import Mapping

from models.card import FileDigest, ModelCard
from models.files import sha256

CARD = "card.json"
BLANK = "0" * 64


def sealed(card: ModelCard, files: Mapping[str, bytes]) -> bytes:
    """The text of card.json. Its own digest is that of the text with zeros in the digest's place."""
    digests = {file: FileDigest(bytes=len(data), sha256=sha256(data)) for file, data in files.items()}
    own = FileDigest(bytes=0, sha256=BLANK)
    while True:
        text = card.model_copy(update={"files": {**digests, CARD: own}}).to_json().encode()
        if len(text) == own.bytes:
            return text.replace(_stated(BLANK), _stated(sha256(text)))
        own = FileDigest(bytes=len(text), sha256=BLANK)


def is_unbroken(card: ModelCard, data: bytes) -> bool:
    """Whether a card was read from the text it was sealed with; one from before there were seals has none to break."""
    own = card.files.get(CARD)
    if own is None:
        return True
    return len(data) == own.bytes and sha256(data.replace(_stated(own.sha256), _stated(BLANK))) == own.sha256


def _stated(digest: str) -> bytes:
    # With the key in front, as no text that a card quotes can hold it.
    return f'"sha256": "{digest}"'.encode()
