import numpy as np
import pytest
from pydantic import ValidationError

from models.card import ModelCard
from models.drift import CategoricalBins, DriftBaseline, NumericBins, psi

SHARES = (0.1, 0.4, 0.3, 0.2)


def test_worked_numbers() -> None:
    """Half and half that become one to three: (0.25 - 0.5) ln 0.5 + (0.75 - 0.5) ln 1.5 = 0.2747, with many rows."""
    assert psi((0.5, 0.5), 10**9, (250_000_000, 750_000_000)) == pytest.approx(0.274653, abs=1e-6)


def test_it_is_the_divergence_both_ways() -> None:
    """PSI is the sum of the two Kullback-Leibler divergences, here from their own definition."""
    counts = np.array([300, 0, 500, 200])
    e = (np.array(SHARES) * 1000 + 0.5) / 1002
    a = (counts + 0.5) / 1002
    both_ways = np.sum(a * np.log(a / e)) + np.sum(e * np.log(e / a))

    assert psi(SHARES, 1000, counts.tolist()) == pytest.approx(both_ways, rel=1e-9)


def test_the_same_spread_is_no_drift() -> None:
    """Whatever its number of rows; and an empty bin on both sides is none either."""
    assert psi((*SHARES, 0.0), 1000, (100, 400, 300, 200, 0)) == pytest.approx(0, abs=1e-12)
    assert psi(SHARES, 1000, (1000, 4000, 3000, 2000)) < 1e-6


def test_chance_makes_as_little_as_is_said() -> None:
    """Rows of the same source: on average (bins - 1) · (1 / rows + 1 / counted), here 0.0105, within a tenth."""
    rng = np.random.default_rng(0)
    drawn = [
        psi((rng.multinomial(1000, [1 / 8] * 8) / 1000).tolist(), 1000, rng.multinomial(2000, [1 / 8] * 8).tolist())
        for _ in range(2000)
    ]

    assert np.mean(drawn) == pytest.approx(7 * (1 / 1000 + 1 / 2000), rel=0.1)


def test_bins_that_do_not_fit_are_refused(card: ModelCard) -> None:
    """A share too many, edges out of order, a feature that the model has not."""
    with pytest.raises(ValidationError, match="share for each bin"):
        NumericBins(feature="x", edges=(1.0, 2.0), shares=SHARES[:3])
    with pytest.raises(ValidationError, match="ascending"):
        NumericBins(feature="x", edges=(2.0, 1.0), shares=SHARES)
    with pytest.raises(ValidationError, match="share for each bin"):
        CategoricalBins(feature="k", categories=("a",), shares=SHARES)
    for share in (-1e-9, 1.1, -1e308):
        with pytest.raises(ValidationError, match="than or equal to"):
            NumericBins(feature="x", edges=(1.0, 2.0), shares=(share, *SHARES[1:]))
    baseline = DriftBaseline(
        rows=10,
        features=(NumericBins(feature="__class__", edges=(1.0, 2.0), shares=SHARES),),
        predictions=CategoricalBins(feature="prediction", categories=("a", "b"), shares=SHARES),
    )
    with pytest.raises(ValidationError, match="none of the model's"):
        ModelCard.model_validate(card.model_dump() | {"drift": baseline})
