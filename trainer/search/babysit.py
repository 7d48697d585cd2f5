"""One model, looked after for as long as it takes: its settings change while it runs.

A run is a chain of calls of `fit`. Where a setting changes, the call that runs is ended behind its epoch, and the next
one takes the run up from the checkpoint with the new setting.
"""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models.card import ModelCard
from trainer.errors import DamagedCheckpoint, InvalidSetting
from trainer.files import remove_files, replace_file
from trainer.nn.network import Network
from trainer.settings.hyperparameters import Hyperparameters
from trainer.training.fit import fit
from trainer.training.records import Checkpoint, Encoded, Epoch, History, StopTraining

# What may change without another network or another memory of the optimizer.
KNOBS = (
    "learning_rate",
    "schedule",
    "warm_up",
    "weight_decay",
    "label_smoothing",
    "clip_norm",
    "epochs",
    "patience",
)
HEAD = """\
# Read again after every epoch: what changes here counts from the next one on.
# stop = true ends the run and publishes its best epoch.

stop = false
"""

Report = Callable[[str], None]


class Control:
    """The file that a person changes, and the record of what was changed when."""

    def __init__(self, folder: Path, report: Report) -> None:
        self.path = folder / "control.toml"
        self._log = folder / "changes.json"
        self._report = report
        self._seen = b""
        self.changes: dict[int, dict[str, Any]] = {}
        self.stop = False

    def begin(self, settings: Hyperparameters) -> None:
        """Write the file as a run starts."""
        lines = [HEAD, *(_line(knob, getattr(settings, knob)) for knob in KNOBS)]
        self._log.unlink(missing_ok=True)
        text = "\n".join(lines) + "\n"
        replace_file(self.path, text)
        self._seen = text.encode()

    def take_up(self, settings: Hyperparameters) -> Hyperparameters:
        """Remember what was changed before the run was stopped, and return the settings that it had then."""
        if self._log.exists():
            try:
                self.changes = {int(epoch): change for epoch, change in json.loads(self._log.read_bytes()).items()}
            except (ValueError, AttributeError):
                raise DamagedCheckpoint(f"{self._log} is damaged; remove it to go on without its changes") from None
        for epoch in sorted(self.changes):
            settings = type(settings).of(**{**settings.model_dump(), **self.changes[epoch]})
        return settings

    def settings(self, settings: Hyperparameters, epoch: int) -> Hyperparameters:
        """The settings of the next epochs, as the file has them; where it makes no sense, those that were."""
        try:
            seen = self.path.read_bytes()
        except FileNotFoundError:
            return settings
        except OSError as error:
            self._report(f"{self.path}: {error.strerror}; nothing was changed")
            return settings
        if seen == self._seen:
            return settings
        self._seen = seen
        try:
            changed = self._changed(settings, tomllib.loads(seen.decode()))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, InvalidSetting) as error:
            self._report(f"{self.path}: {error}; nothing was changed")
            return settings
        difference = {
            knob: getattr(changed, knob) for knob in KNOBS if getattr(changed, knob) != getattr(settings, knob)
        }
        if difference:
            self.changes[epoch + 1] = difference
            replace_file(self._log, json.dumps(self.changes))
            shown = ", ".join(f"{knob.replace('_', ' ')} {value}" for knob, value in difference.items())
            self._report(f"from epoch {epoch + 1} on: {shown}")
        return changed

    def _changed(self, settings: Hyperparameters, wanted: dict[str, Any]) -> Hyperparameters:
        stop = wanted.pop("stop", False)
        if not isinstance(stop, bool):
            raise InvalidSetting(f"stop should be true or false, not {stop!r}")
        for name in wanted:
            if name not in KNOBS:
                raise InvalidSetting(f"{name[:64]} cannot change while a run lasts; {', '.join(KNOBS)} can")
        changed = type(settings).of(**{**settings.model_dump(), **wanted})
        self.stop = stop
        return changed

    def annotate(self, card: ModelCard) -> ModelCard:
        """Write the changes on the card."""
        return card.model_copy(
            update={"provenance": card.provenance.model_copy(update={"changes": dict(self.changes)})}
        )

    def remove(self) -> None:
        """Leave nothing behind."""
        remove_files(self.path, self._log)


class Babysitter:
    """Stands in the place of `fit`, with the same promises, and looks into the control file after each epoch."""

    def __init__(self, control: Control, begin: Callable[[tuple[Epoch, ...]], None]) -> None:
        self._control, self._begin = control, begin

    def __call__(
        self,
        network: Network,
        train: Encoded,
        validation: Encoded | None,
        settings: Hyperparameters,
        rng: np.random.Generator,
        *,
        watch: Callable[[Epoch], None] = lambda _: None,
        checkpoint: Checkpoint | None = None,
    ) -> History:
        assert checkpoint is not None
        if snapshot := checkpoint.load():
            self._begin(snapshot.epochs)
            settings = self._control.settings(self._control.take_up(settings), len(snapshot.epochs))
        else:
            self._control.begin(settings)
        while True:
            following = settings

            def look(epoch: Epoch, settings: Hyperparameters = settings) -> None:
                nonlocal following
                watch(epoch)
                following = self._control.settings(settings, epoch.number)
                if self._control.stop or following != settings:
                    raise StopTraining

            history = fit(network, train, validation, settings, rng, watch=look, checkpoint=checkpoint)
            if self._control.stop or history.interrupted or following == settings:
                return history
            settings = following


def _line(knob: str, value: object) -> str:
    return f"# {knob} = " if value is None else f"{knob} = {json.dumps(value)}"
