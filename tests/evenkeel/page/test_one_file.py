"""The file that `evenkeel page` writes, opened by a real browser from a disk."""

import dataclasses
import io
import json
import re
import shutil
import subprocess
import sys
import time
import zlib
from base64 import b85decode
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from evenkeel.commands.page import page_of, synthetic_rows
from evenkeel.page import one_file
from models.features import Record
from models.repository import ModelRepository, PublishedModel
from service.prediction.predictor import Predictor
from tests.conftest import ROOT
from tests.end_to_end.browser import Tab, browsing
from tests.evenkeel.page.test_parity import records_of, trained

PACKED = re.compile(r'(<script type="application/octet-stream"[^>]*>)(.*?)(</script>)', re.DOTALL)
LABEL = "document.querySelector('.verdict .label')?.textContent"

browser = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PublishedModel:
    store = tmp_path_factory.mktemp("store")
    return trained(ROOT / "examples/penguins.csv", "penguins", store, target="species", epochs=8, background=5)


@pytest.fixture(scope="module")
def page(model: PublishedModel) -> str:
    return page_of(model).decode()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browsing(tmp_path_factory.mktemp("profile")) as tab:
        tab.send("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        yield tab


@pytest.fixture(scope="module")
def coded(model: PublishedModel) -> PublishedModel:
    """The same, as if training had taken years for categories and had seen two of them."""
    features = [
        one.model_copy(update={"codes": (2007.0, 2009.0)} if one.name == "year" else {}) for one in model.card.features
    ]
    return dataclasses.replace(model, card=model.card.model_copy(update={"features": tuple(features)}))


def held(page: str) -> tuple[bytes, bytes, dict[str, object], bytes]:
    """What is packed in a page: style, script, card and version, model."""
    found = PACKED.search(page)
    assert found
    stream = io.BytesIO(unpacked(found[2]))
    style, script, card = (stream.read(int.from_bytes(stream.read(4), "big")) for _ in range(3))
    planes = stream.read()
    onnx = bytearray(len(planes))
    for place in range(4):
        onnx[place::4], planes = planes[: len(onnx[place::4])], planes[len(onnx[place::4]) :]
    return style, script, json.loads(card), bytes(onnx)


def unpacked(packed: str) -> bytes:
    data = b85decode(packed.replace(",", "<"))
    return zlib.decompress(data[1 : len(data) - data[0]], -zlib.MAX_WBITS)


def repacked(packed: str, old: bytes, new: bytes) -> str:
    """The same with a part replaced, as somebody would who knows the format."""
    data = unpacked(packed)
    assert old in data
    return one_file.encoded(one_file.deflated(data.replace(old, new)))


def opened(tab: Tab, page: str, folder: Path) -> None:
    file = folder / "page with blanks & é.html"
    file.write_text(page, encoding="utf-8")
    tab.requests.clear()
    tab.errors.clear()
    tab.open(file.as_uri())


def test_no_row_of_the_table_stands_in_it(model: PublishedModel, page: str, penguins: Path) -> None:
    """Neither a golden row nor a background row; those that are there are drawn, and answered by the model."""
    _, _, document, onnx = held(page)
    card = document["card"]
    assert isinstance(card, dict)
    golden: list[Record] = [row["instance"] for row in card["golden"]]
    table = [json.dumps(record) for record in records_of(penguins, "species")]

    assert not {json.dumps(record) for record in golden} & set(table)
    assert card["background"] == []
    assert json.dumps(model.card.golden[1].instance) in table
    assert json.dumps(model.card.golden[1].instance)[1:-1].encode() in model.onnx
    for row in (*(one.instance for one in model.card.golden), *model.card.background):
        assert json.dumps(row)[1:-1].encode() not in onnx + json.dumps(card).encode()
    answers = Predictor(model).predict(Predictor(model).rows.read(golden).tensors)
    np.testing.assert_allclose([row["probabilities"] for row in card["golden"]], answers, rtol=0, atol=1e-6)


def test_the_same_model_has_the_same_page(model: PublishedModel, page: str) -> None:
    """To the byte, and small enough for a mail."""
    assert page_of(model).decode() == page
    assert len(page.encode()) < 1_000_000


def test_numbers_that_are_whole_stay_whole(model: PublishedModel) -> None:
    """Drawn rows keep to each feature's range and categories; some cells are missing, as in training."""
    rows = synthetic_rows(model.card, np.random.default_rng(1))

    assert all(float(row["year"] or 0).is_integer() for row in rows)
    assert any(None in row.values() for row in rows)
    for feature in model.card.features:
        for row in rows:
            value = row[feature.name]
            if feature.kind == "categorical":
                assert value is None or value in feature.categories
            elif feature.kind == "numeric":
                assert value is None or feature.minimum <= float(value) <= feature.maximum


def test_numbers_that_are_codes_are_known_ones(coded: PublishedModel) -> None:
    """Drawn rows have no other."""
    card = coded.card.model_copy(update={"typical": None})
    drawn = {row["year"] for seed in range(5) for row in synthetic_rows(card, np.random.default_rng(seed))}

    assert drawn - {None} == {2007, 2009}


def test_the_command_writes_it(model: PublishedModel, page: str, tmp_path: Path) -> None:
    """To standard output; without a name there is one sentence."""
    repository = ModelRepository(tmp_path)
    repository.publish(model.card, {"model.onnx": model.onnx})
    command = [sys.executable, "-m", "evenkeel", "page", "--repository", str(tmp_path)]
    done = subprocess.run([*command, "penguins"], capture_output=True, check=True, cwd=ROOT)
    unknown = subprocess.run([*command, "walrus"], capture_output=True, text=True, check=False, cwd=ROOT)

    assert held(done.stdout.decode())[3] == held(page)[3]
    assert (unknown.returncode, unknown.stderr.count("\n")) == (65, 1)
    assert "no model 'walrus'" in unknown.stderr


@pytest.mark.usefixtures("tab")
class TestInABrowser:
    pytestmark = browser

    def test_it_answers_offline_as_onnxruntime_does(
        self, model: PublishedModel, page: str, tab: Tab, tmp_path: Path
    ) -> None:
        """From a disk, with no other request and no error: answer, what if, reasons, another value."""
        opened(tab, page, tmp_path)
        tab.wait(LABEL, lambda label: label in model.card.classes)
        tab.wait("document.querySelectorAll('.curve:not([hidden]) *').length > 20")
        tab.wait("document.querySelectorAll('.why:not([hidden]) .steps li').length > 2")
        _, _, document, _ = held(page)
        row = document["card"]["golden"][0]["instance"] | {"bill_length_mm": 59.5, "island": "Biscoe"}  # type: ignore[index]
        predictor = Predictor(model)
        shares = predictor.predict(predictor.rows.read([row]).tensors)[0]
        tab.js(
            """for (const [name, value] of [["bill_length_mm", "59.5"], ["island", "Biscoe"]]) {
                 const field = document.querySelector(`[data-feature="${name}"]`);
                 field.value = value;
                 field.dispatchEvent(new Event("input", { bubbles: true }));
                 field.dispatchEvent(new Event("change", { bubbles: true }));
               }"""
        )
        for label, share in zip(model.card.classes, shares.tolist(), strict=True):
            width = f"parseFloat(document.querySelector('[data-class=\"{label}\"] .fill').style.width)"
            tab.wait(f"Math.abs({width} / 100 - {share}) < 1e-5")
        asked = [url for url, _ in tab.requests if not url.startswith(("data:", "about:"))]
        assert len(asked) == 1
        assert asked[0].startswith("file:")
        assert tab.errors == []

    def test_codes_are_known_values_and_no_range(self, coded: PublishedModel, tab: Tab, tmp_path: Path) -> None:
        """In the form, in what if and on the card; one that training has not seen is warned of."""
        opened(tab, page_of(coded).decode(), tmp_path)
        tab.wait(LABEL)
        tab.js("document.querySelector('[data-feature=\"year\"]').focus()")
        tab.wait("document.querySelector('.curve h2').textContent.includes('year')")
        points = "document.querySelector('.curve polyline').getAttribute('points').split(' ').length"
        tab.wait(f"{points} === 2")
        put = """((value, slide) => {
          const field = document.querySelector('[data-feature="year"]');
          let place = field;
          while (!place.querySelector("input[type=range]")) place = place.parentElement;
          const input = slide ? place.querySelector("input[type=range]") : field;
          input.value = value;
          input.dispatchEvent(new Event("input", { bubbles: true }));
          return field.value;
        })"""
        assert tab.js(f"{put}('900', true)") == "2009"
        assert tab.js(f"{put}('100', true)") == "2007"
        tab.js(f"{put}('2008', false)")
        tab.wait("/training has not seen 2008; it counts as none/.test(document.body.textContent)")
        tab.js("[...document.querySelectorAll('nav a')].find((link) => link.textContent === 'Card').click()")

        assert "2007, 2009" in tab.text("main.card-page")
        assert tab.errors == []

    def test_a_dropped_table_is_scored_by_it(self, page: str, penguins: Path, tab: Tab, tmp_path: Path) -> None:
        """Every row of the table, none of which leaves the page."""
        opened(tab, page, tmp_path)
        tab.wait("document.querySelector('#rows') !== null")
        tab.js(
            f"""{{
              const files = new DataTransfer();
              files.items.add(new File([{json.dumps(penguins.read_text())}], "penguins.csv"));
              const input = document.querySelector("#rows");
              input.files = files.files;
              input.dispatchEvent(new Event("change"));
            }}"""
        )
        tab.wait("/agree with its column species/.test(document.querySelector('.scored')?.textContent)")

        assert "344 rows of penguins.csv" in tab.text(".scored")
        assert tab.errors == []

    def test_the_card_is_a_page_of_it(self, page: str, tab: Tab, tmp_path: Path) -> None:
        opened(tab, page, tmp_path)
        tab.wait(LABEL)
        tab.js("[...document.querySelectorAll('nav a')].find((link) => link.textContent === 'Card').click()")

        assert tab.js("[...document.querySelectorAll('main')].map((main) => main.hidden)") == [True, False]
        assert "7 features" in tab.text("main.card-page")

    @pytest.mark.parametrize(
        ("damage", "sentence"),
        [
            ("letter", "This file is damaged: a letter in it is wrong."),
            ("swapped", "This file is damaged: "),
            ("figure", "This file is damaged: it is not as it was written."),
            ("end", "This file has not opened."),
            ("script", "This file has not opened."),
        ],
    )
    def test_a_damaged_file_shows_nothing_and_says_so(
        self, damage: str, sentence: str, page: str, tab: Tab, tmp_path: Path
    ) -> None:
        """A wrong letter, two that changed places, a figure changed with care, an early end, another script."""
        found = PACKED.search(page)
        assert found
        middle = (found.start(2) + found.end(2)) // 2
        swapped = page[middle + 1] + page[middle]
        assert swapped[0] != swapped[1]
        damaged = {
            "letter": page[:middle] + " " + page[middle + 1 :],
            "swapped": page[:middle] + swapped + page[middle + 2 :],
            "figure": page.replace(found[2], repacked(found[2], b'"accuracy": 0.', b'"accuracy": 1.')),
            "end": page[:middle],
            "script": page.replace('<script type="module">', '<script type="module">document.title = "taken over";'),
        }[damage]
        opened(tab, damaged, tmp_path)
        if sentence.endswith("opened."):
            time.sleep(2.5)  # It says so only where that takes long.
        tab.wait(f"document.querySelector('main p')?.textContent.startsWith({json.dumps(sentence)})")

        assert tab.js("getComputedStyle(document.querySelector('main p')).visibility") == "visible"
        assert tab.js("document.querySelector('form')") is None
        assert tab.js("document.title") == "penguins"

    def test_a_golden_row_that_comes_out_differently_is_refused(
        self, model: PublishedModel, tab: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By more than 1e-5: nothing is shown."""
        from evenkeel.scoring.local import LocalModel

        answer = LocalModel.answer_records
        monkeypatch.setattr(LocalModel, "answer_records", lambda self, rows: answer(self, rows) + np.float32(2e-5))
        opened(tab, page_of(model).decode(), tmp_path)
        tab.wait("/golden row comes out 0.00002/.test(document.querySelector('main').textContent)")

        assert tab.js("document.querySelector('form')") is None
