"""`evenkeel.fit`: a table in, a model out, which is published when somebody says so."""

import os
import warnings
from functools import cached_property
from html import escape
from typing import NamedTuple, Unpack

from evenkeel.model.loaded import Model, repository_at
from evenkeel.model.settings import Settings, training_config
from evenkeel.scoring.local import LocalModel
from evenkeel.tables.given import Table, one_tree
from models.errors import EvenkeelWarning
from models.evaluation import Evaluation
from models.figures import REPORT
from models.repository import PublishedModel
from models.terminal import room
from trainer.fitting.members import Run
from trainer.job import job
from trainer.job.promotion import check_promote
from trainer.job.publishing import publish
from trainer.job.trained import Draft
from trainer.settings.flags import count
from trainer.settings.spelling import in_python
from trainer.terminal import epochs
from trainer.terminal.summary import findings
from trainer.threads import one_thread


class Published(NamedTuple):
    """A version in the repository, and a sentence that says which version serves now."""

    name: str
    version: int
    serving: str


class Report:
    """What the command line prints when it has trained, and the page that it draws.

    `str` of it is the text; `html` the whole page, which a notebook shows.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    @property
    def evaluation(self) -> Evaluation:
        """Every measure on the test rows: baselines, each class, the confusion matrix."""
        assert self._draft.card.evaluation is not None  # A job always evaluates.
        return self._draft.card.evaluation

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever uses the model should know, a sentence each."""
        return tuple(map(in_python, self._draft.card.warnings))

    @cached_property
    def html(self) -> str:
        """The report as one page, without a file beside it."""
        with one_thread():
            return self._draft.report()[REPORT].decode()

    def __str__(self) -> str:
        return in_python(findings(self._draft, room()))

    def _repr_html_(self) -> str:
        """The page in a frame, where its style is its own."""
        return f'<iframe srcdoc="{escape(self.html)}" style="width:100%;height:40em;border:0"></iframe>'


class FittedModel(Model):
    """A model that is trained, and not yet published. To ask it for answers takes the extra `service`."""

    def __init__(self, draft: Draft) -> None:
        self._draft, self.card, self.version = draft, draft.card, None
        self.report = Report(draft)

    @cached_property
    def _local(self) -> LocalModel:
        return LocalModel(PublishedModel(self.card, 0, self._draft.model, ""))

    def publish(
        self,
        name: str,
        *,
        repository: str | os.PathLike[str] | None = None,
        promote: str = "always",
        fail_below_baseline: bool = False,
        report: bool = True,
    ) -> Published:
        """Publish the model as the next version of `name`, whole or not at all.

        :param repository: its root folder or s3:// URL; EVENKEEL_REPOSITORY or models/store, where none is given.
        :param promote: whether the version is to serve: "always", "if-better" or "never".
        :param fail_below_baseline: publish nothing if the model is no better than a baseline.
        :param report: publish figures.json and report.html beside the model.
        :raises EvenkeelError: nothing was published, or so much as the sentence says.
        """
        where = repository_at(repository)
        with one_tree('repository="FOLDER" publishes into another'), one_thread():
            where.versions(name)  # Refuses what is no name.
            outcome = publish(
                self._draft.trained.named(name),
                where,
                promote=check_promote(promote),
                fail_below_baseline=fail_below_baseline,
                with_report=report,
            )
        return Published(name, outcome.version, outcome.serving)

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


def fit(
    table: Table, *, target: str, jobs: int | None = None, verbose: bool = False, **settings: Unpack[Settings]
) -> FittedModel:
    """Train on a table as `evenkeel fit` does; the same rows give the same bytes of model.onnx.

    What whoever uses the model should know is told as an `EvenkeelWarning` each.

    :param table: a pandas, polars or pyarrow table, any other that speaks Arrow's stream interface, or a file's path.
    :param target: the column that holds the class.
    :param jobs: members that are trained at a time, each in a process of its own; where nobody says, one a core.
    :param verbose: print a line an epoch on standard error.
    :param settings: the options of `evenkeel fit` by their names, as docs/training.md and docs/my-file.md list them.
    :raises EvenkeelError: there is no model; the sentence says why, and `code` what kind of refusal it is.
    """
    with one_tree():
        config, frames = training_config(table, target, settings)
        processes = None if jobs is None else count("--jobs", str(jobs))
        watching = epochs.watching(config.epochs, quiet=not verbose, verbose=verbose)
        with one_thread(), watching as shown:
            run = Run(shown.watch, shown.ended, shown.tried, taken=shown.watch)
            model = FittedModel(job.train(config, frames, run, jobs=processes).draft())
    for sentence in model.report.warnings:
        warnings.warn(sentence, EvenkeelWarning, stacklevel=2)
    return model
