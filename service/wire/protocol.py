"""What every wire format gives to the exchange: a way to read a question, and questions that word their own answer."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from service.predictor import Predictor
from service.wire.document import JSON
from service.wire.rows import Tensors
from service.wire.wording import Probabilities


class Answer(NamedTuple):
    """The body of a 200, its type, and headers of its own."""

    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Question(Protocol):
    """A request that was read and checked."""

    @property
    def tensors(self) -> Tensors: ...

    def answer(self, probabilities: Probabilities) -> Answer:
        """Word the answer, `probabilities` being (n, classes) for the n rows of `tensors`."""


@dataclass(frozen=True)
class WireFormat:
    """One way to ask. `route` is its name in metrics, `media` are the content types that it reads."""

    route: str
    media: Set[str]
    read: Callable[[Predictor, bytes, dict[str, Any]], Question]
