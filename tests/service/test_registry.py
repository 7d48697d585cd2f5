import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from models.cache import Look
from models.repository import ModelRepository
from service.app import create_app
from service.errors import ModelNotFound, NoDefaultModel, NotReady
from service.prediction.prediction import Bounds
from service.registry.registry import Registry


def test_a_new_version_replaces_the_old_one(registry: Registry, publish: Callable[..., int]) -> None:
    """At the next look, without a restart."""
    first = registry.predictor()
    registry.refresh()
    assert registry.predictor() is first  # What is loaded is not loaded again.

    publish()
    assert registry.predictor() is first
    registry.refresh()

    assert registry.predictor().version == 2
    assert registry.predictor("penguins", "1") is first
    with pytest.raises(ModelNotFound, match=r"no such version is served; those of this model are 2, 1"):
        registry.predictor("penguins", "3")


def test_every_loaded_version_can_be_asked_for(
    registry: Registry, publish: Callable[..., int], client: FlaskClient, record: dict[str, object]
) -> None:
    """By number, in every protocol; without one the newest answers; the answer says which it was."""
    publish()
    registry.refresh()

    for path, version in ((":predict", 2), ("/versions/1:predict", 1), ("/versions/2:predict", 2)):
        response = client.post(f"/v1/models/penguins{path}", json={"instance": record})
        assert response.json is not None
        assert response.json["model"] == {"name": "penguins", "version": version}
    models = client.get("/v1/models").json
    metadata = client.get("/v2/models/penguins/versions/1").json
    index = client.post("/v2/repository/index").json
    assert models is not None
    assert models["models"][0]["versions"] == [2, 1]
    assert metadata is not None
    assert metadata["versions"] == ["2", "1"]
    assert index == [{"name": "penguins", "version": version, "state": "READY", "reason": ""} for version in ("2", "1")]


def test_the_page_opens_the_model_that_predict_asks(
    repository: ModelRepository, publish: Callable[..., int], client: FlaskClient, registry: Registry
) -> None:
    """The one that was set, or the only one; of several none. What is not served is not found."""

    def default(of: FlaskClient) -> object:
        listed = of.get("/v1/models").json
        assert listed is not None
        return listed["default"]

    assert default(client) == "penguins"
    publish(name="birds")
    registry.refresh()
    assert default(client) is None
    chosen = Registry(repository, default_model="penguins")
    chosen.refresh()
    assert default(create_app(chosen, Bounds(1 << 20)).test_client()) == "penguins"
    statuses = {
        address: client.get(address).status_code
        for address in ("/", "/?model=birds", "/?model=nosuch", "/?model=birds&version=9", "/docs?model=nosuch")
    }
    assert list(statuses.values()) == [200, 200, 404, 404, 200]


def test_only_the_newest_versions_are_loaded(repository: ModelRepository, publish: Callable[..., int]) -> None:
    """At most as many as the setting says; a corrupt one does not count, and gives way to the one before it."""
    for _ in range(4):
        publish()
    damage_onnx(repository.root / "penguins/4")
    registry = Registry(repository, most_versions=3)
    registry.refresh()
    assert registry.versions("penguins") == [5, 3, 2]

    publish()
    registry.refresh()
    assert registry.versions("penguins") == [6, 5, 3]


def test_a_version_that_is_removed_is_unloaded_unless_it_is_the_last(
    registry: Registry, repository: ModelRepository, publish: Callable[..., int]
) -> None:
    """What a model has published is what is served; but an emptied folder is no reason to stop answering."""
    publish()
    registry.refresh()
    shutil.rmtree(repository.root / "penguins/2")
    registry.refresh()
    assert registry.versions("penguins") == [1]

    shutil.rmtree(repository.root / "penguins/1")
    registry.refresh()
    assert registry.versions("penguins") == [1]


def test_before_the_first_model_the_service_waits(tmp_path: Path, repository: ModelRepository) -> None:
    """A repository that is not there yet, then empty, then filled: no restart in between."""
    root = tmp_path / "later"
    registry = Registry(ModelRepository(root))
    client = create_app(registry, Bounds(1024)).test_client()
    for exists in (False, True):
        if exists:
            root.mkdir()
        registry.refresh()
        response = client.get("/v2/health/ready")
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "1"
        assert response.json is not None
        assert response.json["code"] == "not_ready"
        assert client.post("/predict", json={}).status_code == 503
        assert client.get("/v2/health/live").status_code == 200

    shutil.copytree(repository.root, root, dirs_exist_ok=True)
    registry.refresh()
    assert client.get("/v2/health/ready").status_code == 200


def damage_onnx(folder: Path) -> None:
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 4
    (folder / "model.onnx").write_bytes(data)


def remove_onnx(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def truncate_card(folder: Path) -> None:
    card = (folder / "card.json").read_bytes()
    (folder / "card.json").write_bytes(card[: len(card) // 2])


@pytest.mark.parametrize("damage", [damage_onnx, remove_onnx, truncate_card])
def test_a_corrupt_version_is_refused_once_and_the_last_good_one_stays(
    registry: Registry,
    repository: ModelRepository,
    publish: Callable[..., int],
    damage: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line in the log, however often the repository is looked at."""
    publish()
    damage(repository.root / "penguins/2")
    for _ in range(3):
        registry.refresh()

    assert registry.predictor().version == 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == ["model refused"]
    publish()
    registry.refresh()
    assert registry.predictor().version == 3


def test_a_model_that_answers_otherwise_than_published_is_refused(
    registry: Registry, repository: ModelRepository, publish: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    """The digests fit, the golden rows do not."""
    golden = [row.model_dump() for row in repository.card("penguins", 1).golden]
    golden[0]["probabilities"] = (0.4, 0.3, 0.3)
    publish(golden=golden)
    registry.refresh()

    assert registry.predictor().version == 1
    assert "a golden row comes out" in caplog.records[-1].__dict__["reason"]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"golden": []}, "no golden row"),
        ({"features": [], "golden": [], "drift": None}, "inputs of model.onnx are not the features"),
        ({"classes": ["a", "b"], "golden": [], "drift": None}, "outputs of model.onnx are not the classes"),
    ],
)
def test_a_card_of_another_model_is_refused(
    registry: Registry,
    publish: Callable[..., int],
    parts: dict[str, object],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the card says must be what the file is."""
    publish(**parts)
    registry.refresh()

    assert registry.predictor().version == 1
    assert reason in caplog.records[-1].__dict__["reason"]


def test_a_file_that_is_no_model_is_refused(
    registry: Registry, publish: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    """Even with the right digest."""
    publish(onnx=b"not a model")
    registry.refresh()

    assert registry.predictor().version == 1
    assert "model.onnx is no ONNX model" in caplog.records[-1].__dict__["reason"]


def test_a_corrupt_newest_version_at_start_leaves_the_one_before(
    repository: ModelRepository, publish: Callable[..., int]
) -> None:
    """A restart finds the last good version too."""
    publish()
    damage_onnx(repository.root / "penguins/2")
    registry = Registry(repository)
    registry.refresh()

    assert registry.predictor().version == 1


def test_a_repository_that_disappears_changes_nothing(
    registry: Registry, repository: ModelRepository, client: FlaskClient, record: dict[str, object]
) -> None:
    """What is loaded goes on answering."""
    shutil.rmtree(repository.root)
    registry.refresh()

    assert client.post("/predict", json={"instance": record}).status_code == 200
    assert client.get("/v2/health/ready").status_code == 200


def test_an_outage_is_told_once_whatever_is_copied_by_its_end(
    tmp_path: Path, repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    """Models that are copied first, before the look is written down that says that the storage is back."""
    copied = ModelRepository(tmp_path / "copied")
    copied.root.mkdir()
    look = Look(trouble="the storage is out of order")
    registry = Registry(copied, last_look=lambda: look)
    registry.refresh()
    (name,) = repository.names()
    shutil.copytree(repository.root / name, copied.root / name)
    registry.refresh()
    registry.refresh()

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "repository not followed"
    ]
    assert caplog.records[0].__dict__["reason"] == "the storage is out of order; it is tried again"


def test_several_models_need_a_default(repository: ModelRepository, publish: Callable[..., int]) -> None:
    """/predict asks it; each is reached by its name."""
    publish(name="birds")
    registry = Registry(repository)
    registry.refresh()

    assert [predictor.card.name for predictor in registry.predictors] == ["birds", "penguins"]
    assert registry.predictor("birds").card.name == "birds"
    with pytest.raises(NoDefaultModel, match=r"several models are served \(birds, penguins\)"):
        registry.predictor()

    chosen = Registry(repository, default_model="birds")
    with pytest.raises(NotReady):
        chosen.predictor()
    chosen.refresh()
    assert chosen.predictor().card.name == "birds"
