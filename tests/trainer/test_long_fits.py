"""Fits on tables that do not fit in `--memory`: what is published, taken up again, compared and held in memory."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from models.repository import ModelRepository
from tests.conftest import ROOT
from tests.trainer.fits import arguments, fitting
from tests.trainer.long_tables import HEADER, SHORT, TINY, lines
from trainer.command_line import main
from trainer.fitting.parallel import ONE_THREAD


def test_a_long_table_is_published_and_says_that_it_was_long(penguins: Path, tmp_path: Path) -> None:
    """The card names the sample; the model answers its own golden rows; several processes give the same bytes."""
    assert main(arguments(penguins, tmp_path / "one", *SHORT, *TINY)) == 0
    assert main(arguments(penguins, tmp_path / "two", *SHORT[:-1], "2", *TINY)) == 0

    one, two = (ModelRepository(tmp_path / store).read("m", 1) for store in ("one", "two"))
    notes = one.card.provenance.table_schema["notes"]
    assert notes[0].endswith("columns judged by a sample: 344 of 344, in blocks")
    assert one.onnx == two.onnx
    assert one.card.metrics["test"].accuracy > 0.8


def test_memory_changes_nothing_where_a_table_fits(penguins: Path, tmp_path: Path) -> None:
    assert main(arguments(penguins, tmp_path / "one", *SHORT)) == 0
    assert main(arguments(penguins, tmp_path / "two", *SHORT, "--memory", "1.5g")) == 0

    one, two = (ModelRepository(tmp_path / store).read("m", 1) for store in ("one", "two"))
    assert one.onnx == two.onnx


@pytest.mark.thorough
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_on_a_long_table_that_is_killed_is_taken_up_to_the_same_bytes(
    jobs: int, penguins: Path, tmp_path: Path
) -> None:
    """Its files without a name are gone with it, and are written again from the table."""
    flags = ("--members", "2", "--epochs", "60", "--patience", "60", "--verbose", *TINY)
    assert main(arguments(penguins, tmp_path / "alone", *flags, "--jobs", "1")) == 0
    with fitting(penguins, tmp_path / "killed", *flags, "--jobs", str(jobs)) as fit:
        fit.wait_for_epoch(5, 1)
        fit.kill()
    assert list((tmp_path / "killed" / ".checkpoints").glob("*.npz"))

    with fitting(penguins, tmp_path / "killed", *flags, "--jobs", str(jobs), "--resume") as fit:
        assert fit.end() == 0
        assert "epoch    1 " not in "".join(line for line in fit.said().splitlines(True) if "member 1" in line)

    one, two = (ModelRepository(tmp_path / store).read("m", 1) for store in ("alone", "killed"))
    assert one.onnx == two.onnx
    assert not list((tmp_path / "killed" / ".checkpoints").glob("*.npz"))


def test_a_second_version_is_compared_on_the_same_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the first one knows texts that the longer table calls rare: it is read again for them."""
    short, whole = tmp_path / "short.csv", tmp_path / "table.csv"
    short.write_text(HEADER + "".join(lines(900)))
    whole.write_text(HEADER + "".join(lines(6000)))
    flags = ("--epochs", "1", "--members", "1", "--memory", "200k", "--promote", "if-better")
    assert main(arguments(short, tmp_path / "store", *flags[:-2], target="y")) == 0

    assert main(arguments(whole, tmp_path / "store", *flags, target="y")) == 0

    assert re.search(r"log-loss [\d.]+ of the new\s+version against", capsys.readouterr().out)


PEAK = """
import sys, threading, time
from pathlib import Path
from trainer.settings.config import TrainingConfig
from trainer.job.job import prepare

peak = 0

def look():
    global peak
    while True:
        peak = max(peak, int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]))
        time.sleep(0.005)

threading.Thread(target=look, daemon=True).start()
table, start = prepare(TrainingConfig.of(table=sys.argv[1], target="y", name="m", memory=sys.argv[2]))
assert start.inputs.shape == (len(table.examples), 12)
print(peak / 1024)
"""


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_cells_of_a_long_table(tmp_path: Path) -> None:
    """900 000 rows more have 41 MiB of numbers and as many encoded; what grows with them is less than one of these."""
    rng, peaks = np.random.default_rng(0), []
    for rows in (300_000, 1_200_000):
        path = tmp_path / f"{rows}.parquet"
        columns = {f"x{number}": rng.normal(size=rows).astype(np.float32) for number in range(12)}
        parquet.write_table(pa.table(columns | {"y": rng.integers(0, 2, rows)}), path, row_group_size=50_000)
        command = [sys.executable, "-c", PEAK, str(path), "40m"]
        peaks.append(float(subprocess.check_output(command, cwd=ROOT, env=os.environ | ONE_THREAD)))

    assert peaks[1] - peaks[0] < 40
