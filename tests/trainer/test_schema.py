import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.schema import ColumnSchema, FileSchema, Found, Schema, read_schema, to_toml
from trainer.data.table import read_table
from trainer.errors import InvalidSchema, InvalidTable, Unreadable

Write = Callable[[str | bytes], Path]

texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.floats(allow_nan=False, allow_infinity=False)
found = st.builds(
    Found,
    different=st.integers(0, 2**40),
    missing=st.integers(0, 2**40),
    minimum=st.none() | numbers,
    maximum=st.none() | numbers,
    categories=st.none() | st.lists(texts).map(tuple),
)
lists = st.lists(texts).map(tuple)
columns = st.builds(
    ColumnSchema,
    kind=st.sampled_from(["categorical", "boolean", "ignored"]),
    missing=lists,
    present=lists,
    required=st.booleans(),
    notes=lists,
    found=st.none() | found,
) | st.builds(ColumnSchema, kind=st.just("numeric"), decimal=st.just(","), thousands=st.sampled_from(["", ".", "'"]))


@given(
    st.builds(
        Schema,
        target=texts,
        missing=lists,
        merge_spellings=st.booleans(),
        file=st.builds(FileSchema, delimiter=st.sampled_from([None, "\t"]), encoding=st.none() | texts),
        notes=lists,
        columns=st.dictionaries(texts, columns, min_size=1, max_size=4),
    ),
    texts,
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, schema: Schema, table: str) -> None:
    """Whatever columns and categories are called: the writer is ours, the reader is Python's."""
    path = tmp_path_factory.mktemp("schema") / "schema.toml"
    path.write_bytes(to_toml(schema, table).encode())

    assert read_schema(path) == schema


WHOLE = 'target = "y"\n[columns.x]\nkind = "numeric"\n[columns.k]\nkind = "categorical"\n'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("target = y", "is no TOML: Invalid value (at line 1, column 10)"),
        ("\xff", "is no TOML"),
        ('[columns.x]\nkind = "numeric"\n', "'target' is missing"),
        ('target = "y"\n', "'columns' is missing"),
        ('target = "y"\n[columns]\n', "column 'x' of"),
        (WHOLE + "[column.z]\n", "'column' is no key of a schema"),
        (WHOLE + 'knid = "numeric"\n', "'columns.k.knid' is no key of a schema"),
        (
            WHOLE + '[columns."a b"]\nkind = "number"\n',
            "'columns.\"a b\".kind' should be 'numeric', 'categorical', 'bool",
        ),
        (WHOLE + "missing = -999\n", "'columns.k.missing' should be a valid array, not '-999'"),
        (WHOLE + "missing = [-999]\n", "'columns.k.missing.0' should be a valid string, not '-999'"),
        (WHOLE + 'decimal = ","\n', "'columns.k': 'decimal', 'thousands' and 'unit' belong to numeric columns"),
        (
            WHOLE.replace('"numeric"', '"numeric"\ndecimal = ","\nthousands = ","'),
            "'columns.x': 'decimal' and 'thousands' must differ",
        ),
        (WHOLE.replace('"y"', '"z"'), "'target' is 'z', but --target says 'y'"),
        (WHOLE + '[columns.z]\nkind = "ignored"\n', "'columns.z' is no column of"),
        (WHOLE + '[columns.y]\nkind = "ignored"\n', "'columns.y' is the target and no feature"),
        ('target = "y"\n[columns.x]\nkind = "numeric"\n', "column 'k' of"),
    ],
)
def test_a_schema_that_breaks_a_rule_is_refused(table: Write, tmp_path: Path, content: str, sentence: str) -> None:
    """One sentence that names the file and the key."""
    schema = tmp_path / "schema.toml"
    schema.write_bytes(content.encode("latin-1"))

    with pytest.raises(InvalidSchema, match=re.escape(sentence)) as refusal:
        read_table(table("x,k,y\n1,a,p\n2,b,q\n"), "y", schema=schema)
    assert str(schema) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_schema_that_does_not_end_is_unreadable() -> None:
    """What is longer than anybody writes is not read to its end."""
    with pytest.raises(Unreadable, match="/dev/zero: File too large"):
        read_schema(Path("/dev/zero"))


def test_a_schema_that_is_not_there_is_unreadable(table: Write, tmp_path: Path) -> None:
    """As a table is."""
    with pytest.raises(Unreadable, match=r"none.toml: No such file"):
        read_table(table("x,y\n1,a\n2,b\n"), "y", schema=tmp_path / "none.toml")


def read(table: Path, *columns: str) -> list[dict[str, object]]:
    """The records of a table by a schema with these columns."""
    schema = table.with_suffix(".toml")
    schema.write_text('target = "y"\n' + "\n".join(columns), encoding="utf-8")
    return [dict(record) for record in read_table(table, "y", schema=schema).examples.rows.records()]


@pytest.mark.parametrize(
    ("cells", "settings", "expected"),
    [
        (["00123", "7"], 'kind = "numeric"', [123.0, 7.0]),
        (["1", "2"], 'kind = "categorical"', ["1", "2"]),
        (["1,5", "-2"], 'kind = "numeric"\ndecimal = ","', [1.5, -2.0]),
        (["1,000", "1,000,000.5"], 'kind = "numeric"\nthousands = ","', [1000.0, 1000000.5]),
        (["1.000,5", " 3 "], 'kind = "numeric"\ndecimal = ","\nthousands = "."', [1000.5, 3.0]),
        (["1'000", "+2e3"], 'kind = "numeric"\nthousands = "\'"', [1000.0, 2000.0]),
        (["-999", "4"], 'kind = "numeric"\nmissing = ["-999"]', [None, 4.0]),
        (["NA", ""], 'kind = "categorical"\npresent = ["NA"]', ["NA", None]),
        (["-9", "NA"], 'kind = "numeric"\nmissing = ["-9"]', [None, None]),
        (["31.01.2024", "1.2.2024 6:00"], 'kind = "date"\ndate = "dmy"', ["2024-01-31", "2024-02-01T06:00:00"]),
        (["5 kg", "kg 6,5"], 'kind = "numeric"\ndecimal = ","\nunit = "kg"', [5.0, 6.5]),
        (["True", "no"], 'kind = "boolean"', ["True", "no"]),
        (["inf", "4"], 'kind = "numeric"\nmissing = ["inf"]', [None, 4.0]),
        (["1", "0"], 'kind = "boolean"', [1.0, 0.0]),
        (["ja", "nein"], 'kind = "boolean"', ["ja", "nein"]),
    ],
)
def test_the_schema_decides(table: Write, cells: list[str], settings: str, expected: list[object]) -> None:
    """Kinds, missing markers, decimal commas and thousands separators, a column at a time."""
    path = table("\n".join(["x,y", *(f'"{cell}",{label}' for cell, label in zip(cells, "ab", strict=True))]))

    assert [record["x"] for record in read(path, f"[columns.x]\n{settings}")] == expected


@pytest.mark.parametrize(
    ("cells", "settings", "sentence"),
    [
        (["1", "x"], 'kind = "numeric"', "line 3, column 'x': 'x' is no number; the schema can list it as missing"),
        (["1", "NA"], 'kind = "numeric"\npresent = ["NA"]', "line 3, column 'x': 'NA' is no number"),
        (
            ["2024-01-31", "2024-02-30"],
            'kind = "date"',
            "line 3, column 'x': '2024-02-30' is no date; the schema can list",
        ),
        (["1.5", "1.5,2"], 'kind = "numeric"\ndecimal = ","', "line 2, column 'x': '1.5' is no number"),
        (["1,00", "2"], 'kind = "numeric"\nthousands = ","', "line 2, column 'x': '1,00' is no number"),
        (["1", "inf"], 'kind = "numeric"', "line 3, column 'x': inf does not fit in a 32-bit float"),
        (["a", "b", "c"], 'kind = "boolean"', "line 4, column 'x': 'c' is a third text in a boolean column"),
    ],
)
def test_a_cell_of_another_kind_is_refused(table: Write, cells: list[str], settings: str, sentence: str) -> None:
    """By line and column: what a person has declared is not doubted, but the cell is."""
    path = table("\n".join(["x,y", *(f'"{cell}",{label}' for cell, label in zip(cells, "aba", strict=False))]))

    with pytest.raises(InvalidTable, match=re.escape(sentence)):
        read(path, f"[columns.x]\n{settings}")


def test_the_table_has_missing_markers_too(table: Write) -> None:
    """They replace the default ones for every column that has none of its own, the target among them."""
    path = table("x,k,y\n-9,-9,a\n1,NA,b\n2,c,-9\n")
    records = read(path, 'missing = ["-9"]\n[columns.x]\nkind = "numeric"\n[columns.k]\nkind = "categorical"')

    assert records == [{"x": None, "k": None}, {"x": 1.0, "k": "NA"}]


def test_an_inferred_schema_reads_the_same_again(penguins: Path, tmp_path: Path) -> None:
    """What `inspect` writes decides as `fit` does without it."""
    inferred = read_table(penguins, "species")
    path = tmp_path / "schema.toml"
    path.write_text(to_toml(inferred.schema, "penguins.csv"), encoding="utf-8")
    again = read_table(penguins, "species", schema=path)

    assert again.schema == inferred.schema
    assert again.examples.rows.columns == inferred.examples.rows.columns
    np.testing.assert_array_equal(again.examples.rows.numeric, inferred.examples.rows.numeric)


def test_keys_need_no_care() -> None:
    """Names with dots, quotes, brackets and line ends are quoted as TOML wants it."""
    name = 'a.b"]\n[x]\x7f'
    schema = Schema(target="y", columns={name: ColumnSchema(kind="ignored")})

    assert tomllib.loads(to_toml(schema, "a\nb"))["columns"] == {name: {"kind": "ignored"}}
