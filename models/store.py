"""What can be asked of a model repository, wherever it lies: in a folder, or in object storage."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from models.bundle import Bundle
from models.card import ModelCard
from models.errors import CorruptModel, UnknownModel
from models.serving import Serving

# A refusal names so many of the models or versions that there are.
MOST_NAMED = 8


class Store(ABC):
    """Published models. ModelRepository has the promises of each method."""

    @property
    @abstractmethod
    def place(self) -> Path | str:
        """Where it is, as somebody types it."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether it is there; a repository is made by the first publish."""

    @abstractmethod
    def names(self) -> list[str]: ...

    @abstractmethod
    def versions(self, name: str) -> list[int]: ...

    @abstractmethod
    def serving(self, name: str) -> Serving: ...

    @abstractmethod
    def card(self, name: str, version: int) -> ModelCard: ...

    @abstractmethod
    def digest(self, name: str, version: int) -> str: ...

    @abstractmethod
    def bundle(self, name: str, version: int) -> Bundle: ...

    @abstractmethod
    def holds(self, name: str, version: int, digest: str) -> bool: ...

    @abstractmethod
    def add(self, bundle: Bundle, *, renumber: bool = False, hold: bool = False) -> tuple[int, bool]: ...

    @abstractmethod
    def change_serving(
        self, name: str, change: Callable[[Serving], Serving], asked_for: int | None = None
    ) -> Serving: ...

    @abstractmethod
    def prune(self, name: str, keep: int) -> tuple[list[int], list[int]]: ...

    def serving_version(self, name: str) -> int:
        """The version that a service should answer with: the one that is pinned, else the highest intact one.

        :raises UnknownModel: the model has no such version.
        :raises CorruptModel: serving.json cannot be read.
        """
        return self.serving(name).version or self.highest_intact(name)

    def unknown(self, name: str, version: int | None = None) -> UnknownModel:
        """The refusal of a model, or of a version of one, that is not here; it names those that are."""
        if version is not None and (versions := self.versions(name)):
            newest = versions[-MOST_NAMED:]
            there = f"newest are {', '.join(map(str, newest))}" if len(newest) > 1 else f"only one is {newest[0]}"
            return UnknownModel(f"the repository {self.place} holds no version {version} of '{name}'; its {there}")
        try:
            names = self.names()
        except OSError:  # Of the folder that is not there, for one.
            names = []
        there = f"it holds {', '.join(names[:MOST_NAMED])}" if names else "it is empty"
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        return UnknownModel(f"the repository {self.place} holds no model '{name}'; {there}{more}")

    def highest_intact(self, name: str) -> int:
        """The highest version whose files are as they were published.

        :raises UnknownModel: the model has none.
        """
        if not (versions := self.versions(name)):
            raise self.unknown(name)
        for version in reversed(versions):
            if self.intact(name, version):
                return version
        raise UnknownModel(f"no version of '{name}' in the repository {self.place} is intact")

    def intact(self, name: str, version: int) -> bool:
        """Whether every file of a version is as it was published."""
        try:
            self.bundle(name, version)
        except (CorruptModel, UnknownModel):
            return False
        return True

    def kept(self, name: str, keep: int) -> tuple[list[int], list[int]]:
        """Which versions may go, and which stay: the `keep` newest, and those that serve in some way."""
        versions = self.versions(name)
        needed = {*versions[-keep:], *self.serving(name).named, self.serving_version(name)}
        removed = [version for version in versions if version not in needed]
        return removed, [version for version in versions if version in needed]
