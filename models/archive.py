"""One version as a tar archive: `NAME/VERSION/card.json`, and behind it the files that the card lists, and no more.

The same version gives the same bytes. The card comes first: by it, each entry behind it has a name, a size and a digest
before it is read, and no archive can make its reader keep or write anything else. Entries are read header by header,
so that links, devices, sparse files and the extensions of tar are never followed.
"""

import tarfile
from io import BytesIO

from models import files as disk
from models.bundle import Bundle, check_file, listed, read_card
from models.compression import Reader, compressed, unfolding
from models.errors import CorruptModel
from models.naming import NAME, VERSION
from models.seal import CARD

# Of all files of a version together.
LARGEST = disk.LARGEST_FILE
# Noise gains nothing by compression, and each entry has a header.
LARGEST_ARCHIVE = LARGEST + (1 << 24)
BLOCK, PIECE = tarfile.BLOCKSIZE, 1 << 20


def pack(bundle: Bundle, archive: str) -> bytes:
    """An archive, compressed by the ending of its name.

    :raises InvalidName: the ending is none of those that are known.
    :raises CorruptModel: the version is too large for an archive.
    """
    _check_total(sum(map(len, bundle.files.values())))
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file in (CARD, *listed(bundle.card, bundle.version)):
            entry = tarfile.TarInfo(f"{bundle.card.name}/{bundle.version}/{file}")  # No owner, and no time.
            entry.size = len(bundle.files[file])
            tar.addfile(entry, BytesIO(bundle.files[file]))
    return compressed(packed.getvalue(), archive)


def unpack(data: bytes, archive: str) -> Bundle:
    """The version that an archive holds, each file checked against the digest of its card.

    :raises InvalidName: the ending is none of those that are known.
    :raises CorruptModel: the archive breaks a rule; nothing of it is to be used.
    """
    try:
        with unfolding(data, archive) as reader:
            return _unpacked(reader)
    except CorruptModel as error:
        raise CorruptModel(f"{archive}: {error}; export the version again") from None


def _unpacked(reader: Reader) -> Bundle:
    path, size = _header(reader) or ("", 0)
    name, version, file = ([*path.split("/"), "", ""])[:3]
    if path.count("/") != 2 or not NAME.fullmatch(name) or not VERSION.fullmatch(version) or file != CARD:
        raise CorruptModel(f"an archive begins with NAME/VERSION/{CARD}, not with '{path[:64]}'")
    if size > disk.LARGEST_TEXT:
        raise CorruptModel(f"{CARD} should have at most {disk.LARGEST_TEXT} bytes, not {size}")
    text = _content(reader, size)
    card = read_card(text, name, int(version))
    missing = listed(card, int(version))
    _check_total(size + sum(digest.bytes for digest in missing.values()))
    files = {CARD: text}
    while entry := _header(reader):
        path, size = entry
        file = path.removeprefix(f"{name}/{version}/")
        if f"{name}/{version}/{file}" != path or (digest := missing.pop(file, None)) is None:
            raise CorruptModel(f"'{path[:64]}' is none of the files that {CARD} lists, or there twice")
        if size != digest.bytes:
            raise CorruptModel(f"{file} should have the {digest.bytes} bytes that {CARD} states, not {size}")
        files[file] = _content(reader, size)
        check_file(files[file], digest, file)
    if missing:
        raise CorruptModel(f"{', '.join(missing)[:64]} is missing")
    _check_end(reader)
    return Bundle(card, int(version), {file: files[file] for file in (CARD, *sorted({*files} - {CARD}))})


def _check_total(size: int) -> None:
    if size > LARGEST:
        raise CorruptModel(f"the files of a version should have at most {LARGEST} bytes together, not {size}")


def _header(reader: Reader) -> tuple[str, int] | None:
    """The name and the size of the next entry; None at the end of the archive."""
    block = _content(reader, BLOCK)
    if not any(block):
        return None
    try:
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise CorruptModel(f"it is torn, or no tar archive: {error}") from None
    shown = entry.name[:64].encode(errors="replace").decode()
    if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        kind = "a link" if entry.islnk() or entry.issym() else "no regular file"
        raise CorruptModel(f"'{shown}' is {kind}; an archive holds regular files only")
    if entry.size < 0:
        raise CorruptModel(f"'{shown}' has a size below 0")
    return entry.name, entry.size


def _content(reader: Reader, size: int) -> bytes:
    """So many bytes of an entry, without the padding behind them; no room is made for what is only claimed."""
    content = bytearray()
    padded = size + -size % BLOCK
    while len(content) < padded:
        if not (piece := reader.read(min(PIECE, padded - len(content)))):
            raise CorruptModel("it is torn: it ends in the middle of an entry")
        content += piece
    if any(content[size:]):
        raise CorruptModel("there is something in the padding behind an entry")
    return bytes(content[:size])


def _check_end(reader: Reader) -> None:
    """Behind the first block of zeros there is another one, and zeros up to the end of tar's record."""
    rest = bytearray()
    while len(rest) <= tarfile.RECORDSIZE and (piece := reader.read(tarfile.RECORDSIZE)):
        rest += piece
    if len(rest) < BLOCK:
        raise CorruptModel("it is torn: its end is missing")
    if len(rest) > tarfile.RECORDSIZE or any(rest):
        raise CorruptModel("there is something behind its end")
