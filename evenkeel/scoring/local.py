"""Answers of a published model to many rows, by the service's own predictor: the file that is served is the one asked.

The only module of this package that knows the service.
"""

import math
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel.errors import UnfitRow
from models.card import ModelCard
from models.errors import CorruptModel, ModelError
from models.extras import way_to
from models.features import Record
from models.repository import ModelRepository, PublishedModel
from trainer.arrays import Array
from trainer.data.rows import Rows
from trainer.errors import InvalidSetting, MissingExtra

ROWS_AT_ONCE = 4096
# Of a run; nobody waits for it as a client of the service does.
SECONDS = 3600.0
API_KEY = "EVENKEEL_API_KEY"


def answers(model: PublishedModel, rows: Rows) -> Array:
    """Class probabilities (n, classes) of rows with the features of the model, in the order of its card.

    :raises CorruptModel: the model does not answer with probabilities.
    :raises ModelError: the service refuses the model; the sentence says why.
    :raises MissingExtra: the libraries of the service are not installed.
    """
    local = LocalModel(model)
    parts = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows.take(np.arange(start, min(start + ROWS_AT_ONCE, len(rows))))
        tensors = {"numeric": some.numeric, "categorical": some.texts()}
        parts.append(local.answer({name: tensor for name, tensor in tensors.items() if tensor.shape[1]})[0])
    return np.concatenate(parts)


class LocalModel:
    """A model of the repository, asked without a service."""

    in_process = True

    def __init__(self, model: PublishedModel) -> None:
        """Load a model and make it repeat its golden rows.

        :raises ModelError: the service refuses the model; the sentence says why.
        :raises MissingExtra: the libraries of the service are not installed.
        """
        if not find_spec("onnxruntime"):
            raise MissingExtra(f"a published model is asked with onnxruntime: {way_to('service')}")
        # Here, so that whoever only reads tables need not have them.
        from service.errors import InvalidAnswer
        from service.prediction.predictor import Predictor

        self.card: ModelCard = model.card
        self.version: int = model.version
        self._predictor, self._unfit = Predictor(model), InvalidAnswer

    def answer(self, tensors: dict[str, Any]) -> tuple[Array, dict[int, str]]:
        """Class probabilities (n, classes) of rows, and, of rows that the model would not take, why: there are none.

        :raises CorruptModel: the model does not answer with probabilities.
        """
        try:
            return self._predictor.predict(tensors, SECONDS), {}
        except self._unfit as error:
            raise CorruptModel(f"{self.card.name} version {self.version}: {error}") from None

    def answer_records(self, records: Sequence[Record]) -> Array:
        """Class probabilities (n, classes) of records that keep to the card."""
        answers: Array = self._predictor.predict(self._predictor.rows.read(records).tensors, SECONDS)
        return answers

    def explain(self, row: Any, reference: Any = None) -> dict[str, Any]:
        """What the service would answer to a request to explain a row, however long that takes.

        :raises UnfitRow: the row, or the reference, breaks the card.
        :raises CorruptModel: the model does not answer with probabilities.
        """
        from service.document import decode, encode
        from service.errors import ServiceError
        from service.prediction.prediction import UNBOUNDED
        from service.prediction.protocol import Allowance
        from service.wire.explanations import read

        asked = {"instance": row} | ({} if reference is None else {"reference": reference})
        boundless = Allowance(rows=1, answer_bytes=sys.maxsize, memory=UNBOUNDED, seconds=SECONDS, work=math.inf)
        try:
            question = read(self._predictor, encode(asked), {}, boundless)
            answer: dict[str, Any] = decode(question.answer(self._predictor.predict(question.tensors, SECONDS)).body)
        except self._unfit as error:
            raise CorruptModel(f"{self.card.name} version {self.version}: {error}") from None
        except ServiceError as error:
            raise UnfitRow(str(error)) from None
        return answer


def parsed(text: str, what: str) -> Any:
    """The value that a JSON text of the command line stands for.

    :raises InvalidSetting: it is not JSON.
    """
    from service.document import decode
    from service.errors import ServiceError

    try:
        return decode(text.encode(errors="surrogateescape"))
    except ServiceError as error:
        raise InvalidSetting(str(error).replace("the body", what, 1)) from None


def local_model(repository: ModelRepository, name: str | None, version: int | None) -> LocalModel:
    """A model of a repository: its only one, unless one is named; the version that serves, unless one is given.

    :raises ModelError: there is none, or it is not intact.
    :raises InvalidSetting: there are several.
    """
    if name is None:
        try:
            names = repository.names()
        except OSError as error:
            where = f"{repository.place} ({error.strerror})"
            raise ModelError(f"there is no repository {where}; say --repository with another folder") from None
        if len(names) != 1:
            held = f"holds {', '.join(names)[:400]}" if names else "holds no model"
            raise InvalidSetting(f"say --model and a name: the repository {repository.place} {held}")
        (name,) = names
    return LocalModel(repository.read(name, version or repository.serving_version(name)))


def decision_of(card: ModelCard) -> Callable[[Any], list[int]]:
    """Which place among the classes each row (n, classes) of probabilities is taken for, as the service decides it."""
    from service.prediction.decision import decision

    return decision(card)


def sets_of(card: ModelCard) -> Callable[[Any], Any] | None:
    """Which classes (n, classes) are in the sets of rows by their probabilities; None of a model without sets."""
    from service.prediction import sets

    return sets.sets_of(card)


def address_from_settings() -> str:
    """Where a service with these settings, EVENKEEL_HOST and EVENKEEL_PORT, is reached from this machine.

    :raises InvalidSetting: one is outside its range.
    """
    from service import errors
    from service.kinds import UNIX
    from service.settings import Settings

    try:
        settings = Settings.from_environment(os.environ)
    except errors.InvalidSetting as error:
        raise InvalidSetting(str(error)) from None
    if settings.host.startswith(UNIX):
        raise InvalidSetting(
            f"EVENKEEL_HOST is a Unix socket, {settings.host[:64]}: name the address of the proxy in front of it, as "
            "--url http://127.0.0.1"
        )
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    host = everywhere.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def api_key(file: Path | None, given: str | None = None) -> str | None:
    """The key to send: one that a program gives, what a file holds, or the environment. No flag of a command takes it,
    for others could read it there.

    :raises InvalidSetting: what should be a key is none.
    :raises OSError: the file cannot be read.
    """
    from service.access import KEY, KEY_RULE

    where, key = "the argument key", given
    if key is None and file is not None:
        where, key = str(file), file.read_text(errors="replace").strip()
    elif key is None:
        where, key = API_KEY, os.environ.get(API_KEY) or None
    if key is not None and not KEY.fullmatch(key):
        raise InvalidSetting(f"{where} should hold an API key and nothing else: {KEY_RULE}")
    return key
