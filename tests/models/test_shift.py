"""What is said of a model whose rows shift, and how often it is said of rows that do not."""

from math import isclose

import numpy as np
import numpy.typing as npt
import pytest

from models.drift import CategoricalBins, DriftBaseline, NumericBins, psi
from models.shift import FALSE_ALARMS, Status, critical, judge

Shares = npt.NDArray[np.float64]
TENTHS: Shares = np.full(10, 0.1)
# A few common categories and many rare ones.
ZIPF: Shares = 1 / np.arange(1, 31) ** 1.5
ZIPF /= ZIPF.sum()
CLASSES: Shares = np.array([0.6, 0.35, 0.05])


@pytest.mark.parametrize(
    ("level", "freedom", "quantile"),
    [(0.05, 1, 3.8415), (0.05, 5, 11.0705), (0.05, 10, 18.3070), (0.001, 9, 27.8772), (0.001, 30, 59.7031)],
)
def test_critical_values_are_those_of_the_tables(level: float, freedom: int, quantile: float) -> None:
    """Of the chi-square distribution (Abramowitz & Stegun, table 26.8)."""
    assert isclose(critical(level, freedom), quantile, abs_tol=1e-3)
    assert critical(level, 0) == 0


def baseline(rng: np.random.Generator, rows: int) -> tuple[DriftBaseline, list[Shares]]:
    """What a card would keep of so many rows of six numbers and six texts, and the shares of what they come from.

    A card has the deciles of its own rows: each bin has a tenth of them, and not quite a tenth of all others.
    """
    numbers = [rng.dirichlet(TENTHS * rows) for _ in range(6)]
    texts = [ZIPF, ZIPF[:4] / ZIPF[:4].sum(), np.array([0.97, 0.029, 0.001])] * 2
    bins = [NumericBins(feature=f"n{at}", edges=tuple(range(9)), shares=(*TENTHS, 0)) for at in range(6)]
    kept = [rng.multinomial(rows, shares) / rows for shares in (*texts, CLASSES)]
    named = [
        CategoricalBins(feature=f"t{at}", categories=tuple(map(str, range(len(seen)))), shares=(*seen, 0, 0))
        for at, seen in enumerate(kept)
    ]
    return DriftBaseline(rows=rows, features=(*bins, *named[:-1]), predictions=named[-1]), [*numbers, *texts, CLASSES]


def window(rng: np.random.Generator, known: DriftBaseline, shares: list[Shares], rows: int) -> list[list[int]]:
    """The counts of so many rows of these shares."""
    parts = (*known.features, known.predictions)
    drawn = [rng.multinomial(rows, of).tolist() for of in shares]
    return [[*seen, *[0] * (len(part.shares) - len(seen))] for part, seen in zip(parts, drawn, strict=True)]


@pytest.mark.parametrize("rows", [40, 200, 1000, 20_000])
@pytest.mark.parametrize("trained", [300, 2000, 20_000])
def test_rows_that_do_not_shift_raise_no_alarm(trained: int, rows: int, everything: bool) -> None:
    """Windows of a model of 12 features, each with a training of its own: not more alarms than a rate of 1 in 100 would
    give in one of a thousand runs, whether an alarm is a status or only an index beyond its band.
    """
    rng = np.random.default_rng(trained + rows)
    windows, alarms, beyond = 3000 if everything else 300, 0, 0
    for _ in range(windows):
        known, shares = baseline(rng, trained)
        verdict = judge(known, window(rng, known, shares, rows))
        alarms += verdict.status in ("moving", "shifted")
        beyond += any(shift.psi > shift.band for shift in verdict.shifts)
    print(f"{trained} training rows, {rows} rows: {alarms} alarms, {beyond} beyond a band, of {windows} windows")

    expected = FALSE_ALARMS * windows
    assert alarms <= beyond <= expected + 3.1 * expected**0.5
    assert verdict.status == ("steady" if rows >= verdict.rows_needed else "too_few_rows") or alarms


@pytest.mark.parametrize(("moved", "status"), [(0.0, "steady"), (0.18, "moving"), (0.3, "shifted")])
def test_a_shift_is_seen_in_its_feature(moved: float, status: Status) -> None:
    """A thousand rows, of which a share moves from the lower half of one feature into its upper half."""
    rng = np.random.default_rng(1)
    known, shares = baseline(rng, 2000)
    shares[3] = np.concatenate([np.full(5, 0.1 - moved / 5), np.full(5, 0.1 + moved / 5)])
    verdict = judge(known, window(rng, known, shares, 1000))

    assert verdict.status == status
    assert [shift.status for shift in verdict.shifts] == ["steady"] * 3 + [status] + ["steady"] * 9


def test_few_rows_alarm_where_chance_cannot_be_it() -> None:
    """Of thirty rows that are all alike the index is beyond the band; of three it is not."""
    rng = np.random.default_rng(2)
    known, shares = baseline(rng, 2000)
    shares[0] = np.eye(10)[7]

    assert judge(known, window(rng, known, shares, 30)).status == "shifted"
    assert judge(known, window(rng, known, shares, 3)).status == "too_few_rows"
    assert judge(known, window(rng, known, shares, 0)).status == "too_few_rows"


def test_many_rows_do_not_make_a_small_shift_a_large_one() -> None:
    """With 10 million rows any difference is significant: it is an alarm from an index of 0.1 on."""
    known, shares = baseline(np.random.default_rng(3), 20_000)
    shares[0] = np.concatenate([np.full(5, 0.09), np.full(5, 0.11)])
    verdict = judge(known, window(np.random.default_rng(4), known, shares, 10**7))

    assert verdict.shifts[0].psi > verdict.shifts[0].band
    assert verdict.status == "steady"


def test_a_bin_that_is_empty_on_both_sides_is_none() -> None:
    """However few the training rows are."""
    assert psi((0.5, 0.5, 0.0, 0.0), 20, (5000, 5000, 0, 0)) == pytest.approx(0, abs=1e-12)
