"""Models of earlier versions, each published by the trainer of its commit, as an archive of 4 to 25 kB in cards/.

The first has one network and no calibration; then come calibration, bags of networks, searches, drift with a seal,
evaluation and warnings, how cells are read, and typical rows. Whoever changes the card leaves a model of before here:
`evenkeel fit examples/penguins.csv --target species --name penguins --epochs 8 --hidden 4`, and `models export`.
"""

from pathlib import Path

import pytest

from models.__main__ import main
from models.archive import unpack
from models.repository import ModelRepository

ARCHIVES = sorted((Path(__file__).parent / "cards").glob("*.tar.gz"))


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
def test_a_model_of_an_earlier_version_is_imported_and_shown(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verified, shown, copied and exported as one of today; its bytes stay those of its time."""
    store, other, again = tmp_path / "store", tmp_path / "other", tmp_path / "again.tar.gz"
    for command in (
        ["import", archive],
        ["verify"],
        ["list"],
        ["show", "penguins"],
        ["copy", "--all", "--to", other],
        ["export", "penguins", again],
    ):
        assert main(["--repository", str(store), *map(str, command)]) == 0

    assert "classes\n  Adelie" in capsys.readouterr().out
    assert unpack(again.read_bytes(), again.name) == unpack(archive.read_bytes(), archive.name)
    assert ModelRepository(other).card("penguins", 1).classes == ("Adelie", "Chinstrap", "Gentoo")


def test_the_earliest_is_older_than_seals() -> None:
    """Which is what these archives are for: nobody has published them again since."""
    cards = [unpack(archive.read_bytes(), archive.name) for archive in ARCHIVES]

    assert len(cards) == 8
    assert ["card.json" in bundle.card.files for bundle in cards] == [False] * 4 + [True] * 4
    assert b'"frozen_statistics": {' in cards[0].files["card.json"]
    assert cards[3].card.drift is None
