"""A job whose training is over, before anything of it is published."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from models.card import ModelCard
from trainer.card.describe import describe, mirror
from trainer.data.rows import Examples
from trainer.data.table import Table
from trainer.evaluation.answers import HeldOut, held_out
from trainer.evaluation.verdict import Verdict, judge
from trainer.export.gate import check_export
from trainer.export.graph import Threshold, to_onnx
from trainer.figures.measured import figures
from trainer.fitting.fitted import Fitted
from trainer.fitting.start import Start, generator
from trainer.job.promotion import Known
from trainer.report.report import drawn
from trainer.settings.config import TrainingConfig


@dataclass(frozen=True, eq=False)
class Trained:
    """What training leaves behind, and what the rows that it did not learn from say of it.

    `again` reads the examples once more, and keeps the texts that it is given, by column, however rare they are.
    """

    config: TrainingConfig
    table: Table
    start: Start
    fitted: Fitted
    answers: HeldOut
    verdict: Verdict
    again: Callable[[Known], Examples]

    @classmethod
    def of(
        cls, config: TrainingConfig, table: Table, start: Start, fitted: Fitted, again: Callable[[Known], Examples]
    ) -> Self:
        """Measure what was trained."""
        answers = held_out(start, fitted)
        columns = start.examples.rows.numbers
        tried = {columns[place].name for one in fitted.selection.tried for place in one.candidate.codes}
        verdict = judge(config, table.schema, start, answers, tried)
        return cls(config, table, start, fitted, answers, verdict, again)

    def named(self, name: str) -> Self:
        """The same under another name, which is in the card and in the file of the model."""
        return replace(self, config=self.config.model_copy(update={"name": name}))

    def draft(self, annotate: Callable[[ModelCard], ModelCard] = lambda card: card) -> "Draft":
        """Write the model's file and its card, to which `annotate` adds.

        :raises ExportMismatch: the graph does not answer as the network does.
        """
        config, start, classifier = self.config, self.start, self.fitted.classifier
        card = annotate(describe(config, self.table, start, self.fitted, self.answers, self.verdict))
        threshold = None
        if card.positive is not None and card.threshold is not None:
            threshold = Threshold(card.positive, card.threshold)
        model = to_onnx(classifier, mirror(card), threshold, card.sets)
        rows, rng = self.table.examples.rows, generator(config.seed, 1)
        return Draft(self, card, model, check_export(model, classifier, rows, rng, threshold, card.sets))


@dataclass(frozen=True, eq=False)
class Draft:
    """A model as it would be published: its card, without the digests of its files, and the bytes of model.onnx.

    `difference` is the largest between a probability of the network and the graph's.
    """

    trained: Trained
    card: ModelCard
    model: bytes
    difference: float

    def report(self) -> dict[str, bytes]:
        """The files beside the model: its figures and its report, by name."""
        trained = self.trained
        shown = figures(trained.config, trained.start, trained.fitted, trained.answers, self.card)
        return drawn(self.card, self.model, shown)
