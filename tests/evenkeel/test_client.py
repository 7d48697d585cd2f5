"""`evenkeel.Client` against a real service: what it takes, what it answers, and whom it asks."""

import csv
import io
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import evenkeel
from evenkeel.client import remote
from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import Service, running, train
from tests.evenkeel.conftest import Command
from tests.service.conftest import NUMBERS, PUBLISHED

CLASSES = ["Adelie", "Chinstrap", "Gentoo"]


@pytest.fixture
def client(shared: Service) -> evenkeel.Client:
    return evenkeel.Client(shared.url, model="penguins")


@pytest.fixture
def frame(penguins: Path) -> pd.DataFrame:
    """The penguins by an index of their own."""
    frame = pd.read_csv(penguins)
    return frame.set_index(pd.Index([f"bird {place}" for place in range(len(frame))]))


def by_command(command: Command, *arguments: str | Path) -> tuple[list[str], Any]:
    """The labels and probabilities (n, classes) that `evenkeel predict` writes without a service."""
    rows = list(csv.DictReader(io.StringIO(command("predict", *arguments, "--model", "penguins").out, newline="")))
    shares = [[row[f"probability_{name}"] for name in CLASSES] for row in rows]
    return [row["label"] for row in rows], np.array(shares, np.float32)


def test_a_frame_is_answered_with_a_frame(
    client: evenkeel.Client, command: Command, penguins: Path, frame: pd.DataFrame
) -> None:
    """By its index, a column for each class; to the last bit what the command gives without a service."""
    labels, probabilities = by_command(command, penguins)

    with client:
        found, shares = client.predict(frame), client.predict_proba(frame)

    assert list(shares.columns) == CLASSES == list(client.card().classes)
    assert list(shares.index) == list(found.index) == list(frame.index)
    assert found.name == "species"
    assert found.tolist() == labels
    assert np.array_equal(shares.to_numpy(), probabilities)


def test_every_kind_of_table_gives_the_same(
    client: evenkeel.Client, command: Command, penguins: Path, frame: pd.DataFrame
) -> None:
    """As arrays of numpy: paths, frames of pyarrow and polars, with categories, and records."""
    labels, probabilities = by_command(command, penguins)
    categories = frame.astype({"island": "category", "sex": "category", "year": "float32"})
    table = pa.Table.from_pandas(categories, preserve_index=False)
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")

    others = pl.read_csv(penguins, null_values=["NA"]).cast({"island": pl.Categorical})

    for given in (penguins, str(penguins), table, others, records):
        assert client.predict(given).tolist() == labels
        assert client.predict_proba(given).dtype == np.float32
        assert np.array_equal(client.predict_proba(given), probabilities)
    assert np.array_equal(client.predict_proba(categories).to_numpy(), probabilities)


def test_a_table_without_rows_has_no_answers(client: evenkeel.Client, frame: pd.DataFrame) -> None:
    """But classes."""
    assert client.predict_proba(frame[:0]).shape == client.predict_proba([]).shape == (0, 3)
    assert list(client.predict_proba(frame[:0]).columns) == CLASSES


def test_a_long_frame_goes_in_batches(
    client: evenkeel.Client, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of at most 4096 rows, in their order."""
    sent = []
    plain = remote.batch

    def watched(tensors: remote.Tensors, start: int, count: int) -> tuple[int, bytes]:
        sent.append(count)
        return plain(tensors, start, count)

    once = client.predict_proba(frame).to_numpy()
    monkeypatch.setattr(remote, "batch", watched)
    answers = client.predict_proba(pd.concat([frame] * 60))

    assert np.array_equal(answers.to_numpy(), np.concatenate([once] * 60))
    assert (max(sent), sum(sent)) == (4096, 60 * len(frame))


def test_a_version_can_be_named(client: evenkeel.Client, shared: Service, command: Command, penguins: Path) -> None:
    """Else the one that serves answers."""
    older = evenkeel.Client(shared.url, model="penguins", version=1)

    assert np.array_equal(older.predict_proba(penguins), by_command(command, penguins, "--version", "1")[1])
    assert not np.array_equal(older.predict_proba(penguins), client.predict_proba(penguins))
    assert "sex" not in [feature.name for feature in older.card().features]


def test_a_promotion_is_followed(tmp_path: Path, repository: ModelRepository, penguins: Path) -> None:
    """Within a second after the service does, by the same client; a call is never answered by two versions."""
    store = ModelRepository(tmp_path)
    for version in (1, 2):
        model = repository.read("penguins", version)
        store.publish(model.card, {"model.onnx": model.onnx})
    with running(tmp_path, find_free_port()) as service, evenkeel.Client(service.url) as client:
        service.wait("/v1/models/penguins/versions/1")
        client.predict_proba(penguins)
        assert "sex" in [feature.name for feature in client.card().features]
        store.change_serving("penguins", lambda serving: serving.promoted(1), 1)
        started = time.monotonic()
        while "sex" in [feature.name for feature in client.card().features]:
            assert time.monotonic() - started < 20
            time.sleep(0.05)
        expected = evenkeel.Client(service.url, version=1).predict_proba(penguins)
        assert np.array_equal(client.predict_proba(penguins), expected)


def test_it_says_what_is_served(tmp_path: Path, penguins: Path) -> None:
    """And whether it can be asked, before and after there is a service; a name is needed where there are two."""
    port = find_free_port()
    client = evenkeel.Client(f"http://127.0.0.1:{port}")
    assert not client.ready()
    for folder, name in ((PUBLISHED, "penguins"), (NUMBERS, "plain")):
        model = ModelRepository(folder).read(name, 1)
        ModelRepository(tmp_path).publish(model.card, {"model.onnx": model.onnx})
    with running(tmp_path, port) as service:
        service.wait()
        assert client.ready()
        assert [model["name"] for model in client.models()] == ["penguins", "plain"]
        assert evenkeel.Client(service.url, model="plain", version=1).ready()
        assert not evenkeel.Client(service.url, model="plain", version=2).ready()
        with pytest.raises(evenkeel.BadInput, match=r"say model and a name: .* has penguins, plain"):
            client.predict(penguins)
        plain = evenkeel.Client(service.url, model="plain")
        assert len(plain.predict(penguins)) == 344


def test_the_address_and_the_key_come_from_the_settings(
    tmp_path: Path, penguins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or as arguments, or the key from a file; a service that asks for one refuses any other."""
    key, keys, own, port = "k" * 40, tmp_path / "keys", tmp_path / "own", find_free_port()
    keys.write_text(f"predict {key}\n")
    own.write_text(f"{key}\n")
    with running(PUBLISHED, port, EVENKEEL_API_KEYS_FILE=str(keys)) as service:
        service.wait()
        for given in (None, "l" * 40):
            with pytest.raises(evenkeel.KeyRefused) as refused:
                evenkeel.Client(service.url, key=given).predict(penguins)
            assert (refused.value.status, refused.value.code) == (401, "unauthorized")
        assert len(evenkeel.Client(service.url, key=key).predict(penguins)) == 344
        assert len(evenkeel.Client(service.url, key_file=own).predict(penguins)) == 344
        monkeypatch.setenv("EVENKEEL_API_KEY", key)
        monkeypatch.setenv("EVENKEEL_PORT", str(port))
        assert len(evenkeel.Client().predict(penguins)) == 344


def test_threads_may_share_a_client(client: evenkeel.Client, frame: pd.DataFrame) -> None:
    """Each gets its own answers."""
    expected = client.predict_proba(frame).to_numpy()

    def ask(place: int) -> bool:
        some = frame[place : place + 40]
        return bool(np.array_equal(client.predict_proba(some).to_numpy(), expected[place : place + 40]))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(0, 300, 10)))


def test_a_threshold_decides_the_label(tmp_path: Path, penguins: Path) -> None:
    """As it does in the service, and not the more probable class."""
    flags = ("--target", "sex", "--name", "sex", "--members", "1", "--epochs", "5")
    train(penguins, tmp_path, *flags, "--positive", "male", "--threshold", "cost=50:1")
    with running(tmp_path, find_free_port()) as service, evenkeel.Client(service.url) as client:
        service.wait()
        rows = pd.read_csv(penguins).dropna()
        shares, threshold = client.predict_proba(rows).to_numpy(), client.card().threshold
        assert threshold is not None
        male = client.card().classes.index("male")
        expected = ["male" if share >= np.float32(threshold) else "female" for share in shares[:, male]]
        assert client.predict(rows).tolist() == expected
        assert expected != [client.card().classes[place] for place in shares.argmax(axis=1)]


def test_the_package_imports_nothing_before_it_is_used() -> None:
    """Not numpy, which alone takes longer than all of the commands that need none."""
    code = "import sys, evenkeel; print({'numpy', 'pyarrow', 'trainer'} & {*sys.modules}, 'Client' in dir(evenkeel))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set() True\n"
    with pytest.raises(AttributeError, match="module 'evenkeel' has no attribute 'Clients'"):
        evenkeel.Clients  # noqa: B018
