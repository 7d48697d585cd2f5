"""The example of the whole circle, as its reader runs it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT


@pytest.mark.thorough
def test_the_circle_closes(tmp_path: Path, free_port: int) -> None:
    """Steady, then shifted and worse than expected; trained again on the log, as a shadow it differs, and once promoted
    it is right and steady; each answer of all that can be repeated.
    """
    environment = os.environ | {"EVENKEEL_PORT": str(free_port)}
    process = subprocess.run(
        [ROOT / "examples/retrain.sh", tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    said = dict(re.findall(r"^== (.*)\n((?:(?!== ).*\n)*)", process.stdout, re.MULTILINE))
    right = [int(count) for count in re.findall(r"^(\d+) of 344 answers are right", process.stdout, re.MULTILINE)]

    assert "\nsteady: " in said["serve"]
    assert "\nshifted: bill_length_mm; time to train again" in said["shift"]
    assert "\nworse than expected: " in said["labels"]
    assert "penguins/2\n" in said["train again"]
    assert re.search(r"shadow_disagreements_total [1-9]", said["shadow"])
    assert "\nsteady: " in said["promote"]
    assert "1720 equal to the last bit" in said["replay"]
    before, shifted, *_, after = right
    assert before > 330
    assert shifted < 300
    assert after > 330
