"""From a model that is trained to a version in the repository."""

from collections.abc import Callable
from dataclasses import dataclass

from models.card import ModelCard
from models.repository import ModelRepository
from models.staging import NOTHING
from models.terminal import noting
from trainer.card.describe import doubts
from trainer.data.schema import Schema
from trainer.errors import BelowBaseline
from trainer.fitting.fitted import Fitted
from trainer.fitting.members import Bag
from trainer.fitting.trained_classifier import TrainedClassifier
from trainer.job import promotion
from trainer.job.promotion import Promote
from trainer.job.trained import Draft, Trained
from trainer.training.interrupts import held_back


@dataclass(frozen=True)
class Outcome:
    """What a job leaves behind.

    `serving` says in a sentence which version serves now, `warnings` are those of the card with commands that run as
    they are printed, and `report` says whether the version has one.
    """

    draft: Draft
    version: int
    serving: str
    warnings: tuple[str, ...]
    report: bool

    @property
    def fact(self) -> str:
        """What is done, in words."""
        return f"version {self.version} of {self.card.name} is published"

    @property
    def card(self) -> ModelCard:
        return self.draft.card

    @property
    def schema(self) -> Schema:
        return self.draft.trained.table.schema

    @property
    def fitted(self) -> Fitted:
        return self.draft.trained.fitted

    @property
    def bag(self) -> Bag:
        return self.fitted.bag

    @property
    def classifier(self) -> TrainedClassifier:
        return self.fitted.classifier

    @property
    def difference(self) -> float:
        """The largest between a probability of the network and the graph's."""
        return self.draft.difference


def publish(
    trained: Trained,
    repository: ModelRepository,
    *,
    annotate: Callable[[ModelCard], ModelCard] = lambda card: card,
    promote: Promote = "always",
    fail_below_baseline: bool = False,
    with_report: bool = True,
    published: Callable[[], None] = lambda: None,
) -> Outcome:
    """Publish what was trained into `repository`, whole or not at all, and call `published` once it is.

    What the others mean is said at `run`.

    :raises TrainerError: nothing was published; the sentence says why.
    :raises OSError: the repository cannot be written; nothing was published.
    """
    config, verdict = trained.config, trained.verdict
    with noting(NOTHING, KeyboardInterrupt):
        if fail_below_baseline and verdict.below:
            raise BelowBaseline(f"nothing was published: {verdict.below.printed(config, repository)}")
        draft = trained.draft(annotate)
        before = promotion.serving(repository, config.name)
        decision = None
        if before:
            test = trained.answers.test
            decision = promotion.decide(promote, draft.card, trained.start, test, before, trained.again)
        files = {"model.onnx": draft.model} | (draft.report() if with_report else {})
    with held_back() as ctrl_c:
        version = repository.publish(draft.card, files, hold=bool(decision and not decision.serves))
        published()
        serving = promotion.carry_out(decision, repository, config.name, version, before.version if before else None)
        ctrl_c.drop()  # It came too late to stop anything.
    warnings = (*(one.printed(config, repository) for one in verdict.warnings), *doubts(config, trained.fitted))
    return Outcome(draft, version, serving, warnings, with_report)
