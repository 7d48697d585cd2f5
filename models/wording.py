"""What several programs print in the same words: an evaluation in lines of text, and what to type next."""

import shlex
from collections.abc import Iterator, Sequence

from models.card import Candidate, Distillation
from models.evaluation import Baseline, ClassScore, Confusion, Evaluation
from models.repository import DEFAULT_ROOT, ModelRepository
from models.sets import PredictionSets
from models.terminal import label, wrapped

# So many classes get a line each, a place among the columns, or a mention.
MOST_LINES, MOST_COLUMNS, MOST_MENTIONED = 20, 8, 5
LONGEST_LABEL = 24
# Where the last column of a table has less room, its cells go on in lines of their own.
LEAST_ROOM, INDENT = 24, 4


def aligned(rows: Sequence[Sequence[str]], left: int = 1, width: int | None = None) -> Iterator[str]:
    """Lines of cells under each other, the first `left` columns aligned to the left and the others to the right.

    With a `width` the last column is text, aligned to the left: where a line would be longer it goes on below itself,
    wrapped between words.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    place = sum(widths[:-1]) + 2 * len(widths[:-1])
    for row in rows:
        cells = [
            cell.ljust(size) if at < left or (width and at == len(row) - 1) else cell.rjust(size)
            for at, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        if width is None or place + len(row[-1]) <= width:
            yield "  ".join(cells).rstrip()
        elif width - place >= LEAST_ROOM:
            first, *more = wrapped(row[-1], width - place)
            yield "  ".join([*cells[:-1], first])
            yield from (" " * place + line for line in more)
        else:
            yield "  ".join(cells[:-1]).rstrip()
            yield from (" " * INDENT + line for line in wrapped(row[-1], width - INDENT))


def evaluation_lines(evaluation: Evaluation, what: str = "test rows", width: int = 80) -> Iterator[str]:
    """The scores on `what` beside the baselines, then class by class what is taken for what, `width` columns wide."""
    yield from aligned(list(_scores(evaluation, what)))
    area = "" if evaluation.auc is None else f"AUC {evaluation.auc:.4f}, "
    yield f"{area}macro F1 {evaluation.macro_f1:.4f}; interval: {evaluation.interval}"
    if (found := evaluation.at_threshold) is not None:
        rates = ", ".join(
            f"{what} {_rate(value)}"
            for what, value in (("precision", found.precision), ("recall", found.recall), ("F1", found.f1))
        )
        yield f"at the threshold {found.predicted:g} rows are predicted positive: {rates}"
    yield ""
    yield from _class_lines(evaluation, width)


def _scores(evaluation: Evaluation, what: str) -> Iterator[tuple[str, ...]]:
    low, high = evaluation.accuracy_interval
    yield f"{evaluation.rows} {what}", "log-loss", "accuracy", "interval"
    yield "this model", f"{evaluation.log_loss:.4f}", f"{evaluation.accuracy:.4f}", f"{low:.3f} to {high:.3f}"
    for baseline in sorted(evaluation.baselines, key=lambda one: one.log_loss):
        yield called(baseline), f"{baseline.log_loss:.4f}", f"{baseline.accuracy:.4f}", ""


def selection_line(selection: Sequence[Candidate]) -> str:
    """Which of the candidates a model was trained with, and what they gain."""
    rows = selection[0].rows
    for chosen in (candidate for candidate in selection if candidate.chosen):
        shown = [label(name, LONGEST_LABEL) for name in chosen.categories[:MOST_MENTIONED]]
        more = len(chosen.categories) - len(shown)
        names = ", ".join(shown) + (f" and {more} more" if more else "")
        what = [f"{names} as categories"] if names else []
        what += [f"{chosen.scaling} scaling"] if chosen.scaling else []
        what += [] if chosen.input_dropout else ["no input dropout"]
        return f"{', '.join(what)}; {chosen.gain:.4f} nats lower on {rows} validation rows"
    others = "1 candidate" if len(selection) == 1 else f"{len(selection)} candidates"
    return f"the defaults; {others} no better on {rows} validation rows"


def sets_line(sets: PredictionSets) -> str:
    """What the prediction sets promise, and what they are on the test rows."""
    low, high = sets.interval
    line = (
        f"{sets.level:.4g} are to hold the true class; by the {sets.rows} rows for them {sets.coverage:.4g} do, "
        f"interval {low:.3f} to {high:.3f}"
    )
    if (test := sets.test) is None:
        return line
    return f"{line}; of the test rows' {test.coverage:.4g}, with {test.mean_size:.2f} classes on average"


def taught_by(made: Distillation) -> str:
    """What a distilled network learned from."""
    trees = f" and gradient-boosted trees (share {made.trees:.2f})" if made.trees else ""
    return f"a bag of {made.members}{trees}"


def called(baseline: Baseline) -> str:
    """A baseline's name."""
    return baseline.kind if baseline.answer is None else f"always {_label(baseline.answer)}"


def _class_lines(evaluation: Evaluation, width: int) -> Iterator[str]:
    classes, confusion = evaluation.classes, evaluation.confusion
    most = sorted(classes, key=lambda one: -one.rows)[:MOST_LINES]
    shown = [one for one in classes if one in most]
    rows = [("class", "rows", "precision", "recall", "F1")]
    rows += [(_label(one.label), f"{one.rows:g}", *_rates(one)) for one in shown]
    if len(classes) == len(confusion.labels) <= MOST_COLUMNS and not confusion.others:
        taken = [[f"as {_label(one.label)}" for one in shown], *([f"{n:g}" for n in row] for row in confusion.counts)]
        whole = list(aligned([(*row, *cells) for row, cells in zip(rows, taken, strict=True)]))
        if max(map(len, whole)) <= width:
            yield from whole
            return
    yield from aligned(rows)
    if len(classes) > len(shown):
        yield f"and {len(classes) - len(shown)} more classes, in the card"
    for line in _mistakes(confusion):
        yield from wrapped(line, width)


def _mistakes(confusion: Confusion) -> Iterator[str]:
    """The commonest mistakes of many classes."""
    names = [*map(_label, confusion.labels), *(["another class"] if confusion.others else [])]
    mistakes = sorted(
        (
            (times, truth, answer)
            for truth, row in enumerate(confusion.counts)
            for answer, times in enumerate(row)
            if truth != answer and times
        ),
        key=lambda one: -one[0],
    )[:MOST_MENTIONED]
    if mistakes:
        said = (f"{names[truth]} for {names[answer]} ({times:g})" for times, truth, answer in mistakes)
        yield f"most frequent errors: {', '.join(said)}"
    if confusion.others:
        yield f"the confusion matrix holds the {len(confusion.labels)} classes with the most errors"


def _rates(one: ClassScore) -> tuple[str, str, str]:
    return _rate(one.precision), _rate(one.recall), _rate(one.f1)


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _label(text: str) -> str:
    return label(text, LONGEST_LABEL)


def command_on(repository: ModelRepository, name: str) -> str:
    """How a person starts a command of `evenkeel` on this repository."""
    where = "" if repository.place == DEFAULT_ROOT else f" --repository {shlex.quote(str(repository.place))}"
    return f"evenkeel {name}{where}"
