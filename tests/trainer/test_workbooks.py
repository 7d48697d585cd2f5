"""Workbooks: a sheet is read as the CSV file that it could be, and one that would take all memory is refused."""

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainer.tables import fit
from trainer.data import workbook as workbook_reader
from trainer.data.schema import FileSchema
from trainer.data.table import read_table
from trainer.data.workbook import read_sheet
from trainer.errors import InvalidTable

Write = Callable[[str | bytes], Path]

HEADER = '<row><c t="inlineStr"><is><t>x</t></is></c><c t="inlineStr"><is><t>y</t></is></c></row>'


def workbook(rows: list[list[object]]) -> bytes:
    """The least that is an Excel workbook: a sheet of inline texts and numbers, none of which names its place."""
    cells = "".join(
        "<row>"
        + "".join(
            f"<c><v>{cell}</v></c>" if isinstance(cell, int | float) else f'<c t="inlineStr"><is><t>{cell}</t></is></c>'
            for cell in row
        )
        + "</row>"
        for row in rows
    )
    return packed_workbook(cells)


def packed_workbook(cells: str, strings: str = "") -> bytes:
    """A workbook whose sheet `Data` has these cells, and whose shared strings are these."""
    main_ = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packages = "http://schemas.openxmlformats.org/package/2006"
    book = io.BytesIO()
    with zipfile.ZipFile(book, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", f'<Types xmlns="{packages}/content-types"/>')
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{packages}/relationships"><Relationship Id="b" Type="{relations}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        file.writestr(
            "xl/workbook.xml",
            f'<workbook {main_} xmlns:r="{relations}"><sheets><sheet name="Data" sheetId="1" r:id="a"/></sheets>'
            "</workbook>",
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{packages}/relationships"><Relationship Id="a" Type="{relations}/worksheet" '
            f'Target="worksheets/sheet1.xml"/><Relationship Id="s" Type="{relations}/sharedStrings" '
            'Target="sharedStrings.xml"/></Relationships>',
        )
        file.writestr("xl/sharedStrings.xml", f"<sst {main_}>{strings}</sst>")
        file.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet {main_}><dimension ref="A1:B2"/><sheetData>{cells}</sheetData></worksheet>',
        )
    return book.getvalue()


def test_a_workbook_is_read(table: Write) -> None:
    """As the CSV file of its first sheet would be; a bad cell is named by its row."""
    pytest.importorskip("python_calamine")
    rows: list[list[object]] = [["x", "k", "y"], [1, "ä", "no"], [2.5, "b", "yes"], ["Total", "", ""]]
    read = read_table(table(workbook(rows)), "y")

    assert [dict(record) for record in read.examples.rows.records()] == [{"x": 1.0, "k": "ä"}, {"x": 2.5, "k": "b"}]
    assert read.schema.read_as == "sheet 'Data'; left out: 'Total' in row 4"
    with pytest.raises(InvalidTable, match="has no sheet 'Other'; say --sheet with one of Data"):
        read_table(table(workbook(rows)), "y", file=FileSchema(sheet="Other"))
    with pytest.raises(InvalidTable, match="is a damaged workbook"):
        read_table(table(workbook(rows)[:-30]), "y")


def test_a_workbook_is_called_one_where_the_extra_is_missing(table: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both ways out."""
    monkeypatch.setitem(sys.modules, "python_calamine", None)

    with pytest.raises(InvalidTable, match=r"is an Excel workbook; save it as CSV, or install the extra `excel`"):
        read_table(table(workbook([["x"]])), "y")


def test_a_column_that_is_not_there_may_stand_in_another_sheet(table: Write) -> None:
    """Which is what to say of a workbook; of CSV it is the delimiter."""
    pytest.importorskip("python_calamine")
    with pytest.raises(
        InvalidTable, match="its columns are x: name one of them, or say --sheet if they stand in anoth"
    ):
        read_table(table(workbook([["x"], [1]])), "y")
    with pytest.raises(InvalidTable, match="its columns are x: name one of them, or say --delimiter if they are cut"):
        read_table(table("x\n1\n"), "y")


def placed(*places: str) -> bytes:
    """A workbook with a small table, and a number in each of some places outside."""
    outside = "".join(f'<row><c r="{place}"><v>1</v></c></row>' for place in places)
    return packed_workbook(HEADER + "".join(f"<row><c><v>{row}</v></c></row>" for row in range(40)) + outside)


@pytest.mark.parametrize(
    ("places", "named"), [(("XFD1048576",), "XFD1048576"), (("XFD50", "A1048576"), "A1048576 and XFD50")]
)
def test_a_cell_far_outside_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], places: tuple[str, ...], named: str
) -> None:
    """Whatever the sheet says of its dimension: calamine would make room for all cells before it, and abort."""
    pytest.importorskip("python_calamine")
    table = tmp_path / "far.xlsx"
    table.write_bytes(placed(*places))

    assert fit(table, tmp_path / "store") == 65
    said = capsys.readouterr().err
    assert f"far.xlsx: the sheet 'Data' reaches to cell {named}: 1.72e+10 cells, which take more than" in said
    assert "clear what stands far outside the table" in said
    assert said.count("\n") == 1


def test_a_cell_outside_that_takes_little_is_read() -> None:
    """The rows between are blank; what begins farther down and to the right has the line that it stands in."""
    pytest.importorskip("python_calamine")
    cells = "".join(f'<row r="{row}"><c r="C{row}"><v>{row}</v></c></row>' for row in (3, 4, 900))
    sheet = read_sheet(Path("a.xlsx"), packed_workbook(cells), None, keep_total=False)

    assert (sheet.names, sheet.line, len(sheet.rows)) == (("", "", "3"), 4, 897)
    assert (sheet.rows[0], sheet.rows[1], sheet.rows[-1]) == (("", "", "4"), ("", "", ""), ("", "", "900"))


def test_more_rows_than_a_sheet_can_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they are read one by one."""
    pytest.importorskip("python_calamine")
    monkeypatch.setattr(workbook_reader, "MOST_ROWS", 40)

    with pytest.raises(InvalidTable, match="the sheet 'Data' takes more than 40 rows, and a workbook is read whole"):
        read_sheet(Path("a.xlsx"), placed(), None, keep_total=False)


LONG_TEXT = f"<si><t>{'long ' * 6000}</t></si>"
UNFOLDING = {
    "many rows": packed_workbook(HEADER + "<row><c><v>1</v></c><c><v>0</v></c></row>" * 280_000),
    "one text in many cells": packed_workbook(HEADER + '<row><c t="s"><v>0</v></c></row>' * 40_000, LONG_TEXT),
}


@pytest.mark.parametrize("name", UNFOLDING)
def test_a_workbook_that_unfolds_beyond_memory_is_refused(name: str) -> None:
    """However small it is packed; the process that reads it may take so much, and no more."""
    pytest.importorskip("python_calamine")

    with pytest.raises(
        InvalidTable, match=r"the sheet 'Data' takes more than 33\.6 MB of memory, and a workbook is rea"
    ):
        read_sheet(Path("a.xlsx"), UNFOLDING[name], None, keep_total=False, memory=32 << 20)
