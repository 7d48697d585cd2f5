"""The text of a file in UTF-8: one rule for a table that is read whole and for one that is read in blocks."""

import codecs
import io
from collections.abc import Callable
from pathlib import Path

from trainer.data.wording import refusal
from trainer.errors import InvalidSetting

CHUNK = 1 << 20
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_UTF8 = ("utf-8", "utf8", "utf-8-sig")


class Text:
    """The text of a file in UTF-8, without a byte-order mark.

    Its `encoding` is the given one, else what its mark says; without a mark, the first bytes that are not ASCII tell
    whether it is UTF-8 or Windows-1252. None as long as there were none.
    """

    def __init__(self, path: Path, source: Callable[[int], bytes], encoding: str | None) -> None:
        """Begin to read; `source` gives the next so many bytes of the file, fewer only at its end.

        :raises InvalidSetting: no encoding has the given name.
        """
        self._path, self._source, self._named = path, source, encoding is not None
        self.encoding: str | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        # How many bytes were read, and the last of them where they may be the beginning of a character.
        self._place, self._kept = 0, b""
        if encoding is not None:
            self._decide(encoding)

    def read(self, size: int) -> bytes:
        """About so many bytes more; none at the end.

        :raises InvalidTable: they are not in the encoding.
        """
        text = b""
        while not text:
            chunk, first = self._source(size), not self._place
            if first and self.encoding is None:
                for mark in filter(chunk.startswith, MARKS):
                    self._decide(MARKS[mark])
            self._place += len(chunk)
            text = self._as_utf8(chunk, final=not chunk)
            if first:
                text = text.removeprefix(codecs.BOM_UTF8)
            if not chunk:
                break
        if (place := text.find(b"\0")) >= 0:
            raise refusal("nul", path=self._path, byte=self._place - len(chunk) + place)
        return text

    def _as_utf8(self, chunk: bytes, *, final: bool) -> bytes:
        if self._decoder is None:
            chunk, self._kept = self._kept + chunk, b""
            if chunk.isascii():
                return chunk
            begun = self._undecided(chunk, final=final)
            if begun is not None:
                return begun
        assert self._decoder is not None
        try:
            decoded = self._decoder.decode(chunk, final)
        except UnicodeError as error:
            raise self._refused(error) from None
        return chunk if self.encoding == "utf-8" else decoded.encode()

    def _undecided(self, chunk: bytes, *, final: bool) -> bytes | None:
        """The ASCII before a character that has only begun with the last bytes; None when the encoding is known."""
        try:
            text = codecs.getincrementaldecoder("utf-8")().decode(chunk, final)
        except UnicodeDecodeError as error:
            if _is_utf8_elsewhere(chunk):
                byte, value = self._place - len(chunk) + error.start, f"{chunk[error.start]:#04x}"
                raise refusal("half_utf8", path=self._path, byte=byte, value=value) from None
            self._decide("windows-1252")
            return None
        if text.isascii():
            self._kept = chunk[len(text) :]
            return chunk[: len(text)]
        self._decide("utf-8")
        return None

    def _decide(self, encoding: str) -> None:
        try:
            self.encoding = "utf-8" if encoding.lower() in _UTF8 else encoding
            bytes(4).decode(self.encoding)  # This refuses what makes no text of bytes, such as rot13 and base64.
            self._decoder = codecs.getincrementaldecoder(self.encoding)()
        except (LookupError, ValueError):  # Of a name with a NUL.
            raise InvalidSetting(f"no encoding is called '{encoding}'; say --encoding utf-8 or windows-1252") from None

    def _refused(self, error: UnicodeError) -> Exception:
        data, start = getattr(error, "object", b"\0"), getattr(error, "start", 0)
        by_itself = {"utf-8": "half_utf8", "windows-1252": "no_encoding"}
        code = "other_encoding" if self._named else by_itself.get(str(self.encoding), "other_encoding")
        facts = {"value": f"{data[start]:#04x}", "encoding": str(self.encoding).upper()}
        return refusal(code, path=self._path, byte=self._place - len(data) + start, **facts)


def whole_text(path: Path, data: bytes, encoding: str | None) -> tuple[bytes, str]:
    """All of a file's text in UTF-8, and the encoding that it was in.

    :raises InvalidSetting: no encoding has the given name.
    :raises InvalidTable: it is not in the encoding.
    """
    text = Text(path, io.BytesIO(data).read, encoding)
    as_it_is, decoded = 0, []
    while part := text.read(CHUNK):
        if text.encoding in (None, "utf-8"):
            as_it_is += len(part)
        else:
            decoded.append(part)
    # What is UTF-8 already is not copied.
    whole = b"".join([data[:as_it_is], *decoded]) if decoded else data.removeprefix(codecs.BOM_UTF8)
    return whole, text.encoding or "utf-8"


def _is_utf8_elsewhere(data: bytes) -> bool:
    """Whether most of what is not ASCII is UTF-8 all the same; in Windows-1252 it is so by rare chance."""
    text = data.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    return len(text) - len(text.encode("ascii", "ignore")) - wrong > wrong
