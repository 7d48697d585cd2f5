"""The closing summary of a run, as text: what was learned from what, how good it is, what to do next, the details."""

from collections.abc import Iterable, Iterator, Sequence

from models.card import Calibration, Distillation, ModelCard
from models.figures import REPORT
from models.repository import ModelRepository
from models.terminal import label, printable
from models.wording import aligned, called, command_on, evaluation_lines, selection_line, sets_line, taught_by
from trainer.job.publishing import Outcome
from trainer.job.trained import Draft
from trainer.training.records import History

MOST_CLASSES = 5


def summary(outcome: Outcome, repository: ModelRepository, width: int) -> str:
    """The whole summary, `width` columns wide, without a line's end."""
    card, inner = outcome.card, width - 2
    blocks = (
        [_headline(card, outcome.version)],
        _indented(aligned(_learned(card), left=2, width=inner)),
        _indented(evaluation_lines(card.evaluation, width=inner) if card.evaluation else ()),
        _next(outcome, repository),
        _indented(_details(outcome.draft, inner)),
    )
    return "\n\n".join("\n".join(lines) for lines in blocks)


def findings(draft: Draft, width: int) -> str:
    """The same of a model that is not published: what was learned from what, how good it is, the details."""
    card, inner = draft.card, width - 2
    blocks = (
        [f"{_name(card.provenance.target)} predicted from {card.provenance.table}; not published yet"],
        _indented(aligned(_learned(card), left=2, width=inner)),
        _indented(evaluation_lines(card.evaluation, width=inner) if card.evaluation else ()),
        _indented(_details(draft, inner)),
    )
    return "\n\n".join("\n".join(lines) for lines in blocks)


def published(outcome: Outcome, repository: ModelRepository) -> str:
    """Where the new version lies."""
    return f"Published in {repository.place}/{outcome.card.name}/{outcome.version}"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}".rstrip() for line in lines)


def _headline(card: ModelCard, version: int) -> str:
    return f"{card.name}, version {version}, predicts {_name(card.provenance.target)} from {card.provenance.table}"


def _learned(card: ModelCard) -> list[tuple[str, str]]:
    learning, test = card.learning_rows, card.metrics["test"].rows
    left_out = card.provenance.rows_without_target
    read_as = str(card.provenance.table_schema.get("read_as", ""))
    classes = [label(one, 40) for one in card.classes]
    more = f" and {len(classes) - MOST_CLASSES} more" if len(classes) > MOST_CLASSES else ""
    kept = card.sets.rows if card.sets else 0
    sets = f", {kept} for the sets" if kept else ""
    return [
        ("rows", f"{learning + kept + test}: {learning} for training and validation{sets}, {test} for the test"),
        *([("left out", f"{left_out} rows without a target")] if left_out else []),
        *([("read as", printable(read_as, 1000))] if read_as else []),
        ("features", ", ".join(_kinds(card))),
        ("classes", ", ".join(classes[:MOST_CLASSES]) + more),
        *([("positive", _positive(card))] if card.positive is not None else []),
        ("accuracy", _accuracy(card)),
        *([("sets", sets_line(card.sets))] if card.sets else []),
    ]


def _kinds(card: ModelCard) -> Iterator[str]:
    dates = sum(feature.kind == "date" for feature in card.features)
    yield f"{len(card.numeric) - dates} numeric"
    if dates:
        yield f"{dates} date{'s' * (dates > 1)}"
    yield f"{len(card.categorical)} categorical"


def _positive(card: ModelCard) -> str:
    rule = card.provenance.settings.get("threshold")
    if card.threshold is None:
        return label(card.positive or "", 40)
    return f"{label(card.positive or '', 40)}, at a probability of {card.threshold:.4g} or more (--threshold {rule})"


def _accuracy(card: ModelCard) -> str:
    """The accuracy beside that of the baselines."""
    baselines = card.evaluation.baselines if card.evaluation else ()
    others = sorted(baselines, key=lambda one: -one.accuracy)
    beside = ", ".join(f"{called(one)} {one.accuracy:.1%}" for one in others)
    return f"{card.metrics['test'].accuracy:.1%} on the test rows" + (f"; {beside}" if beside else "")


def _next(outcome: Outcome, repository: ModelRepository) -> Iterator[str]:
    card = outcome.card
    yield published(outcome, repository)
    if outcome.report:
        yield f"See it in a browser: {repository.root / card.name / str(outcome.version) / REPORT}"
    yield outcome.serving
    yield f"Serve it with: {command_on(repository, 'serve')}"
    yield f"Look at it with: {command_on(repository, 'models')} show {card.name} {outcome.version}"


def _details(draft: Draft, width: int) -> Iterator[str]:
    """The training: networks, epochs, frozen statistics, calibration, export."""
    card, members = draft.card, draft.trained.fitted.bag.members
    frozen = max(card.frozen_statistics, key=lambda one: one.largest_shift)
    calibration = card.calibration
    assert calibration is not None  # A job always calibrates.
    facts = [
        *([("networks", _networks(card, len(members)))] if len(members) > 1 else []),
        *([("selection", selection_line(card.selection))] if card.selection else []),
        ("epochs", _epochs([member.history for member in members])),
        ("step", "compiled" if members[0].history.compiled else "numpy"),
        ("statistics", f"{frozen.source}, at most {frozen.largest_shift:.3f} sd from the population's"),
        ("calibration", _calibrated(calibration, card.distillation)),
        ("export", f"differs from the network by at most {draft.difference:.1e}"),
    ]
    yield from aligned(facts, left=2, width=width)
    yield ""
    rows = [("", "rows", "log-loss", "accuracy")]
    scores = dict(card.metrics)
    if made := card.distillation:
        scores[f"test, bag of {made.members}"] = made.test
    rows += [(part, str(one.rows), f"{one.log_loss:.4f}", f"{one.accuracy:.4f}") for part, one in scores.items()]
    yield from aligned(rows)


def _networks(card: ModelCard, members: int) -> str:
    if (made := card.distillation) is None:
        return f"bag of {members}; the answer is the mean of theirs"
    return f"one, distilled from {taught_by(made)} in {made.epochs} epochs; divergence {made.divergence:.3f} nats"


def _calibrated(calibration: Calibration, made: Distillation | None) -> str:
    before, after = calibration.before.ece, calibration.after.ece
    if made:
        return f"temperature {made.temperature:.2f} of the bag; test calibration error {after:.3f}"
    return f"temperature {calibration.temperature:.2f}, test calibration error {after:.3f}, {before:.3f} without it"


def _epochs(histories: Sequence[History]) -> str:
    ending = "best"
    if any(one.interrupted or one.out_of_time for one in histories):
        reason = "interrupted" if any(one.interrupted for one in histories) else "out of time"
        ending = f"{reason}; best so far"
    counts, best = (
        ", ".join(map(str, numbers))
        for numbers in ([len(one.epochs) for one in histories], [one.best.number for one in histories])
    )
    return f"{counts}, {ending} {best}" if len(histories) == 1 else f"{counts}; {ending} {best}"


def _name(text: str) -> str:
    return printable(text, 40)
