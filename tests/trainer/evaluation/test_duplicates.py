"""Rows that a model learned from are known again by what its card keeps of them, in whichever table they stand."""

import numpy as np
import pytest

from models.card import LearnedRows
from trainer.data.rows import RARE, Column, Rows
from trainer.evaluation.duplicates import MOST_KEPT, learned_rows, share_learned

COLUMNS = (Column("x", "numeric"), Column("k", "categorical"))
TEXTS = ("", "a", "b", RARE)


def drawn(count: int, seed: int, numbers: int = 1 << 20) -> Rows:
    """Rows of a number, of which there are so many, and a text."""
    rng = np.random.default_rng(seed)
    numeric = rng.integers(0, numbers, (count, 1)).astype(np.float32)
    return Rows(COLUMNS, numeric, rng.integers(0, 3, (count, 1)).astype(np.int32), (TEXTS,))


def elsewhere(rows: Rows) -> Rows:
    """The same rows in a table of other texts, in another order."""
    texts = ("other", *reversed(TEXTS))
    codes = np.array([texts.index(text) for text in TEXTS], np.int32)[rows.codes]
    return Rows(COLUMNS, rows.numeric, codes, (texts,)).take(np.random.default_rng(0).permutation(len(rows)))


def together(one: Rows, other: Rows) -> Rows:
    numeric, codes = (np.concatenate([getattr(each, name) for each in (one, other)]) for name in ("numeric", "codes"))
    return Rows(COLUMNS, numeric, codes, (TEXTS,))


def kept_of(learned: Rows, test: Rows) -> LearnedRows:
    """What a card keeps of these rows."""
    rows, places = together(learned, test), np.arange(len(learned) + len(test))
    kept = learned_rows(rows, places[: len(learned)], places[len(learned) :])
    assert len(kept.hashes) <= MOST_KEPT * 8 * 4 / 3 + 4
    return LearnedRows.model_validate_json(kept.model_dump_json())


@pytest.mark.parametrize("count", [100, MOST_KEPT, 20_000])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_the_share_of_learned_rows_is_found(count: int, share: float) -> None:
    """To within sampling: of 20 000 rows 512 hashes are kept, by which about so many of 20 000 others are judged."""
    learned = drawn(count, 0)
    seen = learned.take(np.arange(round(share * count)))
    later = together(seen, drawn(count - len(seen), 2))

    assert share_learned(kept_of(learned, drawn(200, 1)), elsewhere(later)) == pytest.approx(share, abs=0.1)


def test_rows_that_are_alike_by_chance_were_not_learned() -> None:
    """Of few different values every later row has been seen; the rows of the test tell that this is chance."""
    kept = kept_of(drawn(2000, 0, numbers=8), drawn(200, 1, numbers=8))

    assert share_learned(kept, drawn(500, 2, numbers=8)) == 0.0
