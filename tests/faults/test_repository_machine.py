"""Whatever happens to a repository, in any order: a registry that follows it serves the newest whole version there is.

Hypothesis draws the order. A second account, kept in a few sets, says what must be true on disk and over HTTP.
"""

import shutil
import tempfile
import time
from collections import deque
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from models.errors import CorruptModel
from models.repository import ModelRepository, PublishedModel
from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from tests.faults.conftest import memory
from tests.service.conftest import NUMBERS, PUBLISHED

NAME = "m"
FILES = st.sampled_from(["model.onnx", "card.json"])
# Two models that share a name and no feature: half of one with half of the other would answer nothing.
MODELS = [ModelRepository(PUBLISHED).read("penguins", 1), ModelRepository(NUMBERS).read("plain", 1)]


class Repository(RuleBasedStateMachine):
    """A repository, a registry that follows it, and what is known of both."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="faults-", dir=memory()))
        self.store = ModelRepository(self.folder / "store")
        self.away = False
        # Of every version that was published here: what it is, and its files.
        self.published: dict[int, PublishedModel] = {}
        self.bytes: dict[int, dict[str, bytes]] = {}
        self.models = deque(MODELS)
        # Versions on disk that are not as they were published, or never were.
        self.damaged: set[int] = set()
        # What the registry holds: of each version the model that it was when it was loaded.
        self.held: dict[int, PublishedModel] = {}
        self.pinned: int | None = None
        for name in (".staging-dead", "latest", "01", "²", "-1", "0"):
            (self.store.root / NAME / name).mkdir(parents=True)
        self.restart()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @precondition(lambda self: not self.away)
    @rule()
    def publish(self) -> None:
        """Each time the other model, so that a number that was taken before means something else."""
        self.models.rotate()
        known = self.models[0]
        before = self.on_disk()
        version = self.store.publish(known.card.model_copy(update={"name": NAME}), {"model.onnx": known.onnx})

        assert version == max(before, default=0) + 1
        self.published[version] = known
        self.bytes[version] = {path.name: path.read_bytes() for path in self.place(version).iterdir()}
        self.damaged.discard(version)

    @precondition(lambda self: self.on_disk())
    @rule(data=st.data(), how=st.sampled_from(["flip", "cut", "lose"]), where=st.integers(0))
    def damage(self, data: st.DataObject, how: str, where: int) -> None:
        """A bit is flipped, the end is cut off, or a file is gone; a second flip mends the first."""
        version = data.draw(st.sampled_from(self.on_disk()))
        path = self.place(version) / data.draw(FILES)
        content = bytearray(path.read_bytes()) if path.exists() else b""
        place = Random(where).randrange(len(content) or 1)  # Small numbers should not mean the first bytes.
        if how == "lose":
            path.unlink(missing_ok=True)
        elif content:
            flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
            path.write_bytes(flipped if how == "flip" else content[:place])
        time.sleep(0.01)  # Two changes within a tick of the file system's clock look like one.
        files = {one.name: one.read_bytes() for one in path.parent.iterdir()}
        (self.damaged.discard if files == self.bytes.get(version) else self.damaged.add)(version)

    @precondition(lambda self: self.on_disk())
    @rule(data=st.data(), everything=st.booleans())
    def delete(self, data: st.DataObject, everything: bool) -> None:
        """The next one that is published may get a number that was taken before."""
        gone = self.on_disk() if everything else [data.draw(st.sampled_from(self.on_disk()))]
        for version in gone:
            shutil.rmtree(self.place(version))
        self.damaged -= set(gone)
        self.look()

    @precondition(lambda self: self.bytes and not self.away)
    @rule(data=st.data(), files=st.sets(FILES, max_size=1), ahead=st.integers(1, 3))
    def copy_half(self, data: st.DataObject, files: set[str], ahead: int) -> None:
        source = data.draw(st.sampled_from(sorted(self.bytes)))
        version = max(self.on_disk(), default=0) + ahead
        self.place(version).mkdir(parents=True)
        for file in files:
            (self.place(version) / file).write_bytes(self.bytes[source][file])
        self.published.pop(version, None)
        self.bytes.pop(version, None)
        self.damaged.add(version)
        self.look()

    @precondition(lambda self: self.away or self.store.root.exists())
    @rule()
    def unmount_or_mount(self) -> None:
        here, elsewhere = self.store.root, self.folder / "elsewhere"
        _ = elsewhere.rename(here) if self.away else here.rename(elsewhere)
        self.away = not self.away

    @precondition(lambda self: self.on_disk())
    @rule(data=st.data(), pin=st.booleans())
    def promote(self, data: st.DataObject, pin: bool) -> None:
        """Pin a version, or none any more; one that is damaged is refused, or stays pinned where it is."""
        version = data.draw(st.sampled_from(self.on_disk())) if pin else None
        if version in self.damaged and version != self.pinned:
            with pytest.raises(CorruptModel):
                self.store.change_serving(NAME, lambda serving: serving.promoted(version))
        else:
            self.store.change_serving(NAME, lambda serving: serving.promoted(version))
            self.pinned = version
        self.look()

    @rule()
    def restart(self) -> None:
        self.registry = Registry(self.store)
        self.client = create_app(self.registry, Bounds(1 << 20)).test_client()
        self.held = {}
        self.look()

    @rule(times=st.integers(1, 2))
    def time_goes_by(self, times: int) -> None:
        for _ in range(times):
            self.look()

    def look(self) -> None:
        """The registry looks; then it serves the pinned or the newest version that is whole or that it held, or what it
        served before. What it held it lets go once that is deleted, unless it is pinned.
        """
        before = self.serving()
        self.registry.refresh()
        visible = self.on_disk()
        whole = {version: self.published[version] for version in visible if version not in self.damaged}
        possible = {version: model for version, model in self.held.items() if version in visible} | whole
        if possible:
            if self.pinned in self.held:
                possible.setdefault(self.pinned, self.held[self.pinned])
            lower = [version for version in possible if self.pinned is None or version <= self.pinned]
            assert self.serving() in ([max(lower)] if lower else possible)
            self.held = possible
        assert possible or self.serving() == before
        self.held = {version: self.held[version] for version in self.registry.versions(NAME)}

    @invariant()
    def every_answer_is_the_golden_one_of_the_version_it_names(self) -> None:
        for version in self.registry.versions(NAME):
            self.ask(f"/v1/models/{NAME}/versions/{version}:predict", version)
        if (serving := self.serving()) is not None:
            self.ask("/predict", serving)

    @invariant()
    def what_is_published_stays_as_it_was(self) -> None:
        for version in set(self.on_disk()) - self.damaged:
            files = {path.name: path.read_bytes() for path in self.place(version).iterdir()}
            assert files == self.bytes[version]
            assert self.store.read(NAME, version).onnx == self.published[version].onnx

    def ask(self, path: str, version: int) -> None:
        card = self.held[version].card
        reply = self.client.post(path, json={"instances": [row.instance for row in card.golden]})
        answer: Any = reply.get_json()
        assert answer["model"] == {"name": NAME, "version": version}
        for prediction, row in zip(answer["predictions"], card.golden, strict=True):
            probabilities = [prediction["probabilities"][label] for label in card.classes]
            assert probabilities == pytest.approx(row.probabilities, rel=0, abs=1e-5)

    def on_disk(self) -> list[int]:
        return [] if self.away else self.store.versions(NAME)

    def place(self, version: int) -> Path:
        return self.store.root / NAME / str(version)

    def serving(self) -> int | None:
        return self.registry.predictor(NAME).version if self.registry.ready else None


def test_a_registry_serves_the_newest_whole_version_whatever_happens(pytestconfig: pytest.Config) -> None:
    """Publish, damage, delete, half a copy, litter, unmount, restart: never a wrong answer, and never none again."""
    long = pytestconfig.getoption("--long")
    run_state_machine_as_test(
        Repository,
        settings=settings(
            max_examples=100 if long else 12,
            stateful_step_count=100 if long else 30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
