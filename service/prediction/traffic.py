"""What is told of rows that were answered: to drift, to feedback, which waits for labels, and to the prediction log."""

from collections.abc import Sequence

from service.prediction.predictor import Predictor
from service.prediction.protocol import Question
from service.rows.tensors import Probabilities, Tensors, row_count
from service.telemetry.drift import MOST_ROWS, Drift
from service.telemetry.feedback import Feedback
from service.telemetry.journal import Journal

# A request: its id, and what it asks.
Asked = tuple[str, Question]


class Traffic:
    """Tells all who want to know. What goes wrong with it costs no answer."""

    def __init__(self, drift: Drift, feedback: Feedback, journal: Journal) -> None:
        self._drift, self._feedback, self._journal = drift, feedback, journal

    def answered(
        self, predictor: Predictor, requests: Sequence[Asked], together: Tensors, probabilities: Probabilities
    ) -> None:
        """Requests that arrived together were answered by one run, whose tensors were `together`."""
        if predictor.watch is not None and self._drift.on:
            self._count(predictor, requests, together, probabilities)
        if predictor.watch is not None and self._feedback.on:
            self._remember(predictor, requests, probabilities)
        if self._journal.on:
            places = [(request_id, _places(question)) for request_id, question in requests]
            self._journal.predictions(predictor.origin, places, together, probabilities)

    def _count(
        self, predictor: Predictor, requests: Sequence[Asked], together: Tensors, probabilities: Probabilities
    ) -> None:
        """Count rows for drift, the same whatever they came with."""
        assert predictor.watch is not None
        parts = [together]
        if len(probabilities) > MOST_ROWS:
            parts = [question.tensors for _, question in requests]
        try:
            start = 0
            for part in parts:
                end = start + row_count(part)
                self._drift.count(predictor.watch, part, probabilities[start:end], runs=int(start == 0))
                start = end
        except Exception as error:
            self._drift.fail(predictor.watch, error)

    def _remember(self, predictor: Predictor, requests: Sequence[Asked], probabilities: Probabilities) -> None:
        """Let labels find the answers later."""
        assert predictor.watch is not None
        try:
            start = 0
            for request_id, question in requests:
                end = start + row_count(question.tensors)
                self._feedback.remember(predictor.watch, request_id, probabilities[start:end], question.places)
                start = end
        except Exception as error:
            self._drift.fail(predictor.watch, error)


def _places(question: Question) -> Sequence[int]:
    """The places in their request of the rows that were answered."""
    return range(row_count(question.tensors)) if question.places is None else question.places
