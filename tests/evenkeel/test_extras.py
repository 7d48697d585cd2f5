"""What is to be typed where a library is not installed."""

import sys
from pathlib import Path

import pytest

from models import extras
from models.extras import ROOT, way_to


def test_in_a_checkout_the_command_is_told() -> None:
    """With the Python that runs, so that it works in a shell without the environment; the folder is quoted."""
    assert way_to("search").endswith(f"the extra `search`: {sys.executable} -m pip install --editable '{ROOT}[search]'")
    assert way_to("trainer", "service").endswith(f" --editable '{ROOT}[trainer,service]'")


def test_elsewhere_the_page_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the packages were copied, nothing says from where."""
    monkeypatch.setattr(extras, "ROOT", tmp_path)

    assert way_to("search") == "install evenkeel with the extra `search`, as docs/install.md says"
