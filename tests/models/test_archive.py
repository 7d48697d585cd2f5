"""Archives: what is exported is imported byte for byte, and what breaks a rule is refused by the rule's name."""

import gzip
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from models import archive, files
from models.archive import pack, unpack
from models.bundle import Bundle
from models.card import ModelCard
from models.errors import CorruptModel, InvalidName
from models.repository import ModelRepository
from models.seal import CARD, sealed

NAME = "tides.tar"


@pytest.fixture
def bundle(repository: ModelRepository, card: ModelCard) -> Bundle:
    repository.publish(card, {"model.onnx": bytes(range(256)) * 40, "report.html": b"<html>"})
    return repository.bundle("tides", 1)


@dataclass
class Entry:
    """One entry of an archive that somebody wrote by hand."""

    name: str
    data: bytes = b""
    type: bytes = tarfile.REGTYPE
    link: str = ""


Change = Callable[[list[Entry]], object]


def entries(bundle: Bundle) -> list[Entry]:
    return [Entry(f"tides/1/{file}", data) for file, data in bundle.files.items()]


def written(entries: list[Entry], form: int = tarfile.USTAR_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname, info.size = entry.type, entry.link, len(entry.data)
            tar.addfile(info, io.BytesIO(entry.data))
    return packed.getvalue()


@pytest.mark.parametrize("name", ["tides.tar", "tides.tar.gz"])
def test_an_archive_holds_a_version_byte_for_byte(bundle: Bundle, name: str) -> None:
    """And the same version gives the same archive."""
    packed = pack(bundle, name)

    assert unpack(packed, name) == bundle
    assert pack(unpack(packed, name), name) == packed


def test_an_archive_is_what_tar_reads(bundle: Bundle, tmp_path: Path) -> None:
    """Read by the standard library's own reader: card.json first, no owner, no time."""
    (tmp_path / "tides.tar.gz").write_bytes(pack(bundle, "tides.tar.gz"))
    with tarfile.open(tmp_path / "tides.tar.gz") as tar:
        found = tar.getmembers()

    assert [one.name for one in found] == ["tides/1/card.json", "tides/1/model.onnx", "tides/1/report.html"]
    assert {(one.mtime, one.uid, one.gid, one.uname, one.mode) for one in found} == {(0, 0, 0, "", 0o644)}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_another_tar_wrote_is_read(bundle: Bundle, form: int) -> None:
    """As long as it has the same files in it, in whatever order behind the card."""
    card, *others = entries(bundle)

    assert unpack(written([card, *reversed(others)], form), NAME) == bundle


def renamed(position: int, name: str) -> Change:
    def change(entries: list[Entry]) -> None:
        entries[position].name = name

    return change


def inserted(position: int, entry: Entry) -> Change:
    return lambda entries: entries.insert(position, entry)


def refilled(position: int, data: bytes) -> Change:
    def change(entries: list[Entry]) -> None:
        entries[position].data = data

    return change


def altered_card(entries: list[Entry]) -> None:
    entries[0].data = entries[0].data.replace(b"0.9", b"0.8")


def retyped(position: int, kind: bytes) -> Change:
    def change(entries: list[Entry]) -> None:
        entries[position].type, entries[position].link = kind, "/etc/passwd"
        entries[position].data = b""

    return change


HOSTILE: dict[str, tuple[Change, str]] = {
    "traversal": (renamed(1, "tides/1/../../model.onnx"), "is none of the files that card.json lists"),
    "absolute": (renamed(1, "/etc/model.onnx"), "is none of the files that card.json lists"),
    "traversal of the card": (renamed(0, "../1/card.json"), "begins with NAME/VERSION/card.json"),
    "no version": (renamed(0, "tides/0/card.json"), "begins with NAME/VERSION/card.json"),
    "deeper card": (renamed(0, "tides/1/card.json/x"), "begins with NAME/VERSION/card.json"),
    "another name": (renamed(0, "waves/1/card.json"), "describes another model, 'tides'"),
    "two versions": (renamed(1, "tides/2/model.onnx"), "is none of the files that card.json lists"),
    "extra file": (inserted(3, Entry("tides/1/run.sh", b"rm")), "is none of the files that card.json lists"),
    "file twice": (inserted(3, Entry("tides/1/report.html", b"<html>")), "or there twice"),
    "card twice": (inserted(1, Entry("tides/1/card.json", b"{}")), "or there twice"),
    "folder": (inserted(1, Entry("tides/1/x", type=tarfile.DIRTYPE)), "is no regular file"),
    "symbolic link": (retyped(1, tarfile.SYMTYPE), "is a link"),
    "hard link": (retyped(1, tarfile.LNKTYPE), "is a link"),
    "device": (retyped(1, tarfile.CHRTYPE), "is no regular file"),
    "pipe": (retyped(2, tarfile.FIFOTYPE), "is no regular file"),
    "missing file": (lambda entries: entries.pop(), "report.html is missing"),
    "card behind": (lambda entries: entries.reverse(), "begins with NAME/VERSION/card.json"),
    "altered model": (refilled(1, bytes(256 * 40)), "model.onnx differs from what was published"),
    "longer model": (refilled(1, bytes(256 * 40 + 1)), "should have the 10240 bytes that card.json states, not 10241"),
    "altered card": (altered_card, "card.json of tides version 1 differs from what was published"),
    "no card": (refilled(0, b"{}"), "card.json of tides version 1: name: Field required"),
    "nothing": (lambda entries: entries.clear(), "begins with NAME/VERSION/card.json"),
}


@pytest.mark.parametrize(("change", "rule"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_by_its_rule(bundle: Bundle, change: Change, rule: str) -> None:
    """One sentence names the archive, the rule and the way out."""
    changed = entries(bundle)
    change(changed)
    with pytest.raises(CorruptModel) as refusal:
        unpack(written(changed), NAME)

    assert rule in str(refusal.value)
    assert str(refusal.value).startswith("tides.tar: ")
    assert str(refusal.value).endswith("export the version again")


@pytest.mark.parametrize("name", ["tides.tar", "tides.tar.gz"])
def test_a_torn_archive_is_refused_wherever_it_is_torn(bundle: Bundle, name: str) -> None:
    """Cut at many places, at every block of tar, and one byte before its end."""
    packed = pack(bundle, name)
    last = len(packed.rstrip(b"\0")) if name.endswith(".tar") else len(packed)
    for length in {*range(0, last, 97), *range(0, last, 512), last - 1}:
        with pytest.raises(CorruptModel, match=r"torn|missing"):
            unpack(packed[:length], name)


def test_a_flipped_bit_is_found_wherever_it_is(bundle: Bundle) -> None:
    """No bit of an archive is without meaning: those of headers, contents, padding and end."""
    packed = pack(bundle, NAME)
    for position in range(0, len(packed), 61):
        flipped = bytearray(packed)
        flipped[position] ^= 1 << position % 8
        with pytest.raises(CorruptModel):
            unpack(bytes(flipped), NAME)


@pytest.mark.parametrize("behind", [b"x", bytes(20480), b"\0" * 512 + b"x"])
def test_nothing_may_stand_behind_the_end(bundle: Bundle, behind: bytes) -> None:
    """No second archive, and no gigabyte of zeros."""
    with pytest.raises(CorruptModel, match="something behind its end"):
        unpack(pack(bundle, NAME) + behind, NAME)


def test_a_bomb_is_not_unfolded(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would unfold to more than a version may have is refused by what card and headers claim."""
    monkeypatch.setattr(archive, "LARGEST", 4096)
    with pytest.raises(CorruptModel, match="at most 4096 bytes together"):
        unpack(gzip.compress(written(entries(bundle))), "tides.tar.gz")
    monkeypatch.setattr(files, "LARGEST_TEXT", 512)
    with pytest.raises(CorruptModel, match=r"card\.json should have at most 512 bytes"):
        unpack(written(entries(bundle)), NAME)
    with pytest.raises(CorruptModel, match="at most 4096 bytes together"):
        pack(bundle, NAME)


def test_a_size_that_is_only_claimed_is_refused() -> None:
    """A header may claim 32 MB for a card behind which the file ends: it is torn."""
    info = tarfile.TarInfo("tides/1/card.json")
    info.size = files.LARGEST_TEXT
    with pytest.raises(CorruptModel, match="ends in the middle of an entry"):
        unpack(info.tobuf(tarfile.USTAR_FORMAT) + b"{}", NAME)


@pytest.mark.parametrize("name", ["tides.zip", "tides", "tides.tar.xz", "tides.gz"])
def test_another_ending_is_refused_with_those_that_are_known(bundle: Bundle, name: str) -> None:
    """Reading and writing alike."""
    for act in (lambda: pack(bundle, name), lambda: unpack(b"", name)):
        with pytest.raises(InvalidName, match=r"should end with \.tar\.zst, \.tar\.gz or \.tar$"):
            act()


def test_a_file_that_is_not_compressed_as_its_ending_says(bundle: Bundle) -> None:
    """A tar that is called .tar.gz, and the other way round."""
    with pytest.raises(CorruptModel, match="not what its ending says"):
        unpack(pack(bundle, "tides.tar"), "tides.tar.gz")
    with pytest.raises(CorruptModel, match="no tar archive"):
        unpack(pack(bundle, "tides.tar.gz"), "tides.tar")


@pytest.mark.parametrize("file", ["..", "a\nb", "\x1b[31m", "C:\\x", ".hidden", " ", "é", "x" * 129])
def test_a_name_that_no_file_beside_a_card_has_is_refused(card: ModelCard, file: str) -> None:
    """Whatever a card lists: nothing that leads elsewhere, hides, or commands a terminal."""
    files = {"model.onnx": b"model", file: b"more"}
    packed = [Entry(f"tides/1/{CARD}", sealed(card, files)), Entry("tides/1/model.onnx", b"model")]
    with pytest.raises(CorruptModel, match=r"is no name of a file beside card\.json"):
        unpack(written([*packed, Entry("tides/1/x", b"more")]), NAME)
