"""A model in this process: what answers tables, a block of rows at a time, with onnxruntime and without a service."""

import os
import warnings
from collections.abc import Mapping
from functools import cached_property
from html import escape
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from evenkeel.scoring.local import LocalModel, local_model
from evenkeel.scoring.run import Model as Answering
from evenkeel.scoring.run import Refuse, Run, check_features
from evenkeel.tables.given import Asked, one_tree, opened
from evenkeel.tables.written import Answers, named
from models.card import Metrics, ModelCard
from models.errors import EvenkeelWarning
from models.remote import opened as opened_repository
from models.repository import ModelRepository
from models.wording import evaluation_lines
from trainer.arrays import Array
from trainer.data.parsing import ArrowTable
from trainer.data.stated import stated_schema
from trainer.errors import InvalidSetting
from trainer.settings.spelling import in_python

OnError = Literal["stop", "null"]


class Model:
    """A published version of a model. `card` describes it; its `classes` are in the order of the probabilities."""

    def __init__(self, local: LocalModel) -> None:
        self.card: ModelCard = local.card
        self.version: int | None = local.version
        self._loaded = local

    @cached_property
    def _local(self) -> LocalModel:
        return self._loaded

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.card.classes

    @property
    def metrics(self) -> Mapping[str, Metrics]:
        """Rows, log-loss in nats and accuracy of the parts "train", "validation" and "test"."""
        return self.card.metrics

    def predict_proba(self, table: Asked, *, on_error: OnError = "stop") -> npt.NDArray[np.float32]:
        """The probability (n, classes) of each class for the n rows of a table, which may have other columns too.

        A table is a frame of pandas, polars or pyarrow, a file's path, or a list of records (dicts).

        Cells are read, checked and answered as by `evenkeel predict`; what is unusual is told as an `EvenkeelWarning`.

        :param on_error: at a row that cannot be answered "stop", or "null": answer it with NaN, and warn.
        :raises EvenkeelError: the table lacks a feature, cannot be read, or has a row that cannot be answered.
        """
        answers = self._answers(table, on_error)
        return np.where(answers.answered[:, None], answers.probabilities, np.float32(np.nan))

    def predict(self, table: Asked, *, on_error: OnError = "stop") -> npt.NDArray[np.object_]:
        """The class (n,) of each row, by the model's threshold where it has one.

        :param on_error: as for `predict_proba`, None in place of NaN.
        :raises EvenkeelError: as `predict_proba` does.
        """
        answers = self._answers(table, on_error)
        labels = np.array([*self.classes, None], object)
        return np.asarray(labels[np.where(answers.answered, answers.labels, -1)])

    def predict_set(self, table: Asked, *, on_error: OnError = "stop") -> npt.NDArray[np.object_]:
        """The classes, a tuple, of the prediction set (n,) of each row, of a model that was trained with a coverage.

        :param on_error: as for `predict_proba`, None in place of NaN.
        :raises EvenkeelError: as `predict_proba` does, or the model has no sets.
        """
        check_sets(self.card)
        return sets_in(self._answers(table, on_error), self.classes)

    def __repr__(self) -> str:
        version = "not published" if self.version is None else f"version {self.version}"
        return f"<{self.name}, {version}: {self.card.provenance.target} from {len(self.card.features)} features>"

    def _repr_html_(self) -> str:
        """The model in a notebook."""
        lines = evaluation_lines(self.card.evaluation) if self.card.evaluation else ()
        return f"<p><b>{escape(repr(self)[1:-1])}</b></p><pre>{escape(chr(10).join(lines))}</pre>"

    def _answers(self, table: Asked, on_error: OnError) -> Answers:
        with one_tree():
            return answers_of(self._local, table, on_error)


def check_sets(card: ModelCard) -> None:
    """:raises InvalidSetting: the model has no sets."""
    if card.sets is None:
        raise InvalidSetting(f"{card.name} has no prediction sets; train it with --coverage 0.9, or another share")


def sets_in(answers: Answers, classes: tuple[str, ...]) -> npt.NDArray[np.object_]:
    """The sets (n,) of answers, each the tuple of its classes; None of a row that was not answered."""
    sets = np.full(len(answers.answered), None, object)
    assert answers.members is not None
    for row in np.flatnonzero(answers.answered).tolist():
        sets[row] = named(answers.members[row], classes)
    return sets


def answers_of(model: Answering, table: Asked, on_error: OnError, refuse: Refuse | None = None) -> Answers:
    """What a model answers to the rows of a table; what is unusual is told as a warning to whoever called the caller.

    :param refuse: makes the exception of rows that cannot be answered, in place of `InvalidTable`.
    :raises EvenkeelError: the table lacks a feature, cannot be read, or has such rows, and `on_error` is not "null".
    """
    if on_error not in get_args(OnError):
        raise InvalidSetting(f"on_error should be 'stop' or 'null', not {str(on_error)[:64]!r}")
    kept = _Kept(len(model.card.classes), with_sets=model.card.sets is not None)
    run = Run(model, keep_going=on_error == "null", refuse=refuse)
    names = [feature.name for feature in model.card.features]
    with opened(table, stated_schema(model.card).file, names) as (path, blocks):
        check_features(path, blocks, model.card)
        run.answer(blocks, kept)
    for kind, sentence in run.said():
        warnings.warn(in_python(f"{kind}: {sentence}"), EvenkeelWarning, stacklevel=4)
    if run.unanswered:
        warnings.warn(run.unanswered, EvenkeelWarning, stacklevel=4)
    return kept.whole()


class _Kept:
    """Keeps the answers to blocks of rows, and nothing of the rows."""

    def __init__(self, classes: int, *, with_sets: bool) -> None:
        nothing: Array = np.empty((0, classes), np.float32)
        members = np.empty((0, classes), np.bool_) if with_sets else None
        self._answers = [Answers(np.empty(0, np.intp), nothing, np.empty(0, np.bool_), [], members)]

    def write(self, rows: ArrowTable, answers: Answers) -> None:
        self._answers.append(answers)

    def whole(self) -> Answers:
        some = self._answers
        members = [one.members for one in some if one.members is not None]
        return Answers(
            np.concatenate([one.labels for one in some]),
            np.concatenate([one.probabilities for one in some]),
            np.concatenate([one.answered for one in some]),
            [remark for one in some for remark in one.remarks],
            np.concatenate(members) if members else None,
        )


def load(
    name: str | None = None, *, version: int | None = None, repository: str | os.PathLike[str] | None = None
) -> Model:
    """A published model, to be asked in this process.

    :param name: needed only where the repository has several.
    :param version: the one that serves, where none is given.
    :param repository: its root folder or s3:// URL; EVENKEEL_REPOSITORY or models/store, where none is given.
    :raises EvenkeelError: there is no such model, it is not intact, or the extra `service` is not installed.
    :raises OSError: object storage refuses or does not answer, and no copy of the model is there from before.
    """
    with one_tree():
        return Model(local_model(repository_at(repository), name, version))


def repository_at(root: str | os.PathLike[str] | None) -> ModelRepository:
    """The repository with this root or at this URL, or the one that the environment names."""
    return opened_repository(root, os.environ)
