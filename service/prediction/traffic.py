"""What is told of rows that were answered: to drift, to feedback, which waits for labels, and to the prediction log."""

from collections.abc import Sequence
from typing import Protocol

from service.prediction.predictor import Predictor
from service.prediction.protocol import Question
from service.rows.tensors import Probabilities, Tensors, row_count
from service.telemetry.drift import MOST_ROWS, Drift, Watch
from service.telemetry.feedback import Feedback
from service.telemetry.journal import Journal

# The places of most requests.
ALONE = range(1)


class Asked(Protocol):
    """A request: its id, what it asks, and whether that counts."""

    @property
    def request_id(self) -> str: ...

    @property
    def question(self) -> Question: ...

    @property
    def counts(self) -> bool: ...


class Traffic:
    """Tells all who want to know. What goes wrong with it costs no answer."""

    def __init__(self, drift: Drift, feedback: Feedback, journal: Journal) -> None:
        self._drift, self._feedback, self._journal = drift, feedback, journal

    def answered(
        self, predictor: Predictor, requests: Sequence[Asked], together: Tensors, probabilities: Probabilities
    ) -> None:
        """Requests that arrived together were answered by one run, whose tensors were `together`; all of them count, or
        none does, which only the log is told of.
        """
        watch = predictor.watch
        if watch is not None and requests[0].counts:
            try:
                if self._drift.on:
                    if len(requests) == 1 or len(probabilities) <= MOST_ROWS:
                        self._drift.count(watch, together, probabilities)
                    else:
                        self._count_each(watch, requests, probabilities)
                if self._feedback.on:
                    if len(requests) == 1:
                        (one,) = requests
                        self._feedback.remember(watch, one.request_id, probabilities, one.question.places)
                    else:
                        self._remember_each(watch, requests, probabilities)
            except Exception as error:
                self._drift.fail(watch, error)
        if self._journal.on:
            places = [(one.request_id, _places(one.question)) for one in requests]
            self._journal.predictions(predictor.origin, places, together, probabilities)

    def finish(self) -> None:
        """Leave to other processes what is to be counted and remembered yet."""
        if self._drift.on:
            self._drift.fold()
        if self._feedback.on:
            self._feedback.fold()

    def _count_each(self, watch: Watch, requests: Sequence[Asked], probabilities: Probabilities) -> None:
        """Count rows for drift, the same whatever they came with: of each request by itself."""
        start = 0
        for one in requests:
            end = start + row_count(one.question.tensors)
            self._drift.count(watch, one.question.tensors, probabilities[start:end], runs=int(start == 0))
            start = end

    def _remember_each(self, watch: Watch, requests: Sequence[Asked], probabilities: Probabilities) -> None:
        """Let labels find the answers later."""
        start = 0
        for one in requests:
            end = start + row_count(one.question.tensors)
            self._feedback.remember(watch, one.request_id, probabilities[start:end], one.question.places)
            start = end


def _places(question: Question) -> Sequence[int]:
    """The places in their request of the rows that were answered."""
    if question.places is not None:
        return question.places
    rows = row_count(question.tensors)
    return ALONE if rows == 1 else range(rows)
