"""Files that unfold to more than memory, that never end or never begin, and those that are not there."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pyarrow as pa
import pytest

from models.terminal import run
from tests.trainer.fits import arguments
from tests.trainer.tables import PLAIN, fit
from trainer.command_line import main
from trainer.data import contents
from trainer.data.contents import read_contents
from trainer.data.decoded import decode
from trainer.data.schema import FileSchema
from trainer.data.table import read_table
from trainer.errors import EXIT_CODES, LargerThanMemory

Pack = Callable[[bytes], bytes]
MB = 1 << 20


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, "zstd", asbytes=True)
    return packed


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_what_unfolds_beyond_memory_is_not_unfolded(pack: Pack, tmp_path: Path) -> None:
    """A file of kilobytes, of which a few MB are unpacked before it is refused."""
    table = tmp_path / "bomb.csv"
    table.write_bytes(pack(bytes(40 * MB)))

    with pytest.raises(LargerThanMemory, match=r"takes more than 12\.6 MB of memory unpacked; fit reads it in blocks"):
        read_contents(table, memory=12 * MB)


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_packed_table_beyond_memory_is_read_in_blocks(pack: Pack, tmp_path: Path, penguins: Path) -> None:
    """Only what is unpacked tells that it does not fit; the model is that of the plain table."""
    header, *rows = penguins.read_text().splitlines()
    rows = [f"{row},{'padding' * 200}" for row in rows]
    text = "\n".join([f"{header},padding", *rows * 20, ""]).encode()
    packed, plain = tmp_path / "packed", tmp_path / "plain"
    packed.write_bytes(pack(text))
    plain.write_bytes(text)

    for table in (packed, plain):
        flags = ("--epochs", "1", "--members", "1", "--memory", "4m")
        assert main(arguments(table, tmp_path / "store" / table.name, *flags)) == 0

    cards = [json.loads((tmp_path / f"store/{name}/m/1/card.json").read_bytes()) for name in ("packed", "plain")]
    assert cards[0]["provenance"]["table_schema"]["notes"][0].startswith("rows that do not fit in --memory")
    assert cards[0]["golden"] == cards[1]["golden"]


def test_parquet_in_gzip_is_counted_before_it_is_read(tmp_path: Path) -> None:
    """By its cells, of which a repeated one takes next to nothing in the file."""
    table = tmp_path / "long.parquet"
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table({"x": pa.nulls(2_000_000, pa.int64())}), sink)
    table.write_bytes(gzip.compress(sink.getvalue()))

    with pytest.raises(LargerThanMemory, match=r"takes more than 12\.6 MB"):
        decode(table, FileSchema(), 12 * MB)


def test_packed_files_of_a_folder_are_counted_together(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(b"x,y\n" + b"1,a\n" * 300_000))

    with pytest.raises(LargerThanMemory, match=r"takes more than 12\.6 MB"):
        read_table(tmp_path, "y", memory=12 * MB)


def test_what_never_ends_and_cannot_be_read_twice_is_refused() -> None:
    """A pipe's rows are kept, as nobody gives them a second time."""
    with pytest.raises(LargerThanMemory, match=r"/dev/zero takes more .* write it into a file, and name that"):
        read_contents(Path("/dev/zero"), memory=12 * MB)


def test_a_pipe_without_a_writer_is_waited_for_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts to write later is read all the same."""
    pipe, told, said = tmp_path / "pipe", Event(), []
    os.mkfifo(pipe)

    def tell(kind: str, sentence: str) -> None:
        said.append(f"{kind}: {sentence}")
        told.set()

    def write() -> None:
        told.wait()
        pipe.write_text(PLAIN)

    monkeypatch.setattr(contents, "PATIENCE_S", 0.01)
    monkeypatch.setattr(contents, "tell", tell)
    writer = Thread(target=write)
    writer.start()

    assert read_contents(pipe).data == PLAIN.encode()
    writer.join()
    assert said == [f"note: {pipe} is a pipe that nobody has written into; waiting for it (Ctrl-C ends it)"]


def test_where_memory_does_not_suffice_a_sentence_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 71 (EX_OSERR) of any command, and no traceback."""

    def command() -> None:
        bytes(1 << 60)

    assert run("trainer", command, EXIT_CODES) == 71
    said = capsys.readouterr().err
    assert said.startswith("trainer: there is not enough memory for this; end other programs, ")
    assert said.count("\n") == 1


def in_folder(folder: Path) -> Path:
    for name in ("sales.csv", "visits.csv", ".hidden"):
        (folder / name).touch()
    return folder


ABSENT: dict[str, tuple[Callable[[Path], Path], str]] = {
    "misspelled": (lambda folder: in_folder(folder) / "sale.csv", "/sales.csv may be meant"),
    "another": (lambda folder: in_folder(folder) / "q3", " has sales.csv, visits.csv"),
    "no folder": (lambda folder: folder / "data" / "q3.csv", "/data: name another"),
    "below a file": (lambda folder: in_folder(folder) / "sales.csv" / "q3", "/sales.csv is a file, not a folder: name"),
    "an empty folder": (lambda folder: folder, "an empty folder; name one with the files of a table"),
}


@pytest.mark.parametrize("case", ABSENT)
def test_what_is_not_there_is_refused_with_what_is(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 66 (EX_NOINPUT), and a way out."""
    path, way = ABSENT[case]

    assert fit(path(tmp_path), tmp_path / ".store") == 66
    said = capsys.readouterr().err
    assert way in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("target", ["link", "gone.csv"])
def test_a_link_that_leads_nowhere_is_called_one(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link"
    link.symlink_to(target)

    assert fit(link, tmp_path / "store") == 66
    way = {
        "link": "a symbolic link that leads back to itself: name the file that it should lead to",
        "gone.csv": "a symbolic link to gone.csv, which is not there: name another file",
    }
    assert way[target] in capsys.readouterr().err
