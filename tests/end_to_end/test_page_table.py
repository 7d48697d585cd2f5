"""A file of many rows on the page, beside the same file through `evenkeel predict`."""

import csv
import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.browser import PATIENCE_S, Tab
from tests.end_to_end.conftest import QUICK, ROOT, Service, train
from tests.end_to_end.test_page import answered

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
]

HEAD = "species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year,note"


def scored(tab: Tab, service: Service, table: Path, tmp_path: Path) -> str:
    """The file that the page gives for a file: its text."""
    (tmp_path / "downloads").mkdir()
    tab.download_into(tmp_path / "downloads")
    tab.open(service.url)
    answered(tab)
    tab.choose_file("#rows", table)
    tab.wait("(() => { const save = document.querySelector('.tools button'); return save && !save.hidden; })()")
    tab.js("document.querySelector('.tools button').click()")
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if found := list((tmp_path / "downloads").glob("*.csv")):
            return found[0].read_bytes().decode()
        time.sleep(0.05)
    raise TimeoutError("nothing was downloaded")


def predicted(service: Service, table: Path) -> str:
    command = [sys.executable, "-m", "evenkeel", "predict", str(table), "--url", service.url]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()


def rows(text: str, delimiter: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def test_the_file_of_answers_is_that_of_evenkeel_predict(
    tab: Tab, tmp_path: Path, penguins: Path, published: Service
) -> None:
    """Line by line: each cell, each label, each digit of a probability, each warning."""
    ours, theirs = rows(scored(tab, published, penguins, tmp_path), ","), rows(predicted(published, penguins), ",")

    assert ours[0] == theirs[0]
    for one, other in zip(ours, theirs, strict=True):
        assert one[:9] == other[:9]
        assert one[-1] == other[-1]
        for mine, its in zip(one[9:-1], other[9:-1], strict=True):
            assert mine == its or float(mine) == pytest.approx(float(its), rel=1e-6)


def test_a_german_spreadsheet_is_read_as_it_was_trained(
    tab: Tab, tmp_path: Path, serve: Callable[..., Service]
) -> None:
    """Semicolons, Windows-1252, decimal commas, thousands points, days first, a last column without a name."""
    table = ROOT / "examples/kunden.csv"
    train(table, tmp_path / "store", "--target", "Gekündigt", "--name", "kunden", *QUICK)
    service = serve(tmp_path / "store")
    service.wait()
    text = scored(tab, service, table, tmp_path)
    assert "Windows-1252, separated by ;" in tab.text(".summary-line")
    ours, theirs = rows(text, ";"), rows(predicted(service, table), ";")
    at, its = ours[0].index("label"), theirs[0].index("label")
    # What `evenkeel predict` takes for a total at the foot is a row here.
    assert [row[at] for row in ours[: len(theirs)]] == [row[its] for row in theirs]
    assert len(ours) > 800


def test_bad_rows_are_named_by_their_line_and_the_others_answered(tab: Tab, tmp_path: Path, published: Service) -> None:
    """Behind a byte order mark, with quotes, with line breaks within a cell; sorted, filtered, put into the form."""
    table = tmp_path / "bad.csv"
    lines = [
        *("\ufeff" + HEAD, 'Adelie,Torgersen,39.1,18.7,181,3750,male,2007,"a, b"'),
        *(
            'Gentoo,Bouvet,45.1,14.5,215,5000,female,2007,"two\nlines"',
            "Gentoo,Biscoe,forty,14.5,215,5000,female,2007,",
        ),
        *("Chinstrap,Dream,46.5,17.9,192,3500,NA,2008", "", 'Chinstrap,Dream,46.5,17.9,192,3500,NA,2008,"a ""b"""'),
        "Adelie,Dream,460.5,17.9,192,3500,,2008,x,,",
    ]
    table.write_text("\r\n".join(lines), encoding="utf-8", newline="")
    answers = rows(scored(tab, published, table, tmp_path), ",")
    assert [row[8] for row in answers[1:]] == ["a, b", "two\nlines", "", "", 'a "b"', "x"]
    assert [row[9] != "" for row in answers[1:]] == [True, True, False, False, True, True]
    assert answers[3][-1] == "bill_length_mm: ‘forty’ is no number"
    assert answers[6][-1] == "bill_length_mm: far_outside_range"
    summary = tab.text(".summary-line")
    assert "6 rows of bad.csv" in summary
    assert "line 5 bill_length_mm: ‘forty’ is no number; line 6 has 8 cells, and the header 9" in summary

    shown = "[...document.querySelectorAll('.rows tbody tr')].map((row) => row.querySelector('th').textContent)"
    assert tab.js(shown) == ["2", "3", "5", "6", "8", "9"]
    tab.js(
        "[...document.querySelectorAll('.rows thead button')].find((one) => one.textContent === 'body_mass_g').click()"
    )
    assert tab.js(shown)[-2:] == ["3", "5"]
    tab.js("document.querySelector('#odd').click()")
    assert sorted(tab.js(shown)) == ["3", "5", "6", "9"]
    tab.js("[...document.querySelectorAll('.rows tbody button')].find((one) => one.textContent === '3').click()")
    tab.wait("[...document.querySelectorAll('[data-feature]')][0].value === 'Bouvet'")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,b\n1,2\n", "has no column ‘island’, ‘bill_length_mm’"),
        (HEAD.replace("species", "island") + "\n", "the column ‘island’ stands twice"),
        (HEAD + '\n"Adelie,1\n', "line 2: a quote is opened and never closed"),
        ("", "The first line must name the columns"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_why(
    tab: Tab, tmp_path: Path, published: Service, text: str, sentence: str
) -> None:
    """In one sentence; nothing of it is shown as if it were scored."""
    (tmp_path / "t.csv").write_text(text)
    tab.open(published.url)
    answered(tab)
    tab.choose_file("#rows", tmp_path / "t.csv")
    tab.wait("document.querySelector('.table .message').textContent !== ''")
    assert sentence in tab.text(".table .message")
    assert tab.js("document.querySelectorAll('.rows').length") == 0
