"""A short time under load; benchmarks/soak.py has the long form."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.soak import Plan, soak
from tests.conftest import ROOT

# Put behind the code of a copy of service/app.py.
LEAKING = """

_create_app, _kept = create_app, []


def create_app(*arguments, **named):
    app = _create_app(*arguments, **named)
    predictions = app.wsgi_app.predictions
    begin = predictions.begin

    def leaking(*asked):
        _kept.append({leak})
        return begin(*asked)

    predictions.begin = leaking
    return app
"""


@pytest.mark.thorough
def test_load_swaps_and_kills_lose_nothing(tmp_path: Path, everything: bool) -> None:
    """Every 200 is the golden answer of the version it names, every refusal the right one, only connections of killed
    workers break, and memory, descriptors, threads, metrics and files stay level.
    """
    plan = Plan(predictions=16000, errors=1600, swaps=6, kills=2)
    report = soak(plan if everything else replace(plan, predictions=8000, errors=800, swaps=3, kills=1), tmp_path)

    assert report.broken == []
    assert report.figures["wrong answers"] == "0"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("leak", "complaint"),
    [("bytearray(8192)", "grew by"), ("len(_kept) % 50 or open('/dev/null')", "descriptors of worker")],
    ids=["memory", "descriptors"],
)
def test_a_build_that_leaks_does_not_pass(tmp_path: Path, leak: str, complaint: str) -> None:
    """The same check, on a copy of the service that keeps a little of every request."""
    code = tmp_path / "code"
    for package in ("models", "service"):
        shutil.copytree(ROOT / package, code / package)
    app = code / "service/app.py"
    app.write_text(app.read_text() + LEAKING.replace("{leak}", leak))
    report = soak(Plan(predictions=16000, errors=1600, swaps=0, kills=0, code=code), tmp_path)

    assert any(complaint in sentence for sentence in report.broken), report
