"""All versions of one repository in another, and which of them serve: a backup, the way back, a cache that follows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from models.errors import ModelError
from models.store import Store


class Mirror:
    """Copies what is new, and removes nothing. `say` gets a sentence for all that is done."""

    def __init__(self, source: Store, target: Store, say: Callable[[str], None]) -> None:
        self._source, self._target, self._say = source, target, say
        # Published versions never change: what was found in the target is not asked for again.
        self._done: set[tuple[str, int]] = set()
        self._refused: list[str] = []

    def copy(self) -> list[str]:
        """Copy once; return a sentence for each version, or choice, that could not be.

        :raises OSError: one of the two cannot be read or written; what was copied by then is whole.
        """
        self._refused = []
        for name in self._source.names():
            with self._passed_over():
                self._copy_model(name)
        return self._refused

    @contextmanager
    def _passed_over(self) -> Iterator[None]:
        try:
            yield
        except ModelError as error:
            self._refused.append(str(error))

    def _copy_model(self, name: str) -> None:
        """What serves goes first, and the choice of it behind it, so that no other version serves meanwhile."""
        chosen = self._source.serving(name)
        versions = self._source.versions(name)[::-1]
        first = [version for version in versions if version in chosen.named]
        self._copy_versions(name, first)
        with self._passed_over():
            if chosen != self._target.serving(name):
                self._target.change_serving(name, lambda _: chosen)
                self._say(f"{name}: serving.json copied to {self._target.place}")
        self._copy_versions(name, [version for version in versions if version not in first])

    def _copy_versions(self, name: str, versions: list[int]) -> None:
        for version in versions:
            if (name, version) not in self._done:
                with self._passed_over():
                    self._copy_version(name, version)
                    self._done.add((name, version))

    def _copy_version(self, name: str, version: int) -> None:
        if self._target.holds(name, version, self._source.digest(name, version)):
            self._say(f"{name} {version}: is already in {self._target.place}")
            return
        self._target.add(self._source.bundle(name, version))
        self._say(f"{name} {version}: published in {self._target.place}")
