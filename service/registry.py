"""The registry: the models that this process has loaded, following the repository."""

import logging
import threading
from collections.abc import Sequence

from models.errors import ModelError
from models.repository import ModelRepository
from service.errors import ModelNotFound, NoDefaultModel, NotReady
from service.predictor import Predictor

log = logging.getLogger(__name__)


class Registry:
    """Loaded models by name. A new version replaces the old one in a single assignment, and only once it has proven
    itself; one that is refused is remembered, and the last good one goes on answering.
    """

    def __init__(self, repository: ModelRepository, default_model: str | None = None) -> None:
        self._repository = repository
        self._default = default_model
        self._predictors: dict[str, Predictor] = {}
        self._refused: set[tuple[str, int]] = set()
        self._unreadable = False

    @property
    def ready(self) -> bool:
        return bool(self._predictors)

    @property
    def predictors(self) -> Sequence[Predictor]:
        """What is loaded, by name."""
        return [predictor for _, predictor in sorted(self._predictors.items())]

    def predictor(self, name: str | None = None, version: str | None = None) -> Predictor:
        """Find a loaded model; without a name, the default one.

        :raises NotReady: nothing is loaded yet.
        :raises NoDefaultModel: several models are loaded and none is the default.
        :raises ModelNotFound: no such model, or no such version of it, is loaded.
        """
        if not self._predictors:
            raise NotReady("no model is loaded yet; the service will be ready once one is published")
        if name is None:
            name = self._default_name()
        predictor = self._predictors.get(name)
        if predictor is None or (version is not None and version != str(predictor.version)):
            raise ModelNotFound(f"no such model is served; GET /v1/models lists {', '.join(sorted(self._predictors))}")
        return predictor

    def refresh(self) -> None:
        """Load what the repository has newly published. A repository that cannot be read changes nothing."""
        try:
            names = self._repository.names()
        except OSError as error:
            if not self._unreadable:
                log.warning("repository unreadable", extra={"reason": error.strerror})
            self._unreadable = True
            return
        self._unreadable = False
        for name in names:
            self._load_newest(name)

    def _default_name(self) -> str:
        if self._default is not None:
            return self._default
        if len(self._predictors) > 1:
            names = ", ".join(sorted(self._predictors))
            raise NoDefaultModel(f"several models are served ({names}): name one in /v1/models/{{model}}:predict")
        return next(iter(self._predictors))

    def _load_newest(self, name: str) -> None:
        """Load the highest version that is newer than the loaded one and proves itself."""
        loaded = self._predictors[name].version if name in self._predictors else 0
        for version in reversed(self._repository.versions(name)):
            if version <= loaded:
                return
            if (name, version) in self._refused:
                continue
            try:
                predictor = Predictor(self._repository.read(name, version))
            except ModelError as error:
                self._refused.add((name, version))
                log.error("model refused", extra={"model": name, "version": version, "reason": str(error)})
                continue
            self._predictors = {**self._predictors, name: predictor}
            log.info("model loaded", extra={"model": name, "version": version})
            return


def follow(registry: Registry, poll_seconds: float) -> None:
    """Keep a registry up to date from a thread of its own, for as long as the process lives."""

    def look() -> None:
        pause = threading.Event()
        while not pause.wait(poll_seconds):
            try:
                registry.refresh()
            except Exception:  # The thread must outlive whatever a broken repository throws at it.
                log.exception("repository check failed")

    threading.Thread(target=look, name="repository", daemon=True).start()
