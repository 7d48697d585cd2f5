import numpy as np
import pytest

from trainer.data.encoder import describe_features, fit_encoder
from trainer.data.rows import Column, Rows


def rows_of(numbers: list[list[float]], texts: list[str] | None = None) -> Rows:
    numeric = np.array(numbers, np.float32)
    columns = tuple(Column(f"x{index}", "numeric", nullable=True) for index in range(numeric.shape[1]))
    if texts is None:
        return Rows(columns, numeric, np.empty((len(numeric), 0), np.int32), ())
    vocabulary = sorted(set(texts))
    codes = np.array([[vocabulary.index(text)] for text in texts], np.int32)
    return Rows((*columns, Column("k", "categorical", nullable=True)), numeric, codes, (tuple(vocabulary),))


def test_worked_numbers() -> None:
    """Of 1, 2, 3 and 6: median 2.5, mean 3, deviation sqrt(3.5); a missing cell becomes the median."""
    encoder = fit_encoder(rows_of([[1], [2], [3], [6], [np.nan]]))
    encoded = encoder.encode(rows_of([[3], [6], [np.nan]])).ravel()

    np.testing.assert_allclose(encoded, [0, 3 / np.sqrt(3.5), -0.5 / np.sqrt(3.5)], rtol=1e-6)


def test_a_text_has_a_place_of_its_own_and_an_unseen_one_has_none() -> None:
    """One-hot over the texts of training, the missing one among them."""
    encoder = fit_encoder(rows_of([[0]] * 3, ["a", "b", ""]))
    encoded = encoder.encode(rows_of([[0]] * 4, ["b", "a", "", "zebra"]))[:, 1:]

    assert encoder.categories == (("", "a", "b"),)
    assert encoded.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e8, -3e38, 1e-40])
def test_a_constant_column_says_nothing(constant: float) -> None:
    """Not even where it varies later, and whatever the rounding of its mean."""
    encoder = fit_encoder(rows_of([[constant]] * 7))

    assert encoder.encode(rows_of([[constant], [constant + 1], [3e38], [np.nan]])).ravel().tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("magnitude", [1e-38, 1e-20, 1.0, 1e8, 1e20, 3.4e38])
def test_no_number_makes_the_inputs_infinite(magnitude: float) -> None:
    """Values beyond ten standard deviations count as ten."""
    encoder = fit_encoder(rows_of([[magnitude], [-magnitude], [0.0]]))
    extremes = [[3.4028234e38], [-3.4028234e38], [1e-45], [magnitude], [np.nan]]
    encoded = encoder.encode(rows_of(extremes))

    assert np.isfinite(encoded).all()
    assert np.abs(encoded).max() <= 10 * (1 + 1e-6)


def test_an_all_missing_column_is_carried_along() -> None:
    """It has no statistics and no influence."""
    encoder = fit_encoder(rows_of([[np.nan, 1], [np.nan, 2]]))

    assert encoder.encode(rows_of([[5, 1]]))[0, 0] == 0


def test_only_the_given_rows_decide() -> None:
    """Fitted on the training part, the constants know nothing of the others."""
    train = rows_of([[1.0], [2.0], [3.0]], ["a", "a", "b"])

    assert fit_encoder(train).categories == (("a", "b"),)
    assert describe_features(train)[0].model_dump() == {
        "name": "x0",
        "kind": "numeric",
        "nullable": True,
        "minimum": 1.0,
        "maximum": 3.0,
    }
