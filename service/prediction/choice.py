"""Which loaded version answers a request."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from service.prediction.cost import Cost
from service.prediction.predictor import Predictor

HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that answers a request, and the one that is asked besides. Where `version` was named there is nothing
    to choose.
    """

    predictor: Predictor
    canary: Predictor | None = None
    share: float = 0.0
    shadow: Predictor | None = None

    @property
    def cost(self) -> Cost:
        """What a request costs at most, whoever of them answers."""
        return self.predictor.cost if self.canary is None else self.predictor.cost.or_of(self.canary.cost)

    def by_key(self, key: bytes) -> Predictor:
        """The canary for its share of all keys, else the version that serves.

        The same key always chooses the same, in every process; a larger share takes more keys, and gives none back.
        """
        if self.canary is None:
            return self.predictor
        # Another canary takes other keys, so that the same clients do not try out everything.
        digest = blake2b(key, digest_size=HASH_BYTES, salt=self.canary.version.to_bytes(16)).digest()
        return self.canary if int.from_bytes(digest) < self.share * 256**HASH_BYTES else self.predictor


class Models(Protocol):
    """The models that can be asked: the registry, as the use case knows it."""

    def choice(self, name: str | None = None, version: str | None = None) -> Choice:
        """The choice for a model, without a name for the default one; without a version the one that serves.

        :raises ServiceError: there is none.
        """
