"""A running service asked from Python: tables in, classes and their probabilities out."""

import logging
import math
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import numpy as np

from evenkeel.client.connection import Connection
from evenkeel.client.labels import MOST_LABELS, ids_of, send_labels
from evenkeel.client.remote import RemoteModel
from evenkeel.errors import BadInput, ClientError, RowsRefused
from evenkeel.model.loaded import OnError, answers_of, check_sets, sets_in
from evenkeel.scoring.local import address_from_settings, api_key
from evenkeel.scoring.run import Reasons
from evenkeel.tables.given import Asked, one_tree
from evenkeel.tables.written import Answers
from models.card import ModelCard
from models.errors import EvenkeelError

# For so long the version that serves is taken to be the one that served.
FOLLOW_S = 1.0
MOST_DETAILS = 20
# What a feature of a kind takes, in the service's words.
RULES = {"numeric": "number", "date": "date", "categorical": "text"}

log = logging.getLogger("evenkeel")


class Client:
    """A service, asked over HTTP.

        with evenkeel.Client("http://127.0.0.1:8080", model="penguins") as client:
            labels = client.predict(frame)
            probabilities = client.predict_proba(frame)

    A table is a frame of pandas, polars or pyarrow, a list of records (dicts), or the path of a CSV, Parquet or
    workbook file. Its cells are read as those of the training table were, other columns are passed over. It is sent in
    batches of at most 4096 rows and a megabyte over one connection. Each call is answered by one version: the one that
    is named, or the one that serves when the call begins; a promotion is followed within a second.

    A service that is overloaded (429, 502, 503) is asked again when its `Retry-After` says so, one that stalls, dies or
    cuts the connection is connected to anew; the logger `evenkeel` is told. Only the first contact is not waited for.

    Nothing is sent before the first call. Threads may share a client, and then take turns; to send at the same time,
    give each thread its own. After a fork, make a new one. `with` closes the connection, as `close` does; the next call
    opens another.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        model: str | None = None,
        version: int | None = None,
        key: str | None = None,
        key_file: str | Path | None = None,
        patience: float = 60.0,
        deadline: float | None = None,
    ) -> None:
        """Settle whom to ask; nobody is asked yet.

        :param url: the address, as http://127.0.0.1:8080; else where EVENKEEL_HOST and EVENKEEL_PORT say.
        :param model: needed only where the service has several.
        :param version: one version, whatever serves.
        :param key: the API key; else what `key_file` holds; else EVENKEEL_API_KEY.
        :param patience: how long a batch may go without an answer, in seconds.
        :param deadline: how long a whole call may take, in seconds; else as long as there are answers.
        :raises BadInput: the address is none, the key is none, or a number is outside its range.
        """
        with _told_as_client_errors():
            key = api_key(None if key_file is None else Path(key_file), key)
            url = address_from_settings() if url is None else url
            self._service = Connection(url, key, patience, log.warning)
        if deadline is not None and not deadline > 0:
            raise BadInput(f"a deadline of {deadline:g} seconds has passed; say more than 0", "invalid_setting")
        self._name, self._number, self._deadline = model, version, deadline or math.inf
        self._model: RemoteModel | None = None
        self._asked = -math.inf
        self._turn = threading.Lock()
        self._ids: list[str | None] = []
        # Of a client that is used once, in one line.
        weakref.finalize(self, self._service.close)

    def predict(self, table: Asked, *, on_error: OnError = "stop") -> Any:
        """The class of each row, by the model's threshold where it has one.

        :param on_error: as for `predict_proba`, None in place of NaN.
        :return: of a pandas frame a Series with the frame's index, named as the training target; of all else a numpy
            array of texts (n,).
        :raises ClientError: as `predict_proba`.
        """
        answers, card = self._answers(table, on_error)
        labels = np.array([*card.classes, None], object)[np.where(answers.answered, answers.labels, -1)]
        if (index := _index_of(table)) is None:
            return labels
        from pandas import Series

        return Series(labels, index, name=card.provenance.target)

    def predict_proba(self, table: Asked, *, on_error: OnError = "stop") -> Any:
        """The probability of each class for each row; what is unusual in a row is told as an `EvenkeelWarning`.

        :param on_error: at a row that cannot be answered "stop", or "null": answer it with NaN, and warn.
        :return: of a pandas frame a frame with its index, and a column for each class by its name; of all else a numpy
            array (n, classes) of float32, in the order of `card().classes`.
        :raises BadInput: the table cannot be read, lacks a feature, or several models are served and none is named.
        :raises RowsRefused: a row breaks the card; `details` have `instance`, `feature`, `rule`, `message`.
        :raises KeyRefused: the service asks for another API key.
        :raises NotServed: it has no such model or version.
        :raises RefusedByService: it refuses for another reason.
        :raises Unreachable: it does not answer, or refuses for longer than the patience.
        """
        answers, card = self._answers(table, on_error)
        probabilities = np.where(answers.answered[:, None], answers.probabilities, np.float32(np.nan))
        if (index := _index_of(table)) is None:
            return probabilities
        from pandas import DataFrame

        return DataFrame(probabilities, index, list(card.classes))

    def predict_set(self, table: Asked, *, on_error: OnError = "stop") -> Any:
        """The classes, a tuple, of the prediction set of each row, of a model that was trained with a coverage.

        :param on_error: as for `predict_proba`, None in place of NaN.
        :return: of a pandas frame a Series with the frame's index; of all else a numpy array of tuples (n,).
        :raises BadInput: as `predict_proba`, or the model has no sets.
        :raises ClientError: as `predict_proba`.
        """
        answers, card = self._answers(table, on_error, with_sets=True)
        sets = sets_in(answers, card.classes)
        if (index := _index_of(table)) is None:
            return sets
        from pandas import Series

        return Series(sets, index, name="set")

    @property
    def ids(self) -> list[str | None]:
        """Of each row of the last call, what `feedback` knows it by; None of one that was not answered."""
        return list(self._ids)

    def feedback(self, ids: Iterable[str | None], labels: Iterable[Any]) -> dict[str, int]:
        """Tell what was right, whenever that is known: the service then knows how good its answers are.

            client.predict(frame)
            client.feedback(client.ids, frame["species"])

        :param ids: of answered rows, each as `ids` has it, or the X-Request-Id of an answer to one row.
        :param labels: the true class of each. Pairs without an id or without a label (None, NaN) are passed over.
        :return: how many were `counted`, `corrected` (another label came before), `repeated` and `unknown`.
        :raises BadInput: there are not as many labels as ids.
        :raises ClientError: a label is no class, and none of its batch is taken; the service remembers no answers,
            refuses, or does not answer.
        """
        try:
            pairs = [(one, label) for one, label in zip(ids, labels, strict=True) if one is not None and _known(label)]
        except ValueError:
            raise BadInput("there should be a label for each id, None where there is none", "invalid_setting") from None
        totals = dict.fromkeys(("counted", "corrected", "repeated", "unknown"), 0)
        with self._turn, self._call():
            for start in range(0, len(pairs), MOST_LABELS):
                told = send_labels(self._service, pairs[start : start + MOST_LABELS])
                for result in totals:
                    totals[result] += told[result]
        return totals

    def card(self) -> ModelCard:
        """The card of the version that answers: features, classes, metrics.

        :raises ClientError: as `predict_proba`.
        """
        with self._turn, self._call():
            return self._answering().card

    def models(self) -> list[dict[str, Any]]:
        """What is served, as `GET /v1/models` lists it: `name`, `version`, `classes`, `features` of each model.

        :raises ClientError: the service refuses, or does not answer.
        """
        with self._turn, self._call():
            document = self._service.document("/v1/models")
        try:
            return list(document["models"])
        except (KeyError, TypeError):
            raise self._service.stranger() from None

    def ready(self, seconds: float = 5.0) -> bool:
        """Whether the service, or the model if one is named, can be asked now: one attempt of so many seconds."""
        path = "/v2/health/ready"
        if self._name is not None:
            version = f"/versions/{self._number}" if self._number else ""
            path = f"/v2/models/{quote(self._name, safe='')}{version}/ready"
        with self._turn:
            return self._service.answers(path, seconds)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        with self._turn:
            self._service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _call(self) -> Iterator[None]:
        """One call, with its deadline."""
        self._service.ends = time.monotonic() + self._deadline
        with _told_as_client_errors():
            yield

    def _answering(self) -> RemoteModel:
        """The version that answers; nobody is asked again for one that is named, or was found within the second."""
        now = time.monotonic()
        if self._model is None or (self._number is None and now - self._asked > FOLLOW_S):
            found = RemoteModel(self._service, self._name, self._number)
            # The one before has found out how much the service takes.
            if self._model is None or (self._model.version, self._model.card) != (found.version, found.card):
                self._model = found
            self._asked = now
        return self._model

    def _answers(self, table: Asked, on_error: OnError, *, with_sets: bool = False) -> tuple[Answers, ModelCard]:
        with self._turn, self._call():
            model = self._answering()
            if with_sets:
                check_sets(model.card)
            model.sent.clear()
            answers = answers_of(model, table, on_error, _Refusal(model))
            self._ids = ids_of(model.sent, answers.answered.tolist())
            return answers, model.card


class _Refusal:
    """Makes the exception of rows that a model does not answer, as the service words it."""

    def __init__(self, model: RemoteModel) -> None:
        self._model = model

    def __call__(self, sentence: str, first: int, reasons: Reasons) -> RowsRefused:
        """`first` is the place in the table of the first row of the block that `reasons` are about."""
        kinds = {feature.name: RULES[feature.kind] for feature in self._model.card.features}
        details = [
            {"instance": first + row, "feature": name, "rule": kinds.get(name, "shape"), "message": why}
            for row, (name, why) in sorted(reasons.items())[:MOST_DETAILS]
        ]
        for error in self._model.refused.values():
            details[0]["rule"] = error.code
            return RowsRefused(sentence, error.code, error.status, details, error.request_id)
        return RowsRefused(sentence, "invalid_record", details=details)


def _known(label: Any) -> bool:
    """Whether there is a label: NaN is none, and is not even itself; of pandas' NA nobody can say."""
    try:
        return label is not None and bool(label == label)
    except TypeError:
        return False


def _index_of(table: Any) -> Any:
    """The index of a frame of pandas, None of any other table."""
    return table.index if type(table).__module__.partition(".")[0] == "pandas" else None


@contextmanager
def _told_as_client_errors() -> Iterator[None]:
    """Let what is refused here, and not by the service, be an error of a client."""
    try:
        with one_tree():
            yield
    except ClientError:
        raise
    except EvenkeelError as error:
        raise BadInput(str(error), error.code) from None
