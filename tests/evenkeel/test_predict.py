"""A file scored through a running service."""

import csv
import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.end_to_end.conftest import ROOT, Service, running
from tests.service.conftest import PUBLISHED


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running(PUBLISHED, find_free_port()) as service:
        service.wait()
        yield service


def score(service: Service, table: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", "predict", str(table), "--url", service.url, *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_file_comes_back_with_its_predictions(service: Service, penguins: Path, tmp_path: Path) -> None:
    """Every row with all its cells, then label, probability and each class's; more than one batch of them."""
    lines = penguins.read_text().splitlines()
    table = tmp_path / "table.csv"
    table.write_text("\n".join([lines[0], *lines[1:] * 5]))
    process = score(service, table)
    rows = list(csv.DictReader(io.StringIO(process.stdout)))
    right = sum(row["label"] == row["species"] for row in rows)

    assert (process.returncode, process.stderr) == (0, "")
    assert len(rows) == 344 * 5
    assert list(rows[0]) == [
        *lines[0].split(","),
        *["label", "probability", "probability_Adelie", "probability_Chinstrap", "probability_Gentoo"],
    ]
    assert right / len(rows) > 0.95
    _, answer = service.ask("/predict", {"instance": ["Torgersen", 39.1, 18.7, 181, 3750, "male", 2007]})
    assert float(rows[0]["probability"]) == answer["prediction"]["probability"]


def test_a_reader_that_has_seen_enough_ends_it(service: Service, penguins: Path, tmp_path: Path) -> None:
    """As `| head -1` does: quietly, with the exit code that a shell knows for it."""
    lines = penguins.read_text().splitlines()
    table = tmp_path / "table.csv"
    table.write_text("\n".join([lines[0], *lines[1:] * 20]))
    command = [sys.executable, "-m", "service", "predict", str(table), "--url", service.url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("species,")
        process.stdout.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (141, "")


def test_the_output_can_be_a_file(service: Service, penguins: Path, tmp_path: Path) -> None:
    """The same bytes as on standard output."""
    process = score(service, penguins, "--output", str(tmp_path / "scored.csv"), "--model", "penguins")

    assert (process.returncode, process.stdout) == (0, "")
    assert (tmp_path / "scored.csv").read_text() == score(service, penguins).stdout


@pytest.mark.parametrize(
    ("text", "flags", "sentence"),
    [
        ("year\n2007\n", (), "the table has no column 'island'; its columns are year"),
        (None, (), "line 3, feature 'year': 'x' is no number"),
        ("a\n", ("--model", "other"), "no such model is served"),
        ("", (), "the table has no column 'island'"),
    ],
)
def test_what_cannot_be_scored_is_named(
    service: Service, penguins: Path, tmp_path: Path, text: str | None, flags: tuple[str, ...], sentence: str
) -> None:
    """With exit code 65, the line of the file and the service's own sentence."""
    header, first, *_ = penguins.read_text().splitlines()
    table = tmp_path / "table.csv"
    table.write_text("\n".join([header, first, first.replace("2007", "x")]) if text is None else text)
    process = score(service, table, *flags)

    assert process.returncode == 65
    assert process.stderr.startswith("service: ")
    assert sentence in process.stderr
    assert process.stderr.count("\n") == 1


def test_a_service_that_is_not_there_is_named(penguins: Path, free_port: int) -> None:
    """With exit code 74; an address that is none with 65."""
    nobody = Service(f"http://127.0.0.1:{free_port}", None)  # type: ignore[arg-type]

    assert score(nobody, penguins).returncode == 74
    assert score(Service("ftp://x", None), penguins).returncode == 65  # type: ignore[arg-type]


def test_a_terminal_sees_a_bar(service: Service, penguins: Path) -> None:
    """How far, how many, how fast; on stderr, so that the table stays clean."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "service", "predict", str(penguins), "--url", service.url]
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)

    assert "100%  344 rows" in shown
    assert process.stdout.count(b"\n") == 345
