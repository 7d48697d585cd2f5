"""What whoever trains a model should be warned of, in plain words. Each sentence ends with what to type."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from models.evaluation import Baseline, Evaluation
from models.repository import DEFAULT_ROOT, ModelRepository
from models.terminal import printable, spelled_out
from models.wording import command_on
from trainer.data.division import By
from trainer.data.schema import Schema
from trainer.settings.config import INSPECTED, SEARCHED, TrainingConfig

# What the inspection of a table says of a column from which the class follows.
GIVES_AWAY = "gives the target away"
# Fewer test rows than these prove nothing, whatever they say.
FEWEST_ROWS = 10
SHOWN = 5


class Caution(NamedTuple):
    """A warning. Where `inspect` or `search` helps, the sentence leads up to the command, which `printed` completes."""

    sentence: str
    command: Literal["", "inspect", "search"] = ""

    def printed(self, config: TrainingConfig, repository: ModelRepository) -> str:
        """The warning for whoever trains: its command runs as it is printed."""
        if config.from_log:  # Neither command reads a log.
            return self.sentence
        match self.command:
            case "inspect":
                return f"{self.sentence}: {config.command('evenkeel inspect', INSPECTED)}"
            case "search":
                return f"{self.sentence}: {config.command(command_on(repository, 'search'), SEARCHED)}"
        return self.sentence

    def kept(self, config: TrainingConfig) -> str:
        """The warning for the card: its command says TABLE, which may be a file of any name, or be in memory."""
        return self.printed(config.with_placeholders(), ModelRepository(DEFAULT_ROOT))


def below_baseline(evaluation: Evaluation) -> Caution | None:
    """A warning where a baseline does as well as the model, as far as the test rows can tell, else None."""
    if evaluation.rows < FEWEST_ROWS:
        return Caution(
            f"{evaluation.rows} test rows cannot tell whether the model is better than guessing; give it a larger "
            "table, or test it on other rows with --test-table FILE"
        )
    for baseline in evaluation.baselines:
        if baseline.gain_interval[0] <= 0:
            return _no_better(evaluation, baseline)
    return None


def _no_better(evaluation: Evaluation, baseline: Baseline) -> Caution:
    high = baseline.gain_interval[1]
    command: Literal["inspect", "search"]
    if baseline.answer is not None:
        what = f"always answering {_quoted(baseline.answer)}"
        way_out, command = "see what its columns hold", "inspect"
    else:
        what = "softmax regression, a network without hidden layers"
        way_out, command = 'take that with --hidden "", or search', "search"
    worse = "worse than" if high < 0 else "no better than"
    noise = "" if high < 0 else ", a difference within the noise"
    return Caution(
        f"the model is {worse} {what}: log-loss {evaluation.log_loss:.4f} against {baseline.log_loss:.4f} on "
        f"{evaluation.rows} test rows{noise}; {way_out}",
        command,
    )


def cautions(
    schema: Schema, evaluation: Evaluation, positive: str | None, repeated: int, codes: Sequence[str]
) -> Iterator[Caution]:
    """A warning for whatever else looks wrong.

    `repeated` test rows stand among the training rows too, and the columns `codes` look like codes.
    """
    yield from map(Caution, _giveaways(schema))
    yield from map(Caution, _never_predicted(evaluation, positive))
    if repeated:
        share = repeated / evaluation.rows
        yield Caution(
            f"{repeated} of {evaluation.rows} test rows ({share:.1%}) also stand among the training rows, cell by "
            "cell, so the scores may be too good; keep rows that belong together in one part with --group COLUMN, or "
            "test on other rows with --test-table FILE"
        )
    if codes:
        columns = f"column {_some(codes)} holds" if len(codes) == 1 else f"columns {_some(codes)} hold"
        yield Caution(
            f"{columns} whole numbers that look like codes, and are read as amounts; if their order means nothing, "
            'train with --schema and the file that this writes, with kind = "categorical" there',
            "inspect",
        )


def _giveaways(schema: Schema) -> Iterator[str]:
    for rule, columns in schema.remarks().items():
        if rule.startswith(GIVES_AWAY):
            for name in columns:
                yield (
                    f"column {_quoted(name)} gives the target away: the class follows from it alone; if it is not "
                    f"known when the model is asked, leave it out with --drop {shlex.quote(spelled_out(name))}"
                )


def _never_predicted(evaluation: Evaluation, positive: str | None) -> Iterator[str]:
    found = positive if evaluation.at_threshold and evaluation.at_threshold.predicted else None
    missed = [one for one in evaluation.classes if one.rows and not one.predicted and one.label != found]
    if not missed:
        yield from _no_more_often_right(evaluation)
        return
    labels = _some([one.label for one in missed])
    rows = sum(one.rows for one in missed)
    verb, pronoun = ("is", "it") if len(missed) == 1 else ("are", "them")
    way_out = _for_rare(evaluation, missed[0].label)
    yield f"{labels} {verb} never predicted, though {rows:g} test rows are of {pronoun}; {way_out}"


def _no_more_often_right(evaluation: Evaluation) -> Iterator[str]:
    """Where one class has nearly all rows, accuracy says little. What is no better by log-loss has its own warning."""
    if evaluation.at_threshold:
        return
    for baseline in evaluation.baselines:
        if baseline.answer is None or evaluation.rows < FEWEST_ROWS or baseline.gain_interval[0] <= 0:
            continue
        if evaluation.accuracy <= baseline.accuracy:
            rarest = min(evaluation.classes, key=lambda one: one.rows or float("inf"))
            yield (
                f"the model is right no more often ({evaluation.accuracy:.4f}) than always answering "
                f"{_quoted(baseline.answer)} ({baseline.accuracy:.4f}); {_for_rare(evaluation, rarest.label)}"
            )


def _for_rare(evaluation: Evaluation, label: str) -> str:
    if len(evaluation.classes) == 2:
        return f"look for {_quoted(label)} with --positive {shlex.quote(spelled_out(label))} --threshold f1"
    return "let rare classes count as much as common ones with --class-weight balanced"


def unreached(precision: float, shortfall: float) -> Caution:
    """That no threshold reaches the precision that was asked for."""
    return Caution(
        f"no threshold reaches a precision of {precision:g} on the validation rows; the one with the highest, "
        f"{shortfall:.3f}, was taken; ask for less with --threshold recall@precision={shortfall:.2g}"
    )


def sets_by(by: By, column: str) -> Iterator[Caution]:
    """What the coverage of the sets means where the rows that they are chosen on were not drawn at random."""
    if by == "group":
        yield Caution(
            f"the interval of the coverage counts each row by itself, and rows of one '{printable(column, 40)}' may be "
            "alike: the coverage among the rows of a new one may be further off"
        )
    elif by == "time":
        yield Caution(
            f"the coverage of the sets holds for rows like those just before the test rows by '{printable(column, 40)}'"
            "; as the distribution moves it does no more: `evenkeel drift` says when"
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(_quoted, names[:SHOWN]))
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _quoted(name: str | None) -> str:
    return f"'{printable(name or '', 40)}'"
