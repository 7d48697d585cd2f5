"""The story of a model in sentences: learned from what, how good beside what is simple, how sure, what to mind."""

from collections.abc import Iterable, Iterator
from html import escape

from models.card import ModelCard
from models.evaluation import Baseline, Evaluation
from models.figures import Figures
from models.wording import called, taught_by
from trainer.report.axes import Axis, even
from trainer.report.bars import Marks, marks
from trainer.report.chance import chance_error
from trainer.report.page import brief, facts, figure, grid, section

MOST_CLASSES = 6
MANY_ROWS = 100
WELL_CALIBRATED = 0.05


def story(card: ModelCard, figures: Figures | None) -> str:
    """Sentences first, then the numbers and one picture."""
    evaluation = card.evaluation
    sentences = [_learned(card), *(_how_good(card, evaluation) if evaluation else [_how_often_right(card)])]
    sentences += [*_how_sure(card, evaluation, figures), *_what_matters(figures)]
    said = "".join(f"<p>{one}</p>" for one in sentences)
    return f'<div class="story">{said}</div>' + _numbers(card) + "\n" + _to_mind(card) + _beside(evaluation)


def _learned(card: ModelCard) -> str:
    test = card.metrics["test"].rows
    networks = len(card.frozen_statistics)
    who = f"It is a bag of {networks} networks. It was" if networks > 1 else "It was"
    if made := card.distillation:
        who = f"It is one network, distilled from {taught_by(made)}. It was"
    named = card.classes if len(card.classes) <= MOST_CLASSES else card.classes[:3]
    classes = [f"“{brief(label)}”" for label in named]
    more = [f"{len(card.classes) - len(named)} more"] if len(card.classes) > len(named) else []
    of = card.provenance.test_table
    tested = f"the {test:,} rows of {brief(of)}" if of else f"{test:,} rows"
    return (
        f"<b>{escape(card.name)}</b> predicts <b>{escape(brief(card.provenance.target))}</b> "
        f"({escape(_and([*classes, *more], 'or'))}) from {_kinds(card)} of {escape(brief(card.provenance.table))}. "
        f"{who} trained on {card.learning_rows:,} rows, and tested on {escape(tested)} held out "
        "from training."
    )


def _kinds(card: ModelCard) -> str:
    dates = sum(feature.kind == "date" for feature in card.features)
    counts = {"number": len(card.numeric) - dates, "date": dates, "category": len(card.categorical)}
    plurals = {"number": "numbers", "date": "dates", "category": "categories"}
    said = [f"{count} {plurals[kind] if count > 1 else kind}" for kind, count in counts.items() if count]
    columns = len(card.features)
    return f"{columns} column{'s' if columns > 1 else ''} ({_and(said)})"


def _how_often_right(card: ModelCard) -> str:
    return f"Its accuracy on the test rows is <b>{card.metrics['test'].accuracy:.1%}</b>."


def _how_good(card: ModelCard, evaluation: Evaluation) -> Iterator[str]:
    beside = _and(map(_plainly, evaluation.baselines))
    yield _how_often_right(card) + (f" {beside[0].upper()}{beside[1:]}." if beside else "")
    if beside:
        gains = _and(map(_gain, evaluation.baselines))
        yield f"By log-loss, which also scores the probabilities, it is {gains}."
    if evaluation.at_threshold and card.positive is not None and card.threshold is not None:
        found = evaluation.at_threshold
        rates = [("precision", found.precision), ("recall", found.recall)]
        said = _and([f"a {what} of {value:.1%}" for what, value in rates if value is not None])
        yield (
            f"The decision threshold of “{escape(brief(card.positive))}” is <b>{card.threshold:.4g}</b>: "
            f"{found.predicted:g} test rows are predicted positive, with {said or 'no true positive'}."
        )


def _plainly(baseline: Baseline) -> str:
    if baseline.answer is None:
        return f"softmax regression (no hidden layers) has {baseline.accuracy:.1%}"
    return f"always answering “{escape(brief(baseline.answer))}” has {baseline.accuracy:.1%}"


def _gain(baseline: Baseline) -> str:
    low, high = baseline.gain_interval
    who = escape("softmax regression" if baseline.answer is None else called(baseline))
    by = f"{abs(baseline.gain):.3f} nats"
    if low > 0:
        return f"<b>better than {who}</b> by {by} (95 % interval {low:.3f} to {high:.3f})"
    if high < 0:
        return f"<b>worse than {who}</b> by {by} (95 % interval {-high:.3f} to {-low:.3f})"
    which = "worse" if baseline.gain < 0 else "better"
    interval = f"95 % interval {-low:.3f} worse to {high:.3f} better"
    return f"<b>not significantly different from {who}</b>: {by} {which} ({interval})"


def _how_sure(card: ModelCard, evaluation: Evaluation | None, figures: Figures | None) -> Iterator[str]:
    if evaluation:
        low, high = evaluation.accuracy_interval
        few = " It is wide because the test rows are few." if evaluation.rows < MANY_ROWS else ""
        yield (
            f"The 95 % confidence interval of the accuracy is {low:.1%} to {high:.1%} ({evaluation.rows:,} rows).{few}"
        )
    if card.calibration:
        yield _how_calibrated(card.calibration.after.ece, card.metrics["test"].rows, figures)


def _how_calibrated(error: float, rows: int, figures: Figures | None) -> str:
    """Whether the probabilities hold, as far as the test rows can tell."""
    if error < WELL_CALIBRATED:
        return f"Its probabilities are well calibrated: the expected calibration error is {error:.3f}."
    if figures is None or not figures.after:
        return f"The expected calibration error of its probabilities is {error:.3f}."
    chance = f"of up to {chance_error(figures.after, rows):.3f} on {rows:,} test rows"
    if error <= chance_error(figures.after, rows):
        return (
            f"The expected calibration error of its probabilities is {error:.3f}; chance alone explains one {chance}, "
            "so these rows do not show a miscalibration."
        )
    return (
        f"Its probabilities are <b>poorly calibrated</b>: the expected calibration error is {error:.3f}, and chance "
        f"alone explains one {chance}."
    )


def _what_matters(figures: Figures | None) -> Iterator[str]:
    leading = [one for one in figures.importance if one.interval[0] > 0][:3] if figures else []
    if leading:
        noun = "feature is" if len(leading) == 1 else "features are"
        yield f"The most important {noun} {_and([f'<b>{escape(brief(one.feature))}</b>' for one in leading])}."


def _numbers(card: ModelCard) -> str:
    test, evaluation, calibration = card.metrics["test"], card.evaluation, card.calibration
    values = {"accuracy": f"{test.accuracy:.4f}", "log-loss, nats": f"{test.log_loss:.4f}"}
    if evaluation:
        values |= {"AUC": f"{evaluation.auc:.4f}"} if evaluation.auc is not None else {}
        values["macro F1"] = f"{evaluation.macro_f1:.4f}"
    if calibration:
        values["calibration error"] = f"{calibration.after.ece:.4f}"
    return facts(values | {"test rows": f"{test.rows:,}"})


def _to_mind(card: ModelCard) -> str:
    if not card.warnings:
        return section("Warnings", "No warnings.", anchor="mind")
    listed = "".join(f"<li>{escape(one[0].upper() + one[1:])}.</li>" for one in card.warnings)
    return section("Warnings", "", anchor="mind") + f'<ul class="warnings">{listed}</ul>\n'


def _beside(evaluation: Evaluation | None) -> str:
    if evaluation is None or not evaluation.baselines:
        return ""
    said = (
        "All on the same test rows: accuracy, with the 95 % confidence interval of the model's, and log-loss (lower is "
        "better). Softmax regression is a network without hidden layers on the same inputs."
    )
    pictures = grid(figure("Accuracy", accuracies(evaluation)), figure("Log-loss, nats", log_losses(evaluation)))
    return section("Baselines", said, pictures, anchor="baselines")


def accuracies(evaluation: Evaluation) -> str:
    """The accuracy of the model and of its baselines on one axis."""
    low, high = evaluation.accuracy_interval
    said = f"{evaluation.accuracy:.1%}"
    rows = [Marks("this model", [(evaluation.accuracy, "best", "")], interval=(low, high), said=said)]
    rows += [
        Marks(called(one), [(one.accuracy, "fifth", "")], said=f"{one.accuracy:.1%}")
        for one in sorted(evaluation.baselines, key=lambda one: -one.accuracy)
    ]
    least = min([low, *(one.accuracy for one in evaluation.baselines)])
    start = next((at for at in reversed(even(0.0, 1.0, 10)) if at < least), 0.0)
    return marks(rows, Axis("uniform", start, 1.0), _spoken("Accuracy", rows), row=27)


def log_losses(evaluation: Evaluation) -> str:
    """The log-loss of the model and of its baselines from zero on."""
    ordered = sorted(evaluation.baselines, key=lambda one: one.log_loss)
    rows = [Marks("this model", [(evaluation.log_loss, "best", "")], said=f"{evaluation.log_loss:.3f}")]
    rows += [Marks(called(one), [(one.log_loss, "fifth", "")], said=f"{one.log_loss:.3f}") for one in ordered]
    high = max(row.dots[0][0] for row in rows) * 1.05 or 1.0
    return marks(rows, Axis("uniform", 0.0, high), _spoken("Log-loss", rows), row=27)


def _spoken(what: str, rows: list[Marks]) -> str:
    return f"{what}: {', '.join(f'{row.name} {row.said}' for row in rows)}"


def _and(words: Iterable[str], word: str = "and") -> str:
    *most, last = [*words] or [""]
    return f"{', '.join(most)} {word} {last}" if most else last
