"""A repository in object storage, for whoever reads folders: each model is copied into the cache when it is asked for.

What is written goes into the bucket, and into the cache from there.
"""

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from models import variables
from models.bucket import BucketRepository
from models.bundle import Bundle
from models.cache import default_folder, root_of
from models.card import ModelCard
from models.errors import EvenkeelWarning
from models.following import MEGABYTES, Follower
from models.objects import is_url
from models.repository import DEFAULT_ROOT, ModelRepository
from models.seal import CARD, sealed
from models.serving import Serving
from models.terminal import sentence_of
from models.variables import CACHE, CACHE_MEGABYTES, REPOSITORY

Say = Callable[[str], None]
T = TypeVar("T")


def warn(sentence: str) -> None:
    """Say something of the repository to whoever uses it from Python."""
    warnings.warn(sentence, EvenkeelWarning, stacklevel=2)


def opened(place: str | os.PathLike[str] | None, environment: Mapping[str, str], say: Say = warn) -> ModelRepository:
    """The repository at a path or a URL; without one, the one that EVENKEEL_REPOSITORY names, or `models/store`.

    :param say: gets a sentence where object storage does not answer, and what was copied before is taken.
    :raises InvalidName: it is a URL that cannot be used, or a variable is wrong, which the sentence names.
    """
    where = os.fspath(place or variables.read(environment, REPOSITORY, variables.repository) or DEFAULT_ROOT)
    if not is_url(where):
        return ModelRepository(Path(where))
    megabytes = variables.read(environment, CACHE_MEGABYTES, variables.megabytes) or MEGABYTES
    folder = variables.read(environment, CACHE, variables.folder) or default_folder()
    return RemoteModels(where, folder, megabytes << 20, say)


class RemoteModels(ModelRepository):
    """Models in object storage. `root` is the cache."""

    def __init__(self, url: str, folder: Path, most_bytes: int, say: Say = warn) -> None:
        """Ask for nothing yet.

        :raises InvalidName: the URL, or the library for it, is not to be used.
        :raises OSError: the folder of caches cannot be used.
        """
        super().__init__(root_of(folder, url))
        self._bucket, self._follower, self._say = BucketRepository(url), Follower(url, folder, most_bytes), say
        self._fresh: set[str] = set()

    @property
    def place(self) -> str:
        return self._bucket.place

    def names(self) -> list[str]:
        """The models with at least one version; sorted.

        :raises OSError: the storage cannot be read, and nothing was copied before.
        """
        try:
            return self._bucket.names()
        except OSError as error:
            return self._instead(error, self._follower.models.names())

    def publish(self, card: ModelCard, files: Mapping[str, bytes], *, hold: bool = False) -> int:
        """Publish the next version of `card.name` in the bucket; what is said of a folder holds."""
        data = sealed(card, files)
        bundle = Bundle(ModelCard.model_validate_json(data), 1, {**files, CARD: data})
        return self.add(bundle, renumber=True, hold=hold)[0]

    def check_writable(self, name: str) -> None:
        """Ask the bucket, and leave nothing in it."""
        self._bucket.check_writable(name)

    def add(self, bundle: Bundle, *, renumber: bool = False, hold: bool = False) -> tuple[int, bool]:
        """Publish in the bucket what was published elsewhere."""
        self._fresh.discard(bundle.card.name)
        return self._bucket.add(bundle, renumber=renumber, hold=hold)

    def change_serving(self, name: str, change: Callable[[Serving], Serving], asked_for: int | None = None) -> Serving:
        """Decide what serves, in the bucket."""
        self._fresh.discard(name)
        return self._bucket.change_serving(name, change, asked_for)

    def prune(self, name: str, keep: int) -> tuple[list[int], list[int]]:
        """Remove old versions from the bucket."""
        self._fresh.discard(name)
        return self._bucket.prune(name, keep)

    def _folder(self, name: str) -> Path:
        """The folder of a model, as it is in the bucket now."""
        folder = super()._folder(name)
        if name not in self._fresh:
            self._fresh.add(name)
            try:
                self._follower.refresh(name)
            except OSError as error:
                self._instead(error, self._follower.models.versions(name))
        return folder

    def _instead(self, error: OSError, copied: list[T]) -> list[T]:
        """What was copied before, which is said; or the error, where that is nothing."""
        if not copied:
            raise error
        self._say(f"{sentence_of(error)}; what was copied before is taken")
        return copied
