import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.card import ModelCard
from models.errors import CorruptModel, InvalidName, UnknownModel
from models.repository import ModelRepository

ONNX = bytes(range(256))


def publish(repository: ModelRepository, card: ModelCard) -> int:
    return repository.publish(card, {"model.onnx": ONNX})


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_is_published_can_be_read(repository: ModelRepository, card: ModelCard) -> None:
    """The card gains the digests of the files; everything else comes back as it was."""
    version = publish(repository, card)
    model = repository.read("tides", version)

    assert (version, model.version, model.onnx) == (1, 1, ONNX)
    assert model.card.model_copy(update={"files": {}}) == card
    assert model.card.files["model.onnx"].bytes == len(ONNX)


def test_versions_are_counted_and_never_changed(repository: ModelRepository, card: ModelCard) -> None:
    """Publishing again adds a version and leaves the older ones byte-identical."""
    publish(repository, card)
    before = snapshot(repository.root)
    publish(repository, card)

    assert repository.versions("tides") == [1, 2]
    assert repository.serving_version("tides") == 2
    assert before.items() <= snapshot(repository.root).items()


def test_versions_are_ordered_as_numbers(repository: ModelRepository, card: ModelCard) -> None:
    """Version 10 is newer than version 9."""
    for _ in range(10):
        publish(repository, card)

    assert repository.serving_version("tides") == 10


@pytest.mark.parametrize("folder", ["01", "1_0", "²", "-1", "0", "1.0", ".staging-1", "latest"])
def test_folders_that_are_no_versions_are_ignored(repository: ModelRepository, card: ModelCard, folder: str) -> None:
    """Only ASCII digits without a leading zero name a version."""
    publish(repository, card)
    (repository.root / "tides" / folder).mkdir()

    assert repository.versions("tides") == [1]


@pytest.mark.parametrize("name", ["", "Tides", "../up", "a/b", "a b", "1st", "x" * 65, "tides\n", "été"])
def test_a_name_that_breaks_the_grammar_is_refused(repository: ModelRepository, card: ModelCard, name: str) -> None:
    """No text reaches a path that is not a plain model name."""
    with pytest.raises(InvalidName):
        publish(repository, card.model_copy(update={"name": name}))
    with pytest.raises(InvalidName):
        repository.versions(name)
    assert not repository.root.exists()


def test_a_missing_repository_is_not_an_empty_one(repository: ModelRepository) -> None:
    """A disk that is not mounted must not look like one without models."""
    with pytest.raises(FileNotFoundError):
        repository.names()
    repository.root.mkdir()
    assert repository.names() == []


def test_an_unknown_model_or_version_is_named(repository: ModelRepository, card: ModelCard) -> None:
    """The sentence says what is not there."""
    publish(repository, card)

    with pytest.raises(UnknownModel, match="no model 'waves'"):
        repository.serving_version("waves")
    with pytest.raises(UnknownModel, match="no version 7 of 'tides'"):
        repository.read("tides", 7)


@pytest.mark.parametrize("position", [0, 100, 255])
def test_one_flipped_bit_is_noticed(repository: ModelRepository, card: ModelCard, position: int) -> None:
    """onnxruntime would load most such files and answer differently."""
    publish(repository, card)
    damaged = bytearray(ONNX)
    damaged[position] ^= 1
    (repository.root / "tides/1/model.onnx").write_bytes(damaged)

    with pytest.raises(CorruptModel, match=r"model\.onnx of tides version 1 differs from what was published"):
        repository.read("tides", 1)


def test_a_changed_card_is_noticed(repository: ModelRepository, card: ModelCard) -> None:
    """It states the digest of its own text, so that no bound, category or golden row changes unseen."""
    publish(repository, card)
    path = repository.root / "tides/1/card.json"
    path.write_text(path.read_text().replace('"minimum": 0.5', '"minimum": 0.4'))

    with pytest.raises(CorruptModel, match=r"card\.json of tides version 1 differs from what was published"):
        repository.card("tides", 1)


def test_a_card_without_its_own_digest_is_read(repository: ModelRepository, card: ModelCard) -> None:
    """Models that were published before cards held one stay whole."""
    publish(repository, card)
    path = repository.root / "tides/1/card.json"
    document = json.loads(path.read_bytes())
    del document["files"]["card.json"]
    path.write_text(json.dumps(document))

    assert repository.read("tides", 1).onnx == ONNX


def test_missing_pieces_are_noticed(repository: ModelRepository, card: ModelCard) -> None:
    """A version copied by hand, half of it."""
    publish(repository, card)
    (repository.root / "tides/1/model.onnx").unlink()
    with pytest.raises(CorruptModel, match=r"model\.onnx of tides version 1 cannot be read"):
        repository.read("tides", 1)

    (repository.root / "tides/1/card.json").unlink()
    with pytest.raises(CorruptModel, match=r"card\.json of tides version 1 cannot be read"):
        repository.read("tides", 1)


def test_another_models_card_is_noticed(repository: ModelRepository, card: ModelCard) -> None:
    """A folder that was renamed does not become another model."""
    publish(repository, card)
    (repository.root / "tides").rename(repository.root / "waves")

    with pytest.raises(CorruptModel, match="describes another model, 'tides'"):
        repository.read("waves", 1)


def test_a_card_cannot_reach_outside_its_folder(repository: ModelRepository, card: ModelCard, tmp_path: Path) -> None:
    """Neither by a path nor by a link."""
    publish(repository, card)
    path = repository.root / "tides/1/card.json"
    text = path.read_text()
    document = json.loads(text)
    digest = document["files"]["model.onnx"]
    (tmp_path / "secret").write_bytes(ONNX)
    path.write_text(json.dumps(document | {"files": {"model.onnx": digest, "../../../secret": digest}}))
    with pytest.raises(CorruptModel, match=r"is no name of a file beside card\.json"):
        repository.read("tides", 1)

    path.write_text(text)
    (repository.root / "tides/1/model.onnx").unlink()
    (repository.root / "tides/1/model.onnx").symlink_to(tmp_path / "secret")
    with pytest.raises(CorruptModel, match="cannot be read"):
        repository.read("tides", 1)


@pytest.mark.parametrize("number", [str(2**63), str(-(2**63) - 1), "9" * 25, "9" * 5000], ids=len)
def test_a_number_that_no_reader_of_json_holds_is_refused(
    repository: ModelRepository, card: ModelCard, number: str
) -> None:
    """A service that could not write such a card would fail to list all of its models."""
    publish(repository, card)
    path = repository.root / "tides/1/card.json"
    path.write_text(path.read_text().replace('"settings": {}', f'"settings": {{"epochs": {2**63 - 1}}}'))
    with pytest.raises(CorruptModel, match="differs from what was published"):
        repository.read("tides", 1)

    path.write_text(path.read_text().replace(str(2**63 - 1), number))
    with pytest.raises(CorruptModel, match=r"card\.json of tides version 1.*(64 bits|[Nn]umber)"):
        repository.read("tides", 1)


def test_a_planted_pipe_does_not_block_the_reader(repository: ModelRepository, card: ModelCard) -> None:
    """Reading answers at once, whatever stands in the file's place."""
    publish(repository, card)
    (repository.root / "tides/1/model.onnx").unlink()
    os.mkfifo(repository.root / "tides/1/model.onnx")

    with pytest.raises(CorruptModel, match="not a regular file"):
        repository.read("tides", 1)


def test_a_failed_publish_leaves_nothing(
    repository: ModelRepository, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the disk refuses, and even for a model's first version."""
    publish(repository, card)
    before = snapshot(repository.root)

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="No space left"):
            publish(repository, card)
        with pytest.raises(OSError, match="No space left"):
            publish(repository, card.model_copy(update={"name": "waves"}))

    assert snapshot(repository.root) == before
    assert repository.names() == ["tides"]
    assert publish(repository, card) == 2


def test_leftovers_of_a_killed_publisher_are_removed(repository: ModelRepository, card: ModelCard) -> None:
    """They are never seen as versions, and the next publisher sweeps them up."""
    publish(repository, card)
    staging = repository.root / "tides/.staging-of-the-dead"
    staging.mkdir()
    (staging / "model.onnx").write_bytes(b"half")
    assert repository.versions("tides") == [1]

    publish(repository, card)
    assert {entry.name for entry in (repository.root / "tides").iterdir()} == {"1", "2"}


def _publish_many(root: Path, card: ModelCard) -> None:
    for _ in range(5):
        publish(ModelRepository(root), card)


def test_publishers_at_the_same_time_get_versions_of_their_own(repository: ModelRepository, card: ModelCard) -> None:
    """Four processes, twenty versions, all of them whole."""
    context = multiprocessing.get_context("spawn")
    publishers = [context.Process(target=_publish_many, args=(repository.root, card)) for _ in range(4)]
    for publisher in publishers:
        publisher.start()
    for publisher in publishers:
        publisher.join()

    assert [publisher.exitcode for publisher in publishers] == [0] * 4
    assert repository.versions("tides") == list(range(1, 21))
    assert all(repository.read("tides", version).onnx == ONNX for version in range(1, 21))


def test_a_publisher_killed_at_any_moment_leaves_whole_versions(
    repository: ModelRepository, card: ModelCard, everything: bool
) -> None:
    """Some publishers in a row are killed in the midst of it, at growing delays; what is visible then is intact."""
    context = multiprocessing.get_context("spawn")
    for delay in range(0, 10, 1 if everything else 3):
        before = len(repository.versions("tides"))
        publisher = context.Process(target=_publish_forever, args=(repository.root, card))
        publisher.start()
        while len(repository.versions("tides")) == before:
            publisher.join(0.001)
        publisher.join(0.0007 * delay)
        publisher.kill()
        publisher.join()

    versions = repository.versions("tides")
    assert versions == list(range(1, len(versions) + 1))
    for version in versions:
        repository.read("tides", version)
    assert publish(repository, card) == len(versions) + 1


def _publish_forever(root: Path, card: ModelCard) -> None:
    while True:
        publish(ModelRepository(root), card)


def test_a_version_that_is_held_back_never_serves(repository: ModelRepository, card: ModelCard) -> None:
    """What served is pinned before the new one is there; a pin that somebody set stays theirs."""
    repository.publish(card, {"model.onnx": b"first"})
    assert repository.publish(card, {"model.onnx": b"second"}, hold=True) == 2
    assert repository.serving("tides").version == 1

    repository.change_serving("tides", lambda chosen: chosen.promoted(2))
    repository.publish(card, {"model.onnx": b"third"}, hold=True)
    assert repository.serving("tides").version == 2


def test_a_failed_publish_holds_nothing(
    repository: ModelRepository, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pin goes with the version that it was there for."""
    publish(repository, card)
    before, fsync = snapshot(repository.root), os.fsync
    for allowed in range(20):
        left = iter(range(allowed))

        def refuse(descriptor: int, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise OSError(28, "No space left on device")
            fsync(descriptor)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", refuse)
            with pytest.raises(OSError, match=r"nothing was published|may be lost") as refusal:
                repository.publish(card, {"model.onnx": b"second"}, hold=True)
        if "may be lost" in str(refusal.value):  # The last sync: the version is there, held back as it should be.
            break
        assert snapshot(repository.root) == before
    assert allowed > 3
    assert repository.versions("tides") == [1, 2]
    assert repository.serving_version("tides") == 1
