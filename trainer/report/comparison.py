"""Two versions of a model side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from models.card import ModelCard
from models.figures import Figures
from trainer.report.answers import SHARE, confusion, reliability
from trainer.report.axes import Axis
from trainer.report.bars import Marks, marks
from trainer.report.learning import accuracies, log_losses
from trainer.report.normalisation import means
from trainer.report.page import brief, document, figure, grid, section, table
from trainer.report.plot import Plot

MOST_FEATURES, MOST_SETTINGS = 20, 100


@dataclass(frozen=True)
class Side:
    """One of the two."""

    version: int
    card: ModelCard
    figures: Figures | None

    @property
    def name(self) -> str:
        return f"version {self.version}"


Sides = tuple[Side, Side]


def comparison(sides: Sides, differing: Sequence[Sequence[str]], said: Sequence[str] = ()) -> str:
    """The whole page. `differing` are the settings that are not the same, a name and both values.

    `said` are the lines that tell how both answer the same rows, where they were asked.
    """
    first, second = sides
    title = f"{first.card.name}: version {first.version} beside version {second.version}"
    rows = section("On the same rows", "", f"<pre>{escape(chr(10).join(said))}</pre>") if said else ""
    own = "Each on its own test rows, with the 95 % confidence interval of its accuracy."
    parts = [
        rows,
        section(
            "Differences",
            "" if differing else "Settings, table and features are the same.",
            _settings(sides, differing),
        ),
        section("Scores", own, _scores(sides), _accuracy(sides)),
        _drawn_for_both(
            "Learning curves",
            sides,
            log_loss=lambda one: one.figures and log_losses(one.figures.courses),
            validation_accuracy=lambda one: one.figures and accuracies(one.figures.courses),
        ),
        _importance(sides),
        _ranking(sides),
        _drawn_for_both(
            "Confusion matrix and classes",
            sides,
            confusion_matrix=lambda one: one.card.evaluation and confusion(one.card.evaluation.confusion),
        ),
        _drawn_for_both(
            "Can their probabilities be trusted",
            sides,
            reliability=lambda one: one.figures and reliability(one.figures.before, one.figures.after),
        ),
        _drawn_for_both(
            "Batch norm",
            sides,
            running_against_population_means=lambda one: (
                one.card.frozen_statistics[0].layers and means(one.card.frozen_statistics[0])
            ),
        ),
    ]
    return document(title, parts)


def _settings(sides: Sides, differing: Sequence[Sequence[str]]) -> str:
    if not differing:
        return ""
    return table(
        ["setting", *(one.name for one in sides)],
        [[brief(one, 60) for one in row] for row in differing[:MOST_SETTINGS]],
    )


def _scores(sides: Sides) -> str:
    rows = []
    for one in sides:
        test, evaluation = one.card.metrics["test"], one.card.evaluation
        area = f"{evaluation.auc:.4f}" if evaluation and evaluation.auc is not None else "–"
        f1 = f"{evaluation.macro_f1:.4f}" if evaluation else "–"
        error = f"{one.card.calibration.after.ece:.4f}" if one.card.calibration else "–"
        rows.append(
            [str(one.version), f"{test.rows:,}", f"{test.log_loss:.4f}", f"{test.accuracy:.4f}", area, f1, error]
        )
    return table(["version", "test rows", "log-loss", "accuracy", "AUC", "macro F1", "calibration error"], rows)


def _accuracy(sides: Sides) -> str:
    rows = [
        Marks(
            one.name,
            [(one.card.evaluation.accuracy, cls, "")],
            interval=one.card.evaluation.accuracy_interval,
            said=f"{one.card.evaluation.accuracy:.1%}",
        )
        for one, cls in zip(sides, ("fifth", "best"), strict=True)
        if one.card.evaluation
    ]
    if not rows:
        return ""
    low = min(row.interval[0] for row in rows if row.interval)
    start = max(0.0, int(low * 20) / 20 - 0.05)
    return marks(rows, Axis("uniform", start, 1.0), "Accuracy of both versions", width=720, left=110, row=27)


def _importance(sides: Sides) -> str:
    """A dot a version on each feature's line."""
    found = [{one.feature: one for one in side.figures.importance} if side.figures else {} for side in sides]
    names = dict.fromkeys(name for one in found for name in one)
    ordered = sorted(names, key=lambda name: -max(one[name].mean for one in found if name in one))[:MOST_FEATURES]
    if not ordered:
        return ""
    high = max(one[name].mean for one in found for name in ordered if name in one)
    low = min(0.0, *(one[name].mean for one in found for name in ordered if name in one))
    rows = []
    for name in ordered:
        dots = [
            (one[name].mean, cls, f"{side.name}: {one[name].mean:.4f} nats")
            for side, one, cls in zip(sides, found, ("fifth", "hollow best"), strict=True)
            if name in one
        ]
        rows.append(Marks(name, dots))
    said = (
        f'The rise of the log-loss in nats when the column is permuted: <b class="fifth">● {sides[0].name}</b>, '
        f'<b class="best">□ {sides[1].name}</b>.'
    )
    picture = marks(
        rows,
        Axis("uniform", low, max(high, low + 1e-3)),
        "Permutation importance in both versions",
        width=720,
        left=190,
    )
    return section("Feature importance", said, picture)


def _ranking(sides: Sides) -> str:
    drawn = [(side, one) for side in sides if side.figures for one in side.figures.curves]
    if not drawn or len(drawn) > len(sides) or len({one.label for _, one in drawn}) > 1:
        return ""
    plots = [
        Plot(SHARE, SHARE, f"{what} of both versions", height=340.0, x_title=x, y_title=y)
        for what, x, y in (("ROC curve", "false positive rate", "recall"), ("Precision–recall", "recall", "precision"))
    ]
    for number, (side, one) in enumerate(drawn):
        dashed = " dashed" if number else ""
        area = "" if one.auc is None else f", area {one.auc:.4f}"
        for plot, points in zip(plots, (one.roc, one.precision_recall), strict=True):
            plot.line(points, f"curve l{number}{dashed}", f"{side.name}{area}")
            plot.note(0.3, 0.16 - 0.07 * number, f"{'┄' if number else '―'} {side.name}{area}", f"halo t{number}")
    label = f"Of “{escape(brief(drawn[0][1].label))}”, each version on its own test rows."
    return section(
        "ROC and precision–recall curves",
        label,
        grid(figure("ROC", plots[0].drawing()), figure("Precision–recall", plots[1].drawing())),
    )


def _drawn_for_both(heading: str, sides: Sides, **pictures: Callable[[Side], object]) -> str:
    """The same pictures of both, next to each other, under the names of what they show."""
    content = grid(
        *(
            figure(f"Version {side.version}: {what.replace('_', ' ')}", str(found))
            for what, picture in pictures.items()
            for side in sides
            if (found := picture(side))
        )
    )
    return section(heading, "", content) if content else ""
