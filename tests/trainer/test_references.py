"""The rows of a card that answers can be explained against."""

from pathlib import Path

import numpy as np
import pytest

from models.features import Record
from models.repository import ModelRepository
from trainer.card.references import background_rows, typical_row
from trainer.data.rows import Examples
from trainer.data.table import read_table
from trainer.errors import InvalidSetting
from trainer.fitting.start import BACKGROUND, generator
from trainer.job.job import prepare, run
from trainer.job.publishing import Outcome
from trainer.settings.config import TrainingConfig

TABLE = """\
number,date,text,sparse,weight,y
1,2020-01-01,a,,1,u
2,2020-01-02,b,,1,v
3,2020-01-05,b,x,1,u
40,2020-02-01,,x,1,v
,2021-01-01,c,,9,u
"""


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    path = tmp_path / "odd.csv"
    path.write_text(TABLE)
    return path


def typical(path: Path, rows: list[int], weight: str | None = None) -> Record:
    drop = () if weight else ("weight",)
    examples = read_table(path, "y", drop, weight, None).examples
    return typical_row(examples, np.array(rows))


def test_the_typical_row_has_the_middle_and_the_commonest(odd: Path) -> None:
    """Of two in the middle the lower, so that it is a value of the table; nothing where most rows have nothing."""
    assert typical(odd, [0, 1, 2, 3, 4]) == {
        "number": 2.0,
        "date": "2020-01-05",
        "text": "b",
        "sparse": None,
    }
    assert typical(odd, [0, 3])["number"] == 1.0
    # Half is not most.
    assert typical(odd, [0, 1, 2, 3])["sparse"] == "x"
    assert typical(odd, [0, 3])["text"] == "a"


def test_a_row_counts_as_its_weight_says(odd: Path) -> None:
    """The last one is most of the table."""
    assert typical(odd, [0, 1, 2, 3, 4], "weight") == {
        "number": None,
        "date": "2021-01-01",
        "text": "c",
        "sparse": None,
    }


def test_background_rows_are_training_rows(examples: Examples) -> None:
    """Each once, the same for a seed, as many as there are at most; by default none."""
    train = np.arange(0, 344, 2)
    drawn = background_rows(examples, train, 20, generator(3, BACKGROUND))
    known = examples.rows.take(train).records()

    assert background_rows(examples, train, 20, generator(3, BACKGROUND)) == drawn
    assert background_rows(examples, train, 20, generator(4, BACKGROUND)) != drawn
    assert len(drawn) == 20
    assert all(record in known for record in drawn)
    assert background_rows(examples, train, 500, generator(3, BACKGROUND)) == tuple(known)
    assert background_rows(examples, train, 0, generator(3, BACKGROUND)) == ()


def test_rows_of_more_weight_are_drawn_more_often(odd: Path) -> None:
    """And those of none never."""
    examples = read_table(odd, "y", (), "weight", None).examples
    train = np.arange(5)
    first = [background_rows(examples, train, 1, generator(seed, BACKGROUND))[0]["text"] for seed in range(200)]

    # The last row has 9 of 13.
    assert 115 < first.count("c") < 165


def test_the_card_has_the_typical_training_row(outcome: Outcome) -> None:
    """Of the default run; and no row of the table."""
    card = outcome.card
    config = TrainingConfig.of(table=Path("examples/penguins.csv"), target="species", name="penguins")
    _, start = prepare(config)

    assert card.typical == typical_row(start.examples, start.split.train)
    assert card.background == ()


def test_the_card_has_background_rows_where_they_are_asked_for(penguins: Path, tmp_path: Path) -> None:
    """Their number is a setting, and is told."""
    config = TrainingConfig.of(
        table=penguins, target="species", name="penguins", background=7, epochs=1, members=1, hidden=(4,)
    )
    card = run(config, ModelRepository(tmp_path)).card

    assert len(card.background) == 7
    assert card.provenance.settings["background"] == 7
    with pytest.raises(InvalidSetting, match="--background"):
        TrainingConfig.of(table=penguins, target="species", name="penguins", background=101)
