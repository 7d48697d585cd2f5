"""What the use case and the rooms around it know of each other: formats, questions, answers, and what they may take."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from service.document import JSON
from service.prediction.explain import MOST_WORK
from service.prediction.predictor import RUN_SECONDS, Predictor
from service.prediction.sets import Members
from service.rows.tensors import Probabilities, Tensors


class Answer(NamedTuple):
    """The body of a 200, its type, and headers of its own."""

    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Question(Protocol):
    """A request that was read and checked."""

    @property
    def tensors(self) -> Tensors: ...

    @property
    def work(self) -> float:
        """What its explanations may take, as `Explainer` reckons it; 0 where it asks for none."""

    @property
    def places(self) -> Sequence[int] | None:
        """Which row of the request each row of `tensors` is; None where all of them are there."""

    def answer(self, probabilities: Probabilities, members: Members | None = None) -> Answer:
        """The answer, `probabilities` being (n, classes) for the n rows of `tensors`; where the model has sets,
        `members` (n, classes) says which classes are in each.
        """


class Memory(Protocol):
    """What one request may take of the memory that all requests in flight share."""

    def take(self, more: int) -> None:
        """Count `more` bytes.

        :raises Overloaded: together with all others in flight that is too much.
        :raises BodyTooLarge: for one request alone that is too much.
        """


class Allowance(NamedTuple):
    """What a request may come to: rows, bytes of the answer, memory while it is read and answered, seconds of the
    model's runs; whether what is no feature is passed over where the request does not say; and work of explanations.
    """

    rows: int
    answer_bytes: int
    memory: Memory
    seconds: float = RUN_SECONDS
    ignore_extras: bool = False
    work: float = MOST_WORK


@dataclass(frozen=True)
class WireFormat:
    """One way to ask. `media` are the content types that it reads. One that `explains` asks why answers are as they are
    and not for answers: its rows are no traffic, of which drift and shadows are told.
    """

    media: Set[str]
    read: Callable[[Predictor, bytes, dict[str, Any], Allowance], Question]
    explains: bool = False
