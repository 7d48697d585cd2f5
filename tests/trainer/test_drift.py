import numpy as np
import pytest

from models.drift import MOST_CATEGORIES, MOST_FEATURES, CategoricalBins, NumericBins
from trainer.card.drift import MOST_ROWS, drift_baseline, feature_bins
from trainer.data.rows import RARE, Column, Examples, Rows
from trainer.job.publishing import Outcome


def numbers(*columns: list[float]) -> Rows:
    numeric = np.array(columns, np.float32).T
    named = tuple(Column(f"x{index}", "numeric", nullable=True) for index in range(len(columns)))
    return Rows(named, numeric, np.empty((len(numeric), 0), np.int32), ())


def of_numbers(values: list[float], weights: list[float] | None = None) -> NumericBins:
    (bins,) = feature_bins(numbers(values), np.array(weights or [1.0] * len(values)))
    assert isinstance(bins, NumericBins)
    return bins


def of_texts(vocabulary: tuple[str, ...], codes: list[int]) -> CategoricalBins:
    column = np.array(codes, np.int32)[:, np.newaxis]
    rows = Rows(
        (Column("k", "categorical", nullable=True),), np.empty((len(codes), 0), np.float32), column, (vocabulary,)
    )
    (bins,) = feature_bins(rows, np.ones(len(codes)))
    assert isinstance(bins, CategoricalBins)
    return bins


def test_numbers_are_cut_at_their_deciles() -> None:
    """Of 1 to 100 in any order: a tenth in each bin, none missing."""
    bins = of_numbers(np.random.default_rng(0).permutation(np.arange(1.0, 101)).tolist())

    assert bins.edges == (10, 20, 30, 40, 50, 60, 70, 80, 90)
    assert bins.shares == (*[0.1] * 10, 0.0)


def test_what_is_missing_has_a_bin_of_its_own() -> None:
    """A fifth of the cells; the deciles are those of the others."""
    bins = of_numbers([*range(1, 81), *[np.nan] * 20])

    assert bins.edges == (8, 16, 24, 32, 40, 48, 56, 64, 72)
    assert bins.shares == (*[0.08] * 10, 0.2)


def test_a_constant_is_told_from_what_is_smaller_and_what_is_larger() -> None:
    """Three bins, all rows in the middle one; of nothing but missing cells, all in the last."""
    assert of_numbers([5.0] * 20).shares == (0, 1, 0, 0)
    assert of_numbers([5.0] * 20).edges == pytest.approx((5, 5), rel=1e-6)
    assert of_numbers([np.nan] * 20).shares == (0, 1)
    assert of_numbers([-3.4028235e38] * 20).shares == (1, 0, 0)


def test_a_row_counts_as_often_as_its_weight_says() -> None:
    """A weight of three is the row three times."""
    weights = [1.0, 3.0] * 50
    repeated = [value for value, times in enumerate(weights) for _ in range(int(times))]

    assert of_numbers([*range(100)], weights) == of_numbers([*map(float, repeated)])


def test_of_texts_the_commonest_have_bins() -> None:
    """Of 40 texts thirty; the others share one, with what is rare already; the missing have their own."""
    vocabulary = ("", RARE, *(f"t{index:02}" for index in range(40)))
    codes = [code for code in range(42) for _ in range(code + 1)]
    bins = of_texts(vocabulary, codes)
    rows = len(codes)

    assert bins.categories == tuple(f"t{index:02}" for index in range(39, 9, -1))
    assert len(bins.categories) == MOST_CATEGORIES
    assert bins.shares[0] == pytest.approx(42 / rows, abs=1e-6)
    assert bins.shares[-2] == pytest.approx((2 + sum(range(3, 13))) / rows, abs=1e-6)
    assert bins.shares[-1] == pytest.approx(1 / rows, abs=1e-6)


def test_of_very_many_features_the_most_varied_are_kept() -> None:
    """In the order of the card; constants go first."""
    constant, varied = [1.0] * 40, [*map(float, range(40))]
    rows = numbers(*[constant] * 10, *[varied] * MOST_FEATURES)

    assert [one.feature for one in feature_bins(rows, np.ones(40))] == [f"x{10 + i}" for i in range(MOST_FEATURES)]


def test_the_card_holds_the_baseline_of_the_training_rows(outcome: Outcome, examples: Examples) -> None:
    """The shares of what training saw and of what the network predicts for it, and none of the test rows."""
    baseline = outcome.card.drift
    assert baseline is not None
    trained = outcome.card.metrics
    assert baseline.rows == len(examples) - trained["test"].rows
    assert [one.feature for one in baseline.features] == [feature.name for feature in outcome.card.features]

    everything, inputs = np.arange(len(examples)), outcome.classifier.encoder.encode(examples.rows)
    again = drift_baseline(outcome.classifier, examples, inputs, everything)
    predicted = outcome.classifier.predict(examples.rows).argmax(axis=1)
    shares = {name: float(np.mean(predicted == code)) for code, name in enumerate(examples.classes)}
    assert dict(zip(again.predictions.categories, again.predictions.shares, strict=False)) == pytest.approx(
        shares, abs=1e-6
    )


def test_of_many_rows_an_even_choice_is_looked_at(outcome: Outcome, examples: Examples) -> None:
    """From everywhere in the table; the shares stay what they are."""
    everything, inputs = np.arange(len(examples)), outcome.classifier.encoder.encode(examples.rows)
    once = drift_baseline(outcome.classifier, examples, inputs, everything)
    many = drift_baseline(outcome.classifier, examples, inputs, np.repeat(everything, 100))

    assert many.rows == MOST_ROWS
    for one, other in zip(many.features, once.features, strict=True):
        assert one.shares == pytest.approx(other.shares, abs=0.02)
