"""Checkpoints: a run after its last whole epoch, in one file that is replaced and never half written."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from models.replacing import replacing
from trainer.errors import DamagedCheckpoint
from trainer.files import remove_files
from trainer.nn.network import State
from trainer.training.interrupts import held_back
from trainer.training.records import Best, Epoch, Score, Snapshot
from trainer.training.unit import Looked


class FileCheckpoint:
    """The checkpoint of one run. What the run depends on is part of the file's name, so no other run can take it up.

    It survives the end of the process at any instruction, but is not forced to the disk: after a power cut the run may
    have to start again.
    """

    def __init__(
        self, folder: Path, name: str, depends_on: Mapping[str, Any], *, resume: bool, chosen: object = None
    ) -> None:
        """Where the epochs of a network go that is trained with what was `chosen`, None being the defaults."""
        fingerprint = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
        self.path = folder / f"{name}-{fingerprint[:16]}.npz"
        self._resume, self._chosen = resume, repr(chosen)

    def load(self) -> Snapshot | None:
        """The last snapshot of the same run under the same choice, if there is one and it is wanted.

        :raises DamagedCheckpoint: there is one, and it cannot be read.
        """
        if not self._resume:
            return None
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                facts = json.loads(arrays["facts"].tobytes())
                return _unpack(facts, arrays) if facts["chosen"] == self._chosen else None
        except FileNotFoundError:
            return None
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError):
            raise DamagedCheckpoint(f"{self.path} is damaged; remove it to start from the first epoch") from None

    def save(self, snapshot: Snapshot) -> None:
        """Replace the last snapshot. A Ctrl-C waits until that is done."""
        try:
            with replacing(self.path) as file, held_back():
                np.savez(file, **_pack(snapshot, self._chosen))
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def remove(self) -> None:
        """Leave nothing behind, as far as the disk lets one: what stays is no harm to another run."""
        remove_files(self.path)


def _pack(snapshot: Snapshot, chosen: str) -> dict[str, Any]:
    arrays: dict[str, Any] = {f"memory{index}": memory for index, memory in enumerate(snapshot.optimizer_memory)}
    arrays |= {"values": snapshot.network.values, "running_sums": snapshot.network.running_sums}
    if snapshot.best:
        state = snapshot.best.state
        arrays |= {"best_values": state.values, "best_running_sums": state.running_sums}
    facts = {
        "epochs": [asdict(epoch) for epoch in snapshot.epochs],
        "running_batches": snapshot.network.running_batches,
        "optimizer_steps": snapshot.optimizer_steps,
        "generator": snapshot.generator,
        "chosen": chosen,
        "best": snapshot.best
        and {"epoch": snapshot.best.epoch.number, "running_batches": snapshot.best.state.running_batches},
    }
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    return arrays


def _epoch(facts: dict[str, Any]) -> Epoch:
    score, unit = facts["validation"], facts["unit"]
    looked = unit and Looked(*(tuple(percentiles) for percentiles in unit))
    return Epoch(facts["number"], facts["loss"], score and Score(**score), looked)


def _unpack(facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> Snapshot:
    epochs = tuple(map(_epoch, facts["epochs"]))
    best = facts["best"] and Best(
        epochs[facts["best"]["epoch"] - 1],
        State(arrays["best_values"], arrays["best_running_sums"], facts["best"]["running_batches"]),
    )
    memories = sorted(name for name in arrays if name.startswith("memory"))
    return Snapshot(
        epochs,
        best,
        State(arrays["values"], arrays["running_sums"], facts["running_batches"]),
        facts["optimizer_steps"],
        tuple(arrays[name] for name in memories),
        facts["generator"],
    )
