"""Ctrl-C where the libraries below do not survive one."""

import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.nn.network import State
from trainer.training.checkpoint import FileCheckpoint
from trainer.training.interrupts import held_back
from trainer.training.records import Epoch, Snapshot


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C raises here, also where whoever runs the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def told(done: list[str], *, let_through: bool) -> None:
    with held_back() as ctrl_c:
        ctrl_c.let_through()
        signal.raise_signal(signal.SIGINT)
        done.append("held")
        if let_through:
            ctrl_c.let_through()
        done.append("over")


def test_ctrl_c_waits_until_it_is_let_through() -> None:
    """And, where nobody lets it through, until the block is over."""
    done: list[str] = []
    for let_through in (True, False):
        with pytest.raises(KeyboardInterrupt):
            told(done, let_through=let_through)

    assert done == ["held", "held", "over"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_waits_until_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of the archive, where zipfile would raise an error of its own instead."""
    real = zipfile.ZipFile.open

    def interrupted(archive: zipfile.ZipFile, *arguments: Any, **named: Any) -> Any:
        opened = real(archive, *arguments, **named)
        signal.raise_signal(signal.SIGINT)
        return opened

    generator = dict(np.random.default_rng(7).bit_generator.state)
    network = State(np.zeros(3, np.float32), np.zeros(2), 1)
    checkpoint = FileCheckpoint(tmp_path, "penguins", {}, resume=True)
    monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(Snapshot((Epoch(1, 0.5, None),), None, network, 1, (), generator))

    assert list(tmp_path.iterdir()) == []
