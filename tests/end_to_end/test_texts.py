"""What a table's own texts come to in the file alone: labels as they were, and rare texts as unseen ones."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.trainer.tables import train
from trainer.command_line import main

LABELS = {
    "commas, quotes, emoji": ["a,b", 'say "hi"', "🐧"],
    "signs": ["<=50K", ">50K", " x "],
    "truths": ["TRUE", "FALSE", "true"],
    "signed ones": ["-1", "1", "+1"],
    "fractions": ["0.50", "0.5", "1e0"],
    "leading zeros": ["001", "01", "1"],
    "our own words": ["__class__", "label", "probabilities"],
    "line breaks": ["a\nb", "a\r\nb", "a\tb"],
    "composed": ["é", "e\u0301", "ß"],
    "very long": ["c" * 10_000, "d" * 10_000, "\ufdd0rare"],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_labels_come_back_byte_equal(tmp_path: Path, labels: list[str]) -> None:
    """From the file alone, by plain onnxruntime, for every class."""
    quoted = ['"' + label.replace('"', '""') + '"' for label in labels]
    content = "x,k,y\n" + "".join(f"{10 * (row % 3)},{'abc'[row % 3]},{quoted[row % 3]}\n" for row in range(90))
    (tmp_path / "odd.csv").write_bytes(content.encode())
    arguments = [
        "fit",
        str(tmp_path / "odd.csv"),
        "--target",
        "y",
        "--name",
        "m",
        "--repository",
        str(tmp_path / "store"),
    ]
    assert main([*arguments, "--epochs", "60", "--hidden", "8", "--members", "1"]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "store/m/1/model.onnx")
    inputs = {
        "numeric": np.array([[0], [10], [20]], np.float32),
        "categorical": np.array([["a"], ["b"], ["c"]], object),
    }

    assert session.run(["label"], inputs)[0].tolist() == labels


def test_rare_texts_are_as_unseen(tmp_path: Path) -> None:
    """What training folded together gets the answer of a text that it never saw; the card lists neither."""
    texts = [f"t{row % 1200:04d}" if row < 2400 else f"t{row % 300:04d}" for row in range(3000)]
    content = "x,z,y\n" + "".join(
        f"{text},{row % 7},{'no' if row % 5 < 3 else 'yes'}\n" for row, text in enumerate(texts)
    )
    card = train(tmp_path, content)
    session = onnxruntime.InferenceSession(tmp_path / "store/m/1/model.onnx")
    answers = [
        session.run(
            ["probabilities"], {"numeric": np.ones((1, 1), np.float32), "categorical": np.array([[text]], object)}
        )
        for text in ("t1199", "\ufdd0rare", "never seen")
    ]

    categories = card["features"][0]["categories"]
    assert len(categories) <= 1000
    assert "\ufdd0rare" not in categories
    assert set(categories) <= set(texts) - {f"t{number:04d}" for number in range(1000, 1200)}
    np.testing.assert_array_equal(answers[0], answers[2])
    np.testing.assert_array_equal(answers[1], answers[2])
