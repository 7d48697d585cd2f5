"""The page's own sets, in JavaScript, are the service's."""

import json
from pathlib import Path

from models.repository import ModelRepository
from service.prediction.predictor import Predictor
from tests.evenkeel.page.conftest import Javascript
from tests.service.conftest import SETS
from trainer.data.table import read_table


def test_the_page_has_the_same_sets_by_itself(javascript: Javascript, penguins: Path, tmp_path: Path) -> None:
    """In one file, without a service: of each row the classes, and whether they are one; and in what it writes."""
    model = ModelRepository(SETS).read("penguins", 1)
    predictor, records = Predictor(model), read_table(penguins, "species").examples.rows.records()
    assert predictor.sets is not None
    members = predictor.sets(predictor.predict(predictor.rows.read(records).tensors))
    expected = [[label for label, inside in zip(model.card.classes, row, strict=True) if inside] for row in members]
    (tmp_path / "model").write_bytes(model.onnx)
    (tmp_path / "card").write_text(model.card.to_json())
    (tmp_path / "records").write_text(json.dumps(records))
    code = """
    import { offlineSource } from "./offline.js";
    import { written } from "./scoring.js";
    const card = JSON.parse(readFileSync(given.card, "utf8"));
    const source = offlineSource(card, 1, new Uint8Array(readFileSync(given.model)));
    const answers = await source.predict(JSON.parse(readFileSync(given.records, "utf8")));
    const rows = [{ ...answers[0], cells: ["1"] }, { label: null, cells: ["x"], fault: "no", warnings: [] }];
    const answer = { answers, lines: written({ columns: ["a"], delimiter: ",", rows }, card) };
    """
    found = javascript(code, **{name: str(tmp_path / name) for name in ("model", "card", "records")})

    assert [one["set"] for one in found["answers"]] == expected
    assert [one["certain"] for one in found["answers"]] == (members.sum(axis=1) == 1).tolist()
    header, first, second = found["lines"]
    assert header.endswith("probability_Gentoo,set,warnings\n")
    assert '"[""Adelie' in first
    assert second == "x,,,,,,,no\n"
