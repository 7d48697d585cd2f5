"""Prediction sets on the page, in a real browser."""

import shutil
from pathlib import Path

import pytest

from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.browser import Tab
from tests.end_to_end.conftest import running
from tests.end_to_end.test_page import answered
from tests.service.conftest import PUBLISHED, SETS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
]
UNSURE = "bill_length_mm=45.4&bill_depth_mm=18.1&flipper_length_mm=195&body_mass_g=3650&sex=female&year=2008&island="


def test_the_page_says_what_cannot_be_left_out_and_when_that_ends(tab: Tab, tmp_path: Path) -> None:
    """Under the answer; once the rows have shifted, there and under Drift. A model without sets has no such line."""
    store = Path(shutil.copytree(SETS, tmp_path / "store"))
    shutil.copytree(PUBLISHED / "penguins/1", store / "penguins/2")
    record = ModelRepository(SETS).card("penguins", 1).golden[0].instance
    with running(store, find_free_port()) as service:
        service.wait("/v1/models/penguins/versions/1")
        tab.open(f"{service.url}/?model=penguins&version=1#{UNSURE}Dream")
        answered(tab)
        assert tab.text(".set").strip() == "95 % set Adelie, Chinstrap not certain: 2 of 3 classes"

        assert service.ask("/v1/models/penguins/versions/1:predict", {"instances": [record] * 250})[0] == 200
        tab.open(f"{service.url}/?model=penguins&version=1&view=predict")
        answered(tab)
        tab.wait("document.querySelector('.set .doubts')?.textContent", lambda text: bool(text))
        assert tab.text(".set .doubts") == "95 % is no longer promised: the rows have shifted"
        tab.open(f"{service.url}/?model=penguins&version=1&view=drift")
        tab.wait("document.querySelector('.histogram')")
        assert "Prediction sets: no longer promised, as the rows have shifted" in tab.text(".title")

        tab.open(f"{service.url}/?model=penguins&version=2")
        answered(tab)
        assert not tab.js("Boolean(document.querySelector('.set'))")
