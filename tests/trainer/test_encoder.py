from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from trainer.data.encoder import calendar, describe_features, fit_encoder
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
    """Of 1, 2, 3 and 6: median 2.5, quartiles 1.75 and 3.75; 6 is s = 1.75 and clipped to s / √(1 + (s / 3)²) = 1.512.

    A missing cell becomes the median and is marked.
    """
    encoder = fit_encoder(rows_of([[1], [2], [3], [6], [np.nan]]))
    encoded = encoder.encode(rows_of([[2.5], [6], [-1e30], [np.nan]]))

    expected = np.array([[0, 0], [1.511613, 0], [-3, 0], [0, 1]])
    np.testing.assert_allclose(encoded, expected, rtol=1e-6, atol=1e-6)


def test_a_column_of_two_values_is_standardised() -> None:
    """Its median says nothing: of 0, 0, 0, 4 the mean is 1 and the deviation √3, so s = -1/√3 and 3/√3."""
    encoded = fit_encoder(rows_of([[0], [0], [0], [4]])).encode(rows_of([[0], [4]])).ravel()
    scaled = np.array([-1, 3]) / np.sqrt(3)

    np.testing.assert_allclose(encoded, scaled / np.sqrt(1 + (scaled / 3) ** 2), rtol=1e-6)


def test_a_value_that_one_number_repeats_has_an_input_of_its_own() -> None:
    """Half of the hours are 40: each value seen ten times is told apart, and the number itself stays."""
    rng = np.random.default_rng(0)
    hours = np.concatenate([np.full(1000, 40), rng.integers(1, 61, 1000)]).astype(np.float32)
    encoder = fit_encoder(rows_of(hours[:, np.newaxis].tolist()))
    ((column, values),) = encoder.atoms
    encoded = encoder.encode(rows_of([[40], [41], [41.5]]))

    assert column == 0
    assert 40 in values
    assert encoded.shape == (3, 1 + len(values))
    assert encoded[:, 1:].sum(axis=1).tolist() == [1, 1, 0]
    assert encoded[0, 1 + values.tolist().index(40)] == 1


def test_an_ordinary_number_has_no_atoms() -> None:
    """Neither one of few values, nor one of very many, nor one without a common value."""
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, 10, 2000), rng.normal(size=2000), rng.integers(0, 100, 2000)]

    assert fit_encoder(rows_of(np.column_stack(columns).tolist())).atoms == ()


def test_a_column_of_rare_texts_is_kept() -> None:
    """Of 200 texts with eight rows each none is frequent; without them the network would have no input."""
    texts = [f"t{number % 200:03d}" for number in range(1600)]
    rows = rows_of([[0.0]] * 1600, texts)

    assert len(fit_encoder(rows).categories[0]) == 200


def test_pixels_have_no_atoms() -> None:
    """Mostly zero, else one of 256, in hundreds of columns: inputs for every value would drown the table."""
    rng = np.random.default_rng(0)
    pixels = np.where(rng.uniform(size=(6000, 20)) < 0.6, 0, rng.integers(0, 256, (6000, 20)))

    assert fit_encoder(rows_of(pixels[:, :3].tolist())).atoms != ()
    assert fit_encoder(rows_of(pixels.tolist())).atoms == ()


def test_rare_texts_are_nobody_in_a_large_table() -> None:
    """Fewer than ten of 2 000 rows teach nothing; they are all zeros, as unseen ones are."""
    texts = ["a"] * 1000 + ["b"] * 995 + ["rare"] * 5
    encoder = fit_encoder(rows_of([[0.0]] * 2000, texts))

    assert encoder.categories == (("a", "b"),)
    assert fit_encoder(rows_of([[0.0]] * 200, texts[900:1000] + ["rare"] * 5 + texts[1000:1095])).categories == (
        ("a", "b", "rare"),
    )


def test_a_text_has_a_place_of_its_own_and_an_unseen_one_has_none() -> None:
    """One-hot over the texts of training, the missing one among them."""
    encoder = fit_encoder(rows_of([[0]] * 3, ["a", "b", ""]))
    encoded = encoder.encode(rows_of([[0]] * 4, ["b", "a", "", "zebra"]))[:, 1:]

    assert encoder.categories == (("", "a", "b"),)
    assert encoded.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_a_column_of_many_texts_is_numbered() -> None:
    """More than eight: places counted from 1, at the end of the inputs, and 0 for a text that is not known."""
    texts = list("abcdefghi")
    encoder = fit_encoder(rows_of([[0]] * 9, texts))
    encoded = encoder.encode(rows_of([[0]] * 3, ["i", "a", "zebra"]))

    assert (encoder.coded, encoder.codes) == ([0], 10)
    assert encoded[:, 1:].tolist() == [[9], [1], [0]]
    assert fit_encoder(rows_of([[0]] * 9, texts), one_hot=9).width == 1 + 9


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e8, -3e38, 1e-40])
def test_a_constant_column_says_nothing(constant: float) -> None:
    """Not even where it varies later, and whatever the rounding of its mean."""
    encoder = fit_encoder(rows_of([[constant]] * 7))

    assert encoder.encode(rows_of([[constant], [constant + 1], [3e38], [np.nan]])).ravel().tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("magnitude", [1e-38, 1e-20, 1.0, 1e8, 1e20, 3.4e38])
def test_no_number_makes_the_inputs_infinite(magnitude: float) -> None:
    """Beyond some scales a value is clipped to three, smoothly."""
    encoder = fit_encoder(rows_of([[magnitude], [-magnitude], [0.0]]))
    extremes = [[3.4028234e38], [-3.4028234e38], [1e-45], [magnitude], [np.nan]]
    encoded = encoder.encode(rows_of(extremes))

    assert np.isfinite(encoded).all()
    assert np.abs(encoded).max() <= 3


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
        "seen_missing": False,
        "reading": {},
        "minimum": 1.0,
        "maximum": 3.0,
    }


def test_codes_are_all_that_training_has_seen() -> None:
    """The rare ones too, which have no input of their own: as a text, one is known although it teaches nothing."""
    numbers = [[7.0, 1.0]] * 1995 + [[np.nan, 2.0]] * 4 + [[-3.0, 3.0]]
    rows = rows_of(numbers)
    coded, plain = describe_features(rows, codes=(0,))

    assert [column.tolist() for _, column in fit_encoder(rows, codes=(0,)).atoms] == [[7.0]]
    assert coded.model_dump()["codes"] == (-3.0, 7.0)
    assert "codes" not in plain.model_dump()


def test_a_date_is_a_day_a_season_a_weekday_and_an_hour() -> None:
    """Held against Python's own calendar, from its first day to its last; what lies beyond counts as its end."""
    epoch, first = datetime(1970, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)
    moments = [first, epoch - timedelta(hours=6), epoch, datetime(2024, 2, 29, 6, tzinfo=UTC)]
    days = np.array([[(moment - epoch) / timedelta(days=1)] for moment in moments], np.float32)
    waves, weekdays = calendar(days)
    rounded = [epoch + timedelta(days=float(day)) for day in days[:, 0]]

    assert weekdays.argmax(axis=1).tolist() == [moment.weekday() for moment in rounded]
    assert (weekdays.sum(axis=1) == 1).all()
    turned = [2 * np.pi * (moment - first) / timedelta(days=365.2425) for moment in rounded]
    hours = [2 * np.pi * (moment.hour + moment.minute / 60) / 24 for moment in rounded]
    expected = np.column_stack([np.sin(turned), np.sin(hours), np.cos(turned), np.cos(hours)])
    np.testing.assert_allclose(waves, expected, atol=1e-5)
    assert np.isfinite(calendar(np.array([[3e38], [-3e38]], np.float32))[0]).all()


def test_the_inputs_of_a_date_follow_its_number() -> None:
    """The days are scaled as any number, and come first; four waves, then seven weekdays after the gaps."""
    columns = (Column("x", "numeric"), Column("day", "date"))
    numeric = np.array([[1, 19723], [np.nan, 19724], [3, 19725]], np.float32)
    rows = Rows(columns, numeric, np.empty((3, 0), np.int32), ())
    encoder = fit_encoder(rows)
    encoded = encoder.encode(rows)

    assert encoder.width == encoded.shape[1] == 2 + 4 + 1 + 7
    assert encoded[:, 6].tolist() == [0, 1, 0]
    assert encoded[:, 7:].argmax(axis=1).tolist() == [0, 1, 2]  # 2024 began on a Monday.
