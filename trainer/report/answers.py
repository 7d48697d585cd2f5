"""What the test rows say of the answers: mistaken classes, each class by itself, rankings, and confidence."""

from collections.abc import Sequence
from html import escape

from models.card import Calibration, ModelCard
from models.evaluation import ClassScore, Confusion
from models.figures import Confidence, Curves, Figures, Point
from trainer.report.axes import Axis
from trainer.report.page import brief, figure, folded, grid, quoted, section, table
from trainer.report.plot import Plot
from trainer.report.svg import drawing, rect, text

SHARE = Axis("uniform", 0.0, 1.0)
FEW, SOME, SHOWN, BINS = 8, 12, 20, 15
LONGEST_LABEL = 16
KEY = '<b class="fifth">● after calibration</b>, with 95 % intervals; <b class="best">○ before</b>'
KEY_ALONE = '<b class="fifth">● test rows</b>, with 95 % intervals'


def mistakes(card: ModelCard) -> str:
    """The confusion matrix, and each class by itself."""
    evaluation = card.evaluation
    if evaluation is None:
        return ""
    said = (
        "Rows are the true classes of the test rows, columns the predicted ones; correct predictions are on the "
        "diagonal. Darker cells hold a larger share of their row."
    )
    if evaluation.confusion.others:
        said += f" Of {len(card.classes)} classes those with the most errors are shown."
    hardest = " Classes with the lowest F1 come first." if len(evaluation.classes) > SHOWN else ""
    told = (
        "Precision is the share of the rows predicted as a class that belong to it, recall the share of its rows that "
        f"are predicted as it, F1 their harmonic mean.{hardest}"
    )
    picture, scores = confusion(evaluation.confusion), _classes(evaluation.classes)
    if len(evaluation.confusion.counts) <= SOME:
        content = [grid(figure("Confusion matrix", picture), figure("Class by class", scores, told))]
    else:
        content = [picture, figure("Class by class", scores, told)]
    return section("Confusion matrix and classes", said, *content, anchor="mistakes")


def confusion(matrix: Confusion) -> str:
    """The matrix as a picture with its numbers; in a large one nothing stands for none."""
    names = [*matrix.labels, *([f"{matrix.others} others"] if matrix.others else [])]
    few = len(names) <= FEW
    wide, high = (72.0 if len(names) <= 4 else 60.0, 38.0) if few else (33.0, 26.0)
    shown = [quoted(name, 10 if few else LONGEST_LABEL) for name in names]
    # Long names of many columns are turned.
    turned = not few and max(map(len, shown)) > 3
    left, top = 120.0, 28.0 + (4.6 * max(map(len, shown)) + 10 if turned else 16.0)
    parts = [text("true", left - 12, top - 7, "small", "end"), text("predicted", left, 14, "small")]
    for place, name in enumerate(shown):
        x = left + wide * (place + 0.5)
        how = {"transform": f"rotate(-50 {x:.0f} {top - 8:.0f})"} if turned else {}
        parts.append(text(name, x, top - 7, "small" if turned else "", "" if turned else "middle", **how))
    for truth, counts in enumerate(matrix.counts):
        y, whole = top + high * truth, sum(counts) or 1
        parts.append(text(quoted(names[truth], LONGEST_LABEL), left - 12, y + high / 2 + 4, "", "end"))
        for answer, count in enumerate(counts):
            share, right = count / whole, truth == answer
            title = f"{shown[truth]} predicted as {shown[answer]}: {count:g} of {whole:g}, {share:.1%}" if count else ""
            x, cls = left + wide * answer, "right" if right else "wrong"
            parts.append(
                rect(x + 1, y + 1, wide - 2, high - 2, cls, title, 4.0, fill_opacity=f"{0.04 + 0.46 * share:.2f}")
            )
            if count or few:
                parts.append(text(_count(count), x + wide / 2, y + high / 2 + 4, "" if count else "nil", "middle"))
    width = left + wide * len(names) + (50 if turned else 6)
    mistaken = sum(
        count for truth, counts in enumerate(matrix.counts) for at, count in enumerate(counts) if at != truth
    )
    label = f"Confusion matrix of {len(names)} classes, {mistaken:g} of {sum(map(sum, matrix.counts)):g} rows mistaken"
    return drawing(width, top + high * len(names) + 8, parts, label, "own" if len(names) <= SOME else "own wide")


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
        ["class", "test rows", "predicted", "precision", "recall", "F1"],
        (
            [quoted(one.label), f"{one.rows:g}", f"{one.predicted:g}", *map(_rate, (one.precision, one.recall, one.f1))]
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
            f"The positive class is “{brief(one.label)}”, {share} of the test rows. ROC shows the true against the "
            f"false positive rate at every threshold, the other curve precision against recall. The ring marks the "
            f"model's threshold, the dashed line random guessing."
        )
    else:
        said = "One class against all others, at every threshold. The dashed line is random guessing, AUC the area "
        said += "under the ROC curve."
    return section(
        "ROC and precision–recall curves",
        escape(said),
        grid(figure("ROC", roc(found)), figure("Precision–recall", precision(found))),
        anchor="ranking",
    )


def _area(one: Curves) -> str:
    return "–" if one.auc is None else f"{one.auc:.4f}"


def roc(found: Sequence[Curves]) -> str:
    """True against false positive rates."""
    areas = ", ".join(f"{quoted(one.label)} {_rate(one.auc)}" for one in found)
    plot = Plot(
        SHARE, SHARE, f"ROC curves; area: {areas}", height=340.0, x_title="false positive rate", y_title="recall"
    )
    plot.line([(0, 0), (1, 1)], "even")
    _ranked(plot, found, [one.roc for one in found], 0)
    if len(found) == 1:
        plot.note(0.96, 0.06, f"area {_area(found[0])}", "name halo", "end")
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
        plot.line(points, f"curve l{number % 10}", f"{quoted(one.label)}: area {_rate(one.auc)}")
        if one.at:
            plot.dots([one.at[which]], 5.5, "hollow best", ["where the model decides"])
            x, y = one.at[which]
            # Where the curve does not run: beneath it on the right of the ROC, on the left of the other.
            plot.note(x + (-0.03 if which else 0.03), y - 0.08, "threshold", anchor="end" if which else "start")
    if len(found) > 1:
        start = 0.055 * len(found)
        for number, one in enumerate(found):
            at = start - 0.055 * number
            said = f"― {quoted(one.label, 14)}, area {_area(one)}" if which == 0 else f"― {quoted(one.label, 14)}"
            plot.note(0.55 if which == 0 else 0.06, at, said, f"small halo t{number % 10}")


def confidence(card: ModelCard, figures: Figures) -> str:
    """The reliability diagram before and after calibration; of a student, which has none of its own, as it is."""
    calibration = card.calibration
    if calibration is None:
        return ""
    said = (
        "Test rows in bins of the predicted probability: its mean against the accuracy in the bin. On the dashed line "
        f"both are equal. {_calibrated(card, calibration)} The grey bars are the shares of the rows."
    )
    scores = {"before": calibration.before, "after": calibration.after}
    before, key, remark = figures.before, KEY, " Calibration was fitted on the validation rows."
    if card.distillation:
        scores, before, key, remark = {"published network": calibration.after}, (), KEY_ALONE, ""
    rows = [[name, f"{one.log_loss:.4f}", f"{one.brier:.4f}", f"{one.ece:.4f}"] for name, one in scores.items()]
    measured = figure(
        "Scores of the probabilities",
        table(["" if card.distillation else "calibration", "log-loss", "Brier score", "calibration error"], rows),
        f"On the test rows; lower is better.{remark}",
    )
    diagram = figure("Reliability", reliability(before, figures.after), key)
    return section("Calibration", said, grid(diagram, measured), anchor="reliability")


def _calibrated(card: ModelCard, calibration: Calibration) -> str:
    after = calibration.after.ece
    if made := card.distillation:
        return (
            f"The bag's probabilities, which the network learned, are calibrated (temperature {made.temperature:.2f}); "
            f"its own are not calibrated again. Their expected calibration error is {after:.3f}."
        )
    return (
        f"Temperature scaling divided the logits by {calibration.temperature:.2f}; the expected calibration error went "
        f"from {calibration.before.ece:.3f} to {after:.3f}."
    )


def reliability(before: Sequence[Confidence], after: Sequence[Confidence]) -> str:
    """How often the answers of each confidence are right, before calibration, where there is one, and after."""
    low = min(one.confidence for one in (*before, *after))
    start = next(at for at in (0.8, 0.6, 0.5, 0.4, 0.2, 0.0) if at <= low or at == 0.0)
    gap = max(abs(one.confidence - one.accuracy) for one in after)
    plot = Plot(
        Axis("uniform", start, 1.0),
        SHARE,
        f"Reliability: no bin is off by more than {gap:.2f}",
        height=340.0,
        x_title="predicted probability",
        y_title="accuracy",
    )
    for one in after:
        first = min(int(one.confidence * BINS), BINS - 1) / BINS
        plot.bars((max(first, start), first + 1 / BINS), [one.share * 0.5], "under", [f"{one.share:.1%} of the rows"])
    plot.line([(start, start), (1, 1)], "even")
    for one in after:
        plot.line([(one.confidence, end) for end in one.interval], "whisker")
    for bins, cls in ((before, "hollow best"), (after, "fifth")):
        for one in bins:
            said = f"{one.confidence:.3f}: accuracy {one.accuracy:.1%}, {one.share:.1%} of the rows"
            plot.dots([(one.confidence, one.accuracy)], 4.6, cls, [said])
    return plot.drawing()
