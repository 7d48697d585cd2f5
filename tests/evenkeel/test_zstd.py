"""Archives that end with .tar.zst, which need an extra before Python 3.14: what is true of .tar.gz is true of them."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.__main__ import main
from models.archive import pack, unpack
from models.errors import CorruptModel
from models.repository import ModelRepository
from tests.conftest import ROOT

STORE = ROOT / "tests/service/numbers"
NAME = "plain.tar.zst"


@pytest.fixture(scope="module")
def packed() -> bytes:
    return pack(ModelRepository(STORE).bundle("plain", 1), NAME)


def test_a_version_goes_through_zstd_byte_for_byte(packed: bytes) -> None:
    """And the same version gives the same archive."""
    bundle = ModelRepository(STORE).bundle("plain", 1)

    assert unpack(packed, NAME) == bundle
    assert pack(bundle, NAME) == packed


def test_the_program_zstd_reads_it(packed: bytes) -> None:
    """Where it is installed, which makes it another's reading of the format."""
    if shutil.which("zstd") is None:
        pytest.skip("needs the program zstd")
    plain = subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True).stdout

    assert plain == pack(ModelRepository(STORE).bundle("plain", 1), "plain.tar")


def test_a_torn_or_altered_one_is_refused(packed: bytes) -> None:
    """Cut at many places; bits flipped; something behind it; another format behind the ending."""
    for length in range(0, len(packed), 997):
        with pytest.raises(CorruptModel, match=r"^plain\.tar\.zst: it is torn"):
            unpack(packed[:length], NAME)
    for position in range(0, len(packed), 997):
        flipped = bytearray(packed)
        flipped[position] ^= 1 << position % 8
        with pytest.raises(CorruptModel):
            unpack(bytes(flipped), NAME)
    with pytest.raises(CorruptModel, match=r"behind its end|not what its ending says"):
        unpack(packed + b"x", NAME)
    with pytest.raises(CorruptModel, match="not what its ending says"):
        unpack(pack(ModelRepository(STORE).bundle("plain", 1), "plain.tar"), NAME)


def test_a_bomb_of_zeros_is_not_unfolded() -> None:
    """A gigabyte of zeros in 33 kB: what is no header is refused at once."""
    from models.compression import _zstd

    compressor = _zstd().ZstdCompressor(3)
    piece = bytes(1 << 24)
    bomb = b"".join([*(compressor.compress(piece) for _ in range(64)), compressor.flush()])
    assert len(bomb) < 1 << 17

    began = time.process_time()
    with pytest.raises(CorruptModel, match="begins with NAME/VERSION/card"):
        unpack(bomb, NAME)
    assert time.process_time() - began < 0.5


def test_without_the_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And what needs none."""
    for library in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, library, None)

    assert main(["--repository", str(STORE), "export", "plain", str(tmp_path / NAME)]) == 64
    said = capsys.readouterr().err
    assert said.startswith(
        "models: zstd needs Python 3.14, which .tar.gz does not; or install evenkeel with the extra `ar"
    )
    assert not list(tmp_path.iterdir())


def test_a_published_model_is_exported_and_imported(repository: ModelRepository, tmp_path: Path) -> None:
    """By the commands, in processes of their own: the same files."""
    archive, other = str(tmp_path / "penguins.tar.zst"), tmp_path / "other"
    export = ["export", "penguins", archive, "--repository", str(repository.root)]
    for command in (export, ["import", archive, "--repository", str(other)]):
        subprocess.run([sys.executable, "-m", "models", *command], cwd=ROOT, check=True, capture_output=True)
    version = repository.serving_version("penguins")
    assert ModelRepository(other).bundle("penguins", version) == repository.bundle("penguins", version)
