"""The loader: what of a repository can be loaded, each version tried once for each state of its files."""

import logging
import os
import re
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from time import monotonic
from typing import Any, NamedTuple

from models.errors import ModelError, UnreadableModel
from models.files import LASTING
from models.repository import ModelRepository
from service.prediction.predictor import Predictor
from service.registry.checks import load
from service.registry.trial import PassingFailure, Trial, back_off

log = logging.getLogger(__name__)

Key = tuple[str, int]
# Words with a slash, but for the system's own "Input/output error".
PATH = re.compile(r"(?<!\S)(?!Input/output)\S*/\S*")
# What has failed for the moment so often is waited for no longer: the service is ready without it.
AWAITED_TRIES = 3
# A failure of this process alone costs no trial, so it is tried again soon.
LONGEST_PAUSE_SECONDS = 5.0
# In place of a state, where the system does not tell it for the moment.
UNSEEN = ""


class Failure(NamedTuple):
    """A version that could not be loaded for the moment, its files being in a state."""

    state: str
    reason: str
    tries: int
    due: float


class Loader:
    """Loads versions, and remembers what it has refused, and why.

    A refused version is tried again once its files change: so one that is copied slowly is taken when it is whole. What
    has failed for a reason that has nothing to do with the version is tried again after a while, and after a longer one
    each time. Without a `trial` versions are loaded in this process at once, by the same checks.
    """

    def __init__(self, repository: ModelRepository, trial: Trial | None) -> None:
        self._repository = repository
        self._trial = trial
        self._refused: dict[Key, tuple[str, str]] = {}
        self._failed: dict[Key, Failure] = {}
        # Of what is loaded, the state of its files and the digest of its card.
        self._loaded: dict[Key, tuple[str, str]] = {}
        # What was logged of a version last: that it was refused, or why it has failed.
        self._logged: dict[Key, str] = {}
        self._known: tuple[dict[Key, Any], ...] = (self._refused, self._failed, self._logged)

    def session(self) -> AbstractContextManager[Trial | None]:
        """Within this, all versions share one process to be tried in."""
        return self._trial or nullcontext()

    @property
    def names(self) -> set[str]:
        """The models of which a version was refused, or has failed."""
        return {name for name, _ in (*self._refused, *self._failed)}

    @property
    def due(self) -> float:
        """When what has failed is to be tried again, by the monotonic clock; infinite where nothing has."""
        return min((failure.due for failure in list(self._failed.values())), default=float("inf"))

    def refused(self, name: str) -> dict[int, str]:
        """The versions of a model that were refused as they are now, with the reasons, the highest first."""
        found = {version: reason for (model, version), (_, reason) in list(self._refused.items()) if model == name}
        return dict(sorted(found.items(), reverse=True))

    def failed(self, name: str) -> dict[int, str]:
        """The versions of a model that will be tried again, with what was in their way, the highest first."""
        found = {version: one.reason for (model, version), one in list(self._failed.items()) if model == name}
        return dict(sorted(found.items(), reverse=True))

    def awaited(self, name: str, version: int) -> bool:
        """Whether a version is expected to be loaded soon."""
        failure = self._failed.get((name, version))
        return failure is not None and failure.tries < AWAITED_TRIES

    def forget(self, name: str, published: list[int]) -> None:
        """Remember nothing of a version that is gone."""
        for known in self._known:
            for key in [key for key in known if key[0] == name and key[1] not in published]:
                del known[key]

    def load(self, name: str, version: int, loaded: Predictor | None, only_known: bool = False) -> Predictor | None:
        """Load a version that is not loaded, or whose files have become others; `only_known` if it was tried already.

        :returns: the new predictor, or `loaded` where nothing has changed or what has changed cannot be loaded.
        """
        key, state = (name, version), self._state(name, version)
        before, digest = self._loaded.get(key, (UNSEEN, "")) if loaded else (UNSEEN, "")
        if self._is_settled(key, state) or (only_known and not self._is_known(key, state)):
            return loaded
        try:
            if state == UNSEEN:
                raise PassingFailure("its folder cannot be looked at")
            if state != before and (loaded is None or self._repository.digest(name, version) != digest):
                loaded, digest = self._load(name, version, state)
                log.info("model loaded", extra={"model": name, "version": version})
        except PassingFailure as error:
            self._fail(key, state, error)
            return loaded
        except (UnreadableModel, OSError) as error:
            self._fail(key, state, PassingFailure(_sentence(error)))
            return loaded
        except ModelError as error:
            self._refuse(key, state, PATH.sub("…", str(error)))
            return loaded
        for known in self._known:
            known.pop(key, None)
        self._loaded[key] = state, digest
        return loaded

    def _is_settled(self, key: Key, state: str) -> bool:
        """Whether there is nothing to be done for now."""
        failure = self._failed.get(key)
        waits = failure is not None and failure.state == state and monotonic() < failure.due
        return waits or (key in self._refused and self._refused[key][0] == state)

    def _is_known(self, key: Key, state: str) -> bool:
        """Whether another worker has tried a version."""
        return self._trial is not None and self._trial.knows(*key, state)

    def _load(self, name: str, version: int, state: str) -> tuple[Predictor, str]:
        if self._trial is None:
            return load(self._repository, name, version)
        digest = self._trial.check(name, version, state)
        try:
            return load(self._repository, name, version, digest)
        except Exception as error:
            # The model is good: what is in the way here is memory, descriptors or the disk, or its files have become
            # others, which their state will tell.
            raise PassingFailure(_sentence(error)) from error

    def _refuse(self, key: Key, state: str, reason: str) -> None:
        self._failed.pop(key, None)
        self._refused[key] = state, reason
        if self._logged.get(key) != "refused":
            self._logged[key] = "refused"
            log.error("model refused", extra={"model": key[0], "version": key[1], "reason": reason})

    def _fail(self, key: Key, state: str, error: PassingFailure) -> None:
        before = self._failed.get(key)
        tries = error.tries or (before.tries if before is not None and before.state == state else 0) + 1
        due = error.due or monotonic() + min(back_off(tries), LONGEST_PAUSE_SECONDS)
        reason = PATH.sub("…", str(error))
        self._refused.pop(key, None)
        self._failed[key] = Failure(state, reason, tries, due)
        if self._logged.get(key) != reason:
            self._logged[key] = reason
            log.warning(
                "model not loaded yet, it will be tried again",
                extra={"model": key[0], "version": key[1], "reason": reason},
            )

    def _state(self, name: str, version: int) -> str:
        """What tells one state of a version's files from another, the same to all processes of a machine.

        Of the times of a file it takes the one that nobody can set. What is not there, or not to be looked at, is a
        state too.
        """
        try:
            with os.scandir(self._repository.root / name / str(version)) as entries:
                found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError as error:
            return str(error.strerror) if error.errno in LASTING else UNSEEN
        files = sorted((file, status.st_ctime_ns, status.st_size, status.st_ino) for file, status in found)
        return blake2b(repr(files).encode(), digest_size=16).hexdigest()


def _sentence(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
