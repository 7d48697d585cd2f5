"""A model that was trained on a table, rows of it and other rows, and what the service tells of both."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.repository import ModelRepository
from tests.end_to_end.conftest import Service, train, wait_for
from tests.end_to_end.test_workers import children
from tests.service.conftest import PUBLISHED
from tests.service.test_metrics import value
from trainer.data.table import read_table

AT_ONCE = 32


def test_a_shifted_column_shows(penguins: Path, tmp_path: Path, serve: Callable[..., Service]) -> None:
    """Two workers. The table's own rows stay below 0.1 in every feature and in what is predicted; where penguins weigh
    a fifth more, that feature passes 0.25 and no other does. Every worker tells the same of all rows.
    """
    flags = ("--target", "species", "--name", "penguins", "--epochs", "5", "--members", "1")
    for seed in ("1", "2"):
        train(penguins, tmp_path, *flags, "--seed", seed)
    records: list[dict[str, Any]] = read_table(penguins, "species").examples.rows.records()
    heavier = [record | {"body_mass_g": 1.2 * (record["body_mass_g"] or 4000)} for record in records]
    service = serve(tmp_path, EVENKEEL_WORKERS="2")
    service.wait()
    for version in ("1", "2"):
        # The version that does not serve is loaded behind the other, by each worker for itself.
        for _ in range(30):
            service.wait(f"/v2/models/penguins/versions/{version}/ready")
    for version, sent in (("1", records), ("2", heavier)):
        for start in [*range(0, len(sent), AT_ONCE)] * 2:
            asked = {"instances": sent[start : start + AT_ONCE]}
            assert service.ask(f"/v1/models/penguins/versions/{version}:predict", asked)[0] == 200
    # A worker tells what another has only noted a second later.
    time.sleep(1.5)
    read = service.metrics()
    same, shifted = (
        {
            dict(of)["feature"]: psi
            for (name, of), psi in read.items()
            if name == "evenkeel_drift_psi" and of >= {version}
        }
        for version in (("version", "1"), ("version", "2"))
    )

    for version in ("1", "2"):
        assert value(read, "drift_rows_total", model="penguins", version=version) == 2 * len(records)
    assert len(same) == len(records[0])
    assert max(same.values()) < 0.1
    assert value(read, "prediction_drift_psi", model="penguins", version="1") < 0.1
    assert shifted.pop("body_mass_g") > 0.25
    assert max(shifted.values()) < 0.1
    told = service.ask("/v1/models/penguins/versions/2/drift")[1]
    assert (told["status"], told["windows"][0]["drifted"]) == ("shifted", ["body_mass_g"])
    assert service.ask("/v1/models/penguins/versions/1/drift")[1]["status"] == "steady"

    for _ in range(8):
        assert {key: told for key, told in service.metrics().items() if "drift" in key[0]}.items() <= read.items()


def test_a_worker_that_is_killed_takes_no_count_with_it(serve: Callable[..., Service]) -> None:
    """Its successor counts on; both windows have each row once."""
    record = ModelRepository(PUBLISHED).card("penguins", 1).golden[0].instance
    service = serve(PUBLISHED, EVENKEEL_WORKERS="2")
    service.wait()
    wait_for(lambda: value(service.metrics(), "workers_ready") == 2)

    def count(requests: int) -> None:
        for _ in range(requests):
            assert service.ask("/predict", {"instances": [record] * 7})[0] == 200

    def rows() -> list[int]:
        return [window["rows"] for window in service.ask("/v1/models/penguins/drift")[1]["windows"]]

    count(40)
    wait_for(lambda: rows() == [280, 280])
    os.kill(int(children(service)[0]), signal.SIGKILL)
    wait_for(lambda: value(service.metrics(), "worker_exits_total", cause="signal") == 1)
    wait_for(lambda: value(service.metrics(), "workers_ready") == 2)
    count(40)
    wait_for(lambda: rows() == [560, 560])
