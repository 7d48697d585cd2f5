"""What the test rows say of the answers: mistaken classes, each class by itself, rankings, and confidence."""

from collections.abc import Sequence
from html import escape

from models.card import ModelCard
from models.evaluation import ClassScore, Confusion
from models.figures import Confidence, Curves, Figures, Point
from trainer.report.axes import Axis
from trainer.report.page import brief, figure, folded, grid, section, table
from trainer.report.plot import Plot
from trainer.report.svg import drawing, rect, text

SHARE = Axis("uniform", 0.0, 1.0)
FEW, SHOWN = 8, 20
LONGEST_LABEL = 16


def mistakes(card: ModelCard) -> str:
    """The confusion matrix, and each class by itself."""
    evaluation = card.evaluation
    if evaluation is None:
        return ""
    said = (
        "A line holds the test rows of one class, a column those that were taken for one; right answers are on the "
        "diagonal. The darker, the larger the share of the line."
    )
    if evaluation.confusion.others:
        said += f" Of {len(card.classes)} classes those are shown that are mistaken most."
    return section("What is taken for what", said, confusion(evaluation.confusion), anchor="mistakes") + section(
        "Class by class",
        "Precision is the share of the rows taken for a class that are of it, recall the share of its rows that were "
        "found, F1 their harmonic mean."
        + (" The hardest classes come first." if len(evaluation.classes) > SHOWN else ""),
        _classes(evaluation.classes),
        anchor="classes",
    )


def confusion(matrix: Confusion) -> str:
    """The matrix as a picture with its numbers."""
    names = [*matrix.labels, *([f"{matrix.others} others"] if matrix.others else [])]
    few = len(names) <= FEW
    wide, high = (64.0, 38.0) if few else (34.0, 26.0)
    left, top = 132.0, 30.0 if few else 96.0
    parts = [text("is", left - 12, top - 10, "small", "end"), text("taken for", left, 12, "small")]
    for place, name in enumerate(names):
        shown = brief(name, LONGEST_LABEL if not few else 10)
        x = left + wide * (place + 0.5)
        if few:
            parts.append(text(shown, x, top - 7, "name", "middle"))
        else:
            turned = f"rotate(-50 {x:.0f} {top - 8:.0f})"
            parts.append(text(shown, x, top - 8, "small", transform=turned))
    for truth, counts in enumerate(matrix.counts):
        y, whole = top + high * truth, sum(counts) or 1
        parts.append(text(brief(names[truth], LONGEST_LABEL), left - 12, y + high / 2 + 4, "name", "end"))
        for answer, count in enumerate(counts):
            share, right = count / whole, truth == answer
            x = left + wide * answer
            title = f"{brief(names[truth])} taken for {brief(names[answer])}: {count:g} of {whole:g}, {share:.1%}"
            cell = rect(x + 1, y + 1, wide - 2, high - 2, "right" if right else "wrong", title, radius=4.0)
            parts.append(cell.replace("<rect", f'<rect fill-opacity="{max(share, 0.03):.2f}"', 1))
            tone = "nil" if not count else "on" if share > 0.6 else ""
            parts.append(text(_count(count), x + wide / 2, y + high / 2 + 4, f"small {tone}".strip(), "middle"))
    width = left + wide * len(names) + (10 if few else 60)
    mistaken = sum(
        count for truth, counts in enumerate(matrix.counts) for at, count in enumerate(counts) if at != truth
    )
    label = f"Confusion matrix of {len(names)} classes, {mistaken:g} of {sum(map(sum, matrix.counts)):g} rows mistaken"
    return drawing(width, top + high * len(names) + 8, parts, label, "narrow" if few else "wide")


def _count(count: float) -> str:
    return f"{count:g}" if count < 100_000 else f"{count / 1000:.0f}k"


def _classes(scores: Sequence[ClassScore]) -> str:
    if len(scores) <= SHOWN:
        return _class_table(scores)
    ordered = sorted(scores, key=lambda one: (one.f1 is None, one.f1))
    rest = len(scores) - SHOWN
    return _class_table(ordered[:SHOWN]) + folded(f"The other {rest} classes", _class_table(ordered[SHOWN:]))


def _class_table(scores: Sequence[ClassScore]) -> str:
    return table(
        ["class", "test rows", "taken for it", "precision", "recall", "F1"],
        (
            [brief(one.label), f"{one.rows:g}", f"{one.predicted:g}", *map(_rate, (one.precision, one.recall, one.f1))]
            for one in scores
        ),
    )


def _rate(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def rankings(figures: Figures) -> str:
    """ROC and precision–recall."""
    found = figures.curves
    if not found:
        return ""
    if len(found) == 1:
        (one,) = found
        share = f"{one.share:.1%}"
        said = (
            f"If rows are called “{brief(one.label)}” from some probability on: how many of them are found, against "
            f"how many false alarms, and how many of those called are. The ring marks where the model decides; "
            f"guessing lies on the dashed line, {share} of the test rows being of that class."
        )
    else:
        said = "Each class against all others, from the surest of its rows to the least sure. Guessing lies on the "
        said += "dashed line. AUC is the area under the ROC curve."
    return section(
        "How well it ranks",
        escape(said),
        grid(figure("ROC", roc(found)), figure("Precision–recall", precision(found))) + _areas(found),
        anchor="ranking",
    )


def _areas(found: Sequence[Curves]) -> str:
    if len(found) == 1:
        return ""
    rows = ([brief(one.label), _rate(one.auc), f"{one.share:.1%}"] for one in found)
    return folded("The area of each class", table(["class", "AUC", "share of the test rows"], rows))


def roc(found: Sequence[Curves]) -> str:
    """True against false positive rates."""
    areas = ", ".join(f"{brief(one.label)} {_rate(one.auc)}" for one in found)
    plot = Plot(
        SHARE, SHARE, f"ROC curves; area: {areas}", height=340.0, x_title="false positive rate", y_title="recall"
    )
    plot.line([(0, 0), (1, 1)], "even")
    _ranked(plot, found, [one.roc for one in found], 0)
    if len(found) == 1:
        plot.note(0.96, 0.06, f"area {_rate(found[0].auc)}", "name halo", "end")
    return plot.drawing()


def precision(found: Sequence[Curves]) -> str:
    """Precision against recall."""
    plot = Plot(SHARE, SHARE, "Precision over recall", height=340.0, x_title="recall", y_title="precision")
    if len(found) == 1:
        plot.line([(0, found[0].share), (1, found[0].share)], "even")
    _ranked(plot, found, [one.precision_recall for one in found], 1)
    return plot.drawing()


def _ranked(plot: Plot, found: Sequence[Curves], lines: Sequence[Sequence[Point]], which: int) -> None:
    for number, (one, points) in enumerate(zip(found, lines, strict=True)):
        plot.line(points, f"curve l{number % 10}", f"{brief(one.label)}: area {_rate(one.auc)}")
        if one.at:
            plot.dots([one.at[which]], 5.5, "hollow best", ["where the model decides"])
            x, y = one.at[which]
            plot.note(x + 0.03, y - 0.07, "threshold")
    if len(found) > 1:
        start = 0.055 * len(found)
        for number, one in enumerate(found):
            at = start - 0.055 * number
            plot.note(0.62 if which == 0 else 0.06, at, f"― {brief(one.label, 14)}", f"small halo t{number % 10}")


def confidence(card: ModelCard, figures: Figures) -> str:
    """The reliability diagram before and after calibration."""
    calibration = card.calibration
    if calibration is None:
        return ""
    before, after = calibration.before.ece, calibration.after.ece
    said = (
        f"Test rows by the probability of the answer that was given: its mean, against how often it was right. On "
        f"the dashed line a probability is a frequency. Calibration divided the logits by "
        f"{calibration.temperature:.2f} and took the mean distance from that line, the calibration error, from {before:.3f} to {after:.3f}. The grey "
        "bars are the shares of the rows."
    )
    return section(
        "Can its probabilities be trusted", said, reliability(figures.before, figures.after), anchor="reliability"
    )


def reliability(before: Sequence[Confidence], after: Sequence[Confidence]) -> str:
    """How often the answers of each confidence are right, before calibration and after."""
    low = min(one.confidence for one in (*before, *after))
    start = next(at for at in (0.8, 0.6, 0.4, 0.2, 0.0) if at <= low or at == 0.0)
    axis = Axis("uniform", start, 1.0)
    floor = Axis("uniform", 0.0, 1.0)
    gap = max(abs(one.confidence - one.accuracy) for one in after)
    plot = Plot(
        axis,
        floor,
        f"Reliability: no bin is off by more than {gap:.2f} after calibration",
        width=620.0,
        height=380.0,
        x_title="probability of the answer",
        y_title="share that is right",
    )
    half = 0.5 / 15
    for one in after:
        ends = (max(one.confidence - half, start), min(one.confidence + half, 1.0))
        plot.bars(ends, [one.share * 0.5], "under", [f"{one.share:.1%} of the rows"])
    plot.line([(start, start), (1, 1)], "even")
    for bins, colour, dashed, dots in ((before, 1, " dashed", "hollow best"), (after, 0, "", "fifth")):
        points = [(one.confidence, one.accuracy) for one in bins]
        plot.line(points, f"curve l{colour}{dashed}")
        plot.dots(
            points, 4.4, dots, [f"{one.confidence:.3f}: right {one.accuracy:.1%}, {one.share:.1%}" for one in bins]
        )
    left = start + 0.03 * (1 - start)
    plot.note(left, 0.93, "● after calibration", "halo t0").note(left, 0.86, "○ before", "halo t1")
    return plot.drawing("narrow")
