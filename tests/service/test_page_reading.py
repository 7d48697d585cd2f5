"""The page reads cells and words warnings in JavaScript; node does both beside the service's own Python."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import service
from models.cells import MISSING
from models.features import CategoricalFeature, DateFeature, Feature, NumericFeature, cell_reader
from service.rows.reader import RowReader

ROOT = Path(__file__).parents[2]
# Of the package that is installed, whether that is this checkout or not.
STATIC = Path(service.__file__).parent / "static"

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")

NUMBERS = [
    *(
        "1",
        "-1",
        "+1",
        "1.5",
        "1,5",
        ".5",
        ",5",
        "5.",
        "1e3",
        "1E-3",
        "1e",
        "--1",
        "0x10",
        "1_000",
        "1.234,5",
        "1,234.5",
    ),
    *(
        "12.34.56",
        "1 234",
        "1'234",
        "1’234",
        "1\u00a0234,5",
        " 7 ",
        "\u20037\u3000",
        "94%",
        "94 %",
        "% 94",
        "-94%",
        "€5",
        "5€",
    ),
    *(
        "inf",
        "-Infinity",
        "1e400",
        "3.4028235677973363e38",
        "3.4028235e38",
        "nan",
        "NaN",
        "?",
        "-",
        "n.a.",
        "",
        "  ",
        "yes",
    ),
    *("no", "TRUE", "wahr", "1", "0", "\ufeff1", "\u00851", "１", "0.1", "123456789012345678901234567890"),
]
DATES = [
    *(
        "2026-01-31",
        "2026/1/3",
        "20260131",
        "31.01.2026",
        "31/01/2026",
        "01/31/2026",
        "2026-02-29",
        "2024-02-29",
        "x",
        "",
    ),
    *("2026-01-31T12:30", "2026-01-31 12:30:15", "2026-01-31T12:30:15.25Z", "2026-01-31T12:30+02:00", "2026-13-01"),
    *("2026-01-31T24:00", "0001-01-01", "9999-12-31", "1969-12-31T23:59", "2026-1-3T1:05", "31.1.2026 08:15", "NULL"),
]
TEXTS = ["a", " a", "a ", "", "  ", "NA", "yes", "Yes", "JA", "nein", "b\nb", "emoji 🐧", "__proto__", "?"]

FEATURES: list[tuple[Feature, list[str]]] = [
    *(
        (
            NumericFeature.model_validate({"name": "x", "nullable": True, "minimum": 0, "maximum": 1, "reading": one}),
            NUMBERS,
        )
        for one in (
            {},
            {"decimal": ","},
            {"decimal": ",", "thousands": "."},
            {"thousands": ","},
            {"decimal": ",", "thousands": " "},
            {"thousands": "'"},
            {"unit": "%"},
            {"unit": "€", "decimal": ","},
            {"missing": [*MISSING, "-", "n.a."]},
            {"boolean": ["no", "yes"]},
        )
    ),
    *(
        (DateFeature.model_validate({"name": "x", "nullable": True, "minimum": 0, "maximum": 1, "reading": one}), DATES)
        for one in ({}, {"date": "dmy"}, {"date": "mdy"})
    ),
    *(
        (CategoricalFeature.model_validate({"name": "x", "nullable": True, "categories": known, "reading": one}), TEXTS)
        for known, one in ((["a", " a"], {}), (["NA", "a"], {}), (["nein", "ja"], {"boolean": ["nein", "ja"]}))
    ),
]


def in_node(script: str, document: object) -> Any:
    """What a module prints as JSON, given a document as `given`."""
    source = f'import {{ readFileSync }} from "node:fs";\nconst given = JSON.parse(readFileSync(0, "utf8"));\n{script}'
    command = ["node", "--input-type=module", "-e", source]
    ran = subprocess.run(command, cwd=ROOT, input=json.dumps(document), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_cells_are_read_as_the_service_reads_them() -> None:
    """Every kind of reading, on texts that are something to one of them and nothing to another."""
    found = in_node(
        f"""import {{ cellReader }} from "{STATIC}/values.js";
        const read = (reader, text) => {{ try {{ return [reader(text)]; }} catch {{ return "refused"; }} }};
        const all = ([feature, texts]) => texts.map((text) => read(cellReader(feature), text));
        console.log(JSON.stringify(given.map(all)));""",
        [(feature.model_dump(mode="json"), texts) for feature, texts in FEATURES],
    )

    for (feature, texts), values in zip(FEATURES, found, strict=True):
        reader = cell_reader(feature)
        for text, value in zip(texts, values, strict=True):
            try:
                expected: Any = [reader(text)]
            except ValueError:
                expected = "refused"
            assert value == expected, (feature, text)


def test_warnings_are_worded_as_the_service_words_them() -> None:
    """Numbers and dates at either side of the far ends, strange categories and missing values, to the letter."""
    features: list[Feature] = [
        NumericFeature(name="n", nullable=True, seen_missing=False, minimum=-0.00012345678, maximum=1234567.5),
        NumericFeature(name="same", nullable=False, minimum=3, maximum=3),
        DateFeature(name="d", nullable=True, minimum=18000.25, maximum=20000),
        CategoricalFeature(name="c", nullable=True, seen_missing=False, categories=("a", "b")),
        CategoricalFeature(name="__proto__", nullable=True, categories=(" a", "a ")),
        NumericFeature(name="code", nullable=True, seen_missing=False, minimum=-2, maximum=5e9, codes=(-2, 0, 3, 5e9)),
    ]
    plain: dict[str, Any] = {"n": 1, "same": 3, "d": "2020-01-01", "c": "a", "__proto__": " a", "code": 3}
    width = 1234567.5 + 0.00012345678
    values: dict[str, list[Any]] = {
        "n": [None, -width - 1, -width + 1, 2 * width - 1, 2 * width + 1, 3e38, -3e38],
        "same": [-1, 0, 0.001, 6, 6.001],
        "d": [None, "2013-10-01", "2013-11-01", "2030-01-01", "2031-01-01", "0001-01-01", "2031-01-01T12:00"],
        "c": [
            None,
            "",
            "A",
            "it's",
            "a\u00a0b\n\\",
            'say "it\'s"',
            "🐧" * 70,
            "\u200fעברית",
            "x" * 64,
            "x" * 65,
            "\u2028",
        ],
        "__proto__": [None, "a"],
        "code": [
            None,
            0,
            -0.0,
            5e9,
            5000000001,
            2,
            2.5,
            -2.0000001,
            -3e38,
            1234567.5,
            1e-9,
            3.0000003,
            5411001,
            20240131,
            999999999,
            1e9,
            123456789012,
            0.1,
            7.25e-8,
            1234.56789,
        ],
    }
    records = [{**plain, name: value} for name, some in values.items() for value in some]
    expected = [RowReader(features).read([record]).warnings.get(0, []) for record in records]

    found = in_node(
        f"""import {{ concernsOf }} from "{STATIC}/concerns.js";
        console.log(JSON.stringify(given.records.map(concernsOf(given.card))));""",
        {"card": {"features": [feature.model_dump(mode="json") for feature in features]}, "records": records},
    )
    assert found == expected
    assert any("has not seen 5411001;" in str(warning["message"]) for some in expected for warning in some)
    assert sum(map(len, expected)) > 15


def test_a_case_survives_its_address() -> None:
    """Names and values of any kind, and what is missing, come back from the fragment as they went in."""
    names = ["a b", "ä&=#%", "__proto__", "constructor", "🐧", "עברית", "'\"", "n"]
    card = {
        "features": [{"name": name, "kind": "categorical"} for name in names[:-1]] + [{"name": "n", "kind": "numeric"}]
    }
    texts = [" x", "", None, "=&#", "a\nb", "%20", "🐧", -1.5e-7]
    record = json.dumps(dict(zip(names, texts, strict=True)))
    found = in_node(
        f"""import {{ fragmentOf, recordOf }} from "{STATIC}/address.js";
        const record = JSON.parse(given.record);
        console.log(JSON.stringify(Object.entries(recordOf(given.card, "#" + fragmentOf(given.card, record)))));""",
        {"card": card, "record": record},
    )
    assert found == [[name, text] for name, text in zip(names, texts, strict=True)]
