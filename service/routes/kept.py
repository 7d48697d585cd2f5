"""Documents that are the same for all clients: made once for the versions that they tell of, and kept with these."""

import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import NamedTuple

from service.prediction.predictor import Predictor

Reference = weakref.ref[Predictor]


class _Document(NamedTuple):
    """A document, and the versions that it was made of."""

    text: bytes
    versions: list[Reference | None]


class Kept:
    """Documents by name. One that is asked for again, for the same versions, is not made again; once a version is gone,
    what was made of it is too.
    """

    def __init__(self) -> None:
        self._documents: dict[Hashable, _Document] = {}
        # Requests for what is being made wait for it, and do not make it too.
        self._lock = threading.Lock()

    def get(self, name: Hashable, versions: Sequence[Predictor | None], make: Callable[[], bytes]) -> bytes:
        """The document of a name, which `make` makes of these versions, and of nothing else that may change."""
        with self._lock:
            known = self._documents.get(name)
            if known is not None and [each and each() for each in known.versions] == list(versions):
                return known.text
            text, forget = make(), partial(self._forget, name)
            references = [None if version is None else weakref.ref(version, forget) for version in versions]
            self._documents[name] = _Document(text, references)
            return text

    def _forget(self, name: Hashable, _: Reference) -> None:
        self._documents.pop(name, None)
