"""What is measured for a report, held against the same things measured in another way."""

import numpy as np
import pytest

from models.card import ModelCard
from models.figures import MOST_EPOCHS, MOST_POINTS, Figures
from trainer.arrays import Array
from trainer.data.rows import Examples
from trainer.evaluation.answers import Answers, held_out
from trainer.figures.curves import confidences, curves
from trainer.figures.distributions import distributions
from trainer.figures.importance import Asked, dependences, importances
from trainer.figures.learning import course
from trainer.fitting.fitted import Fitted
from trainer.fitting.members import Bag, train_bag
from trainer.fitting.selection import Selection
from trainer.fitting.start import Start
from trainer.job.job import prepare
from trainer.measures.scores import auc
from trainer.nn.loss import cross_entropy
from trainer.settings.config import TrainingConfig
from trainer.training.calibration import calibration_error
from trainer.training.records import Epoch, History, Score


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Start, Bag]:
    """x decides the class, `noise` does not, `same` is constant."""
    rng = np.random.default_rng(3)
    x, noise = rng.normal(size=600), rng.normal(size=600)
    path = tmp_path_factory.mktemp("t") / "t.csv"
    lines = (f"{a:.4f},{b:.4f},1,{'high' if a > 0.2 else 'low'}\n" for a, b in zip(x, noise, strict=True))
    path.write_text("x,noise,same,y\n" + "".join(lines))
    config = TrainingConfig.of(table=path, target="y", name="m", epochs=15, hidden=(16,), members=2)
    _, start = prepare(config)
    return start, train_bag(config, start)


def test_importance_is_the_rise_of_the_loss(trained: tuple[Start, Bag]) -> None:
    """As written out by hand with another generator: the same within the noise; nothing is owed to noise."""
    start, bag = trained
    test = start.examples.take(start.split.test)
    found, rows = importances(bag.classifier, test, np.random.default_rng(0))
    x = next(one for one in found if one.feature == "x")
    before = cross_entropy(bag.classifier.predict(test.rows), test.labels)
    rng, rises = np.random.default_rng(7), []
    for _ in range(40):
        numeric = test.rows.numeric.copy()
        numeric[:, 0] = rng.permutation(numeric[:, 0])
        permuted = type(test.rows)(test.rows.columns, numeric, test.rows.codes, test.rows.vocabularies)
        rises.append(cross_entropy(bag.classifier.predict(permuted), test.labels) - before)

    assert rows == len(test)
    assert found[0].feature == "x"
    # The interval is four standard errors wide.
    assert abs(x.mean - np.mean(rises)) < x.interval[1] - x.interval[0]
    assert x.mean == pytest.approx(np.mean(rises), rel=0.2)
    assert all(abs(one.mean) < 0.05 for one in found if one.feature != "x")


def test_asking_leaves_everything_as_it_was(trained: tuple[Start, Bag]) -> None:
    """Neither the rows nor the networks know of it."""
    start, bag = trained
    before, values = start.examples.rows.numeric.copy(), bag.classifier.networks[0].values.copy()
    asked = Asked(bag.classifier, start.examples.take(start.split.test))
    asked.permuted("x", 2, np.random.default_rng(0))

    assert np.array_equal(before, start.examples.rows.numeric, equal_nan=True)
    assert np.array_equal(values, bag.classifier.networks[0].values)
    assert np.array_equal(asked.rows.numeric, start.examples.take(start.split.test).rows.numeric, equal_nan=True)


def test_dependence_is_the_mean_answer_at_a_value(trained: tuple[Start, Bag]) -> None:
    """As with a table in which the column holds that value in every row."""
    start, bag = trained
    test = start.examples.take(start.split.test)
    spread = distributions(start.examples.take(start.split.train), start.encoder, ["x"])
    (one,), rows = dependences(bag.classifier, test, spread)
    numeric = test.rows.numeric.copy()
    numeric[:, 0] = one.values[3]
    answers = bag.classifier.predict(
        type(test.rows)(test.rows.columns, numeric, test.rows.codes, test.rows.vocabularies)
    )

    assert rows == len(test)
    assert one.labels == ("low",)
    assert one.probabilities[0][3] == pytest.approx(answers[:, 1].mean(), abs=1e-5)
    assert one.probabilities[0][0] < 0.1 < 0.9 < one.probabilities[0][-1] or one.probabilities[0][0] > 0.9


def _answers(rows: int = 5000) -> Answers:
    rng = np.random.default_rng(2)
    truth = (rng.random(rows) < 0.3).astype(np.int64)
    scores = np.clip(rng.normal(0.35 + 0.3 * truth, 0.2), 0.01, 0.99).round(3)
    probabilities: Array = np.stack([1 - scores, scores], axis=1).astype(np.float32)
    return Answers(probabilities, probabilities, truth, None)


def test_the_drawn_roc_has_the_area_of_the_exact_one() -> None:
    """A hundred points of thousands: less than a thousandth away."""
    test = _answers()
    (one,) = curves(test, ("no", "yes"), "yes", 0.4)
    x, y = np.array(one.roc).T
    exact = auc(test.probabilities[:, 1], test.labels == 1, test.counts)

    assert len(one.roc) <= MOST_POINTS
    assert one.roc[0] == (0.0, 0.0)
    assert one.roc[-1] == (1.0, 1.0)
    assert one.auc == pytest.approx(exact, abs=1e-5)
    assert np.trapezoid(y, x) == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("cut", [0.0, 0.4, 0.5, 1.0])
def test_the_place_of_the_threshold_is_what_it_does(cut: float) -> None:
    """Recall, precision and false alarms as counted row by row."""
    test = _answers()
    (one,) = curves(test, ("no", "yes"), "yes", cut)
    called, positive = test.probabilities[:, 1] >= np.float32(cut), test.labels == 1
    assert one.at is not None
    (false, recall), (same, precision) = one.at

    assert recall == same == pytest.approx(called[positive].mean(), abs=1e-5)
    assert false == pytest.approx(called[~positive].mean(), abs=1e-5)
    if called.any():
        assert precision == pytest.approx(positive[called].mean(), abs=1e-5)


def test_the_bins_of_the_reliability_diagram_add_up_to_the_calibration_error() -> None:
    """What is drawn is what the card's number is made of."""
    test = _answers()
    bins = confidences(test.probabilities, test)
    error = sum(one.share * abs(one.confidence - one.accuracy) for one in bins)
    highest = test.probabilities.max(axis=1)

    assert sum(one.share for one in bins) == pytest.approx(1, abs=1e-3)
    assert all(low <= one.accuracy <= high for one in bins for low, high in [one.interval])
    assert error == pytest.approx(
        calibration_error(highest, test.probabilities.argmax(axis=1) == test.labels), abs=1e-3
    )


def test_the_threshold_in_the_figures_is_that_of_the_card(two: tuple[ModelCard, Figures]) -> None:
    """The ring stands where the evaluation was measured."""
    card, figures = two
    (one,) = figures.curves
    assert card.evaluation is not None
    assert card.evaluation.at_threshold is not None
    assert one.at is not None

    assert one.label == "yes"
    assert one.at[1][0] == pytest.approx(card.evaluation.at_threshold.recall, abs=1e-4)
    assert one.at[1][1] == pytest.approx(card.evaluation.at_threshold.precision, abs=1e-4)


def test_distributions_are_those_of_the_rows(trained: tuple[Start, Bag]) -> None:
    """Round bins, whose shares a histogram of the same rows has too."""
    start, _ = trained
    part = start.examples.take(start.split.train)
    x, same = distributions(part, start.encoder, ["x", "same"])
    values = part.rows.numeric[:, 0].astype(np.float64)
    inside = np.clip(values, x.edges[0], np.nextafter(x.edges[-1], -np.inf))

    assert np.allclose(x.shares, np.histogram(inside, x.edges)[0] / len(part), atol=1e-4)
    assert all(float(f"{edge:.3g}") == edge for edge in x.edges)
    assert same.edges == (0.5, 1.5)
    assert same.shares == (1.0,)


def test_a_very_long_training_is_drawn_from_some_epochs() -> None:
    """The first, the last and the chosen one among them."""
    epochs = tuple(Epoch(number, 1 / number, Score(10, 2 / number, 0.5)) for number in range(1, 10_001))
    drawn = course(History(epochs, epochs[1233]))

    assert len(drawn.epochs) <= MOST_EPOCHS
    assert {1, 1234, 10_000} <= set(drawn.epochs)
    assert drawn.of == 10_000


def test_the_percentiles_are_those_of_one_unit(trained: tuple[Start, Bag]) -> None:
    """Of the epoch that was kept, as the network that was kept gives them."""
    start, bag = trained
    member, fold = bag.members[0], start.split.folds[0]
    best = member.history.best
    assert best.unit is not None
    inputs = start.part(fold.validation).inputs
    *_, norm = (layer for layer in member.network.layers if layer in member.network.batch_norms)
    values = inputs[np.linspace(0, len(inputs) - 1, min(200, len(inputs)), dtype=np.int64)]
    for layer in member.network.layers:
        if layer is norm:
            break
        values = layer.infer(values)

    assert best.unit.before == pytest.approx(np.percentile(values[:, 8], (15, 50, 85)), rel=1e-3)
    assert best.unit.after == pytest.approx(np.percentile(norm.infer(values)[:, 8], (15, 50, 85)), rel=1e-3)


def test_rows_that_count_twice_count_twice(trained: tuple[Start, Bag]) -> None:
    """A weight is so many rows."""
    start, _ = trained
    part = start.examples.take(start.split.train)
    times = np.where(part.labels == 0, 2, 1)
    heavy = Examples(part.rows, part.labels, part.classes, times.astype(np.float32))
    (weighed,) = distributions(heavy, start.encoder, ["x"])
    edges = np.array(weighed.edges)
    values = np.repeat(part.rows.numeric[:, 0].astype(np.float64), times)
    inside = np.clip(values, edges[0], np.nextafter(edges[-1], -np.inf))

    assert np.allclose(weighed.shares, np.histogram(inside, edges)[0] / times.sum(), atol=1e-4)


def test_more_than_two_classes_have_a_curve_each(trained: tuple[Start, Bag]) -> None:
    """Those that the test rows hold; of more than ten classes there are none."""
    start, bag = trained
    config = TrainingConfig.of(table="t.csv", target="y", name="m")
    test = held_out(start, Fitted(bag, Selection(config, start))).test
    many = np.tile(test.probabilities, 6) / 6
    assert not curves(Answers(many, many, test.labels, None), tuple("abcdefghijkl"), None, None)
    three = many[:, :3]
    assert [one.label for one in curves(Answers(three, three, test.labels, None), ("a", "b", "c"), None, None)] == [
        "a",
        "b",
    ]
