import numpy as np
import pytest
from sklearn.preprocessing import QuantileTransformer, RobustScaler, StandardScaler

from trainer.data.scaling import Kind, fit_scaling

KINDS: list[Kind] = ["robust", "standard", "quantile"]


def columns_of(rng: np.random.Generator) -> np.ndarray:
    return np.column_stack([rng.normal(5, 3, 2000), rng.exponential(100, 2000), rng.uniform(-1e-3, 1e-3, 2000)])


@pytest.mark.parametrize(
    ("kind", "peer", "tolerance"),
    [
        ("robust", RobustScaler(), 1e-5),
        ("standard", StandardScaler(), 1e-5),
        # scikit-learn's has knots at every row, ours 33; between them a straight line is not the normal curve.
        ("quantile", QuantileTransformer(output_distribution="normal", n_quantiles=2000), 0.05),
    ],
)
def test_the_middle_is_scaled_as_scikit_learn_does(kind: Kind, peer: object, tolerance: float) -> None:
    """Between the 5th and the 95th percentile; the smooth clip is undone first."""
    columns = columns_of(np.random.default_rng(0))
    scaled = fit_scaling(kind, list(columns.T)).apply(columns.astype(np.float32)).astype(np.float64)
    if kind == "robust":
        scaled /= np.sqrt(1 - (scaled / 3) ** 2)
    expected = peer.fit_transform(columns)  # type: ignore[attr-defined]
    low, high = np.quantile(columns, [0.05, 0.95], axis=0)
    middle = (columns > low) & (columns < high)

    np.testing.assert_allclose(scaled[middle], expected[middle], atol=tolerance, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("magnitude", [1e-38, 1.0, 1e8, 3.4e38])
def test_no_number_becomes_infinite(kind: Kind, magnitude: float) -> None:
    """Whatever was fitted, whatever comes; no scale divides by nothing."""
    scaling = fit_scaling(kind, [np.array([magnitude, -magnitude, 0.0, magnitude / 2])])
    extremes = np.array([[3.4028234e38], [-3.4028234e38], [1e-45], [magnitude], [0.0]], np.float32)

    assert np.isfinite(scaling.apply(extremes)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [[], [0.1] * 7, [-3e38] * 2], ids=["no value", "0.1", "-3e38"])
def test_a_column_that_is_constant_says_nothing(kind: Kind, values: list[float]) -> None:
    """Not even where it varies later."""
    scaling = fit_scaling(kind, [np.array(values)])

    assert scaling.apply(np.array([[0.1], [5], [-3e38], [3e38]], np.float32)).tolist() == [[0], [0], [0], [0]]


def test_ranks_never_turn_back() -> None:
    """Larger numbers are larger afterwards too; a value that half of the rows share stands in the middle of them."""
    rng = np.random.default_rng(0)
    values = np.concatenate([np.zeros(500), rng.exponential(1, 500)])
    scaling = fit_scaling("quantile", [values])
    scaled = scaling.apply(np.linspace(-1, 10, 1000, dtype=np.float32)[:, np.newaxis]).ravel()

    assert (np.diff(scaled) >= -1e-6).all()
    # The normal distribution's lower half has its mean at -0.8.
    assert scaling.apply(np.zeros((1, 1), np.float32))[0, 0] == pytest.approx(-0.8, abs=0.15)
