"""The loader: what of a repository can be loaded, each version tried once for each state of its files."""

import logging
import os
import re
from contextlib import AbstractContextManager, nullcontext

from models.errors import ModelError
from models.repository import ModelRepository
from service.prediction.predictor import Predictor
from service.registry.checks import load
from service.registry.trial import Trial

log = logging.getLogger(__name__)

Key = tuple[str, int]
# Of each file of a version: its name, and what tells one state of it from another. Of the times it takes the one that
# nobody can set.
State = tuple[tuple[str, int, int, int], ...]
PATH = re.compile(r"\S*/\S*")


class Loader:
    """Loads versions, and remembers what it has refused, and why.

    A refused version is tried again once its files change: so one that is copied slowly is taken when it is whole.
    Without a `trial` versions are loaded in this process at once, by the same checks.
    """

    def __init__(self, repository: ModelRepository, trial: Trial | None) -> None:
        self._repository = repository
        self._trial = trial
        self._refused: dict[Key, tuple[State, str]] = {}
        self._loaded: dict[Key, tuple[State, str]] = {}
        self._logged: set[Key] = set()

    def session(self) -> AbstractContextManager[Trial | None]:
        """Within this, all versions share one process to be tried in."""
        return self._trial or nullcontext()

    @property
    def names(self) -> set[str]:
        """The models of which a version was refused."""
        return {name for name, _ in list(self._refused)}

    def refused(self, name: str) -> dict[int, str]:
        """The versions of a model that were refused as they are now, with the reasons, the highest first."""
        found = {version: reason for (model, version), (_, reason) in list(self._refused.items()) if model == name}
        return dict(sorted(found.items(), reverse=True))

    def forget(self, name: str, published: list[int]) -> None:
        """Remember no refusal of a version that is gone."""
        gone = {key for key in self._refused if key[0] == name and key[1] not in published}
        self._refused = {key: refusal for key, refusal in self._refused.items() if key not in gone}
        self._logged -= gone

    def load(self, name: str, version: int, loaded: Predictor | None) -> Predictor | None:
        """Load a version that is not loaded, or whose files have become others.

        :returns: the new predictor, or `loaded` where nothing has changed or what has changed is refused.
        """
        key, state = (name, version), self._state(name, version)
        before, digest = self._loaded.get(key, (None, None)) if loaded else (None, None)
        if state == self._refused.get(key, (None, ""))[0]:
            return loaded
        try:
            if state != before and (loaded is None or self._repository.digest(name, version) != digest):
                tried = self._trial.check(name, version) if self._trial else None
                loaded, digest = load(self._repository, name, version, tried)
                log.info("model loaded", extra={"model": name, "version": version})
        except (ModelError, OSError) as error:
            self._refuse(key, state, PATH.sub("…", str(error)))
            return loaded
        self._refused.pop(key, None)
        self._logged.discard(key)
        self._loaded[key] = state, digest or ""
        return loaded

    def _refuse(self, key: Key, state: State, reason: str) -> None:
        self._refused[key] = state, reason
        if key not in self._logged:
            self._logged.add(key)
            log.error("model refused", extra={"model": key[0], "version": key[1], "reason": reason})

    def _state(self, name: str, version: int) -> State:
        """Nothing where it cannot be looked at."""
        try:
            with os.scandir(self._repository.root / name / str(version)) as entries:
                found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError:
            return ()
        return tuple(sorted((file, status.st_ctime_ns, status.st_size, status.st_ino) for file, status in found))
