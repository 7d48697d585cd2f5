"""Bits that flip on a disk: onnxruntime alone loads almost every such file, and many answer differently."""

import shutil
from pathlib import Path

import pytest

from models.errors import CorruptModel
from models.repository import ModelRepository
from tests.service.conftest import NUMBERS


@pytest.mark.parametrize("file", ["model.onnx", "card.json"])
def test_every_flipped_bit_is_refused(tmp_path: Path, pytestconfig: pytest.Config, file: str) -> None:
    """Of a published model, wherever the bit is; a sample of them in the short form."""
    repository = ModelRepository(tmp_path)
    model = ModelRepository(NUMBERS).read("plain", 1)
    repository.publish(model.card, {"model.onnx": model.onnx})
    path = tmp_path / "plain/1" / file
    whole = path.read_bytes()
    # A step that is odd and no multiple of 8 comes by every bit of a byte.
    flips = range(0, 8 * len(whole), 1 if pytestconfig.getoption("--long") else 37)
    accepted = []
    for bit in flips:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            repository.read("plain", 1)
        except CorruptModel:
            continue
        accepted.append(bit)

    assert accepted == []
    path.write_bytes(whole)
    assert repository.read("plain", 1).onnx == model.onnx


def test_files_swapped_between_versions_are_refused(tmp_path: Path) -> None:
    """Each is whole; together they are not what was published."""
    repository = ModelRepository(tmp_path)
    model = ModelRepository(NUMBERS).read("plain", 1)
    for onnx in (model.onnx, model.onnx + b"\0"):
        repository.publish(model.card, {"model.onnx": onnx})
    for file in ("model.onnx", "card.json"):
        shutil.copy(tmp_path / "plain/2" / file, tmp_path / "kept")
        shutil.copy(tmp_path / "plain/1" / file, tmp_path / "plain/2" / file)
        with pytest.raises(CorruptModel, match="differs from what was published"):
            repository.read("plain", 2)
        shutil.copy(tmp_path / "kept", tmp_path / "plain/2" / file)

    assert repository.read("plain", 2).version == 2
