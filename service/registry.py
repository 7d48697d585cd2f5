"""The registry: the models that this process has loaded, following the repository."""

import logging
import threading
from collections.abc import Sequence

from models.errors import ModelError
from models.repository import ModelRepository
from service.errors import ModelNotFound, NoDefaultModel, NotReady
from service.predictor import Predictor

log = logging.getLogger(__name__)

VERSIONS = 4


class Registry:
    """Loaded versions by model: of each the newest good ones, at most `most_versions`, the newest of them serving.

    What is loaded changes in a single assignment. A version that is refused is remembered, and the last good one of a
    model is never unloaded.
    """

    def __init__(
        self, repository: ModelRepository, default_model: str | None = None, most_versions: int = VERSIONS
    ) -> None:
        self._repository = repository
        self._default = default_model
        self._most_versions = most_versions
        # By name; the versions as texts, as they stand in a URL, the newest first.
        self._models: dict[str, dict[str, Predictor]] = {}
        self._refused: set[tuple[str, int]] = set()
        self._unreadable = False

    @property
    def ready(self) -> bool:
        return bool(self._models)

    @property
    def predictors(self) -> Sequence[Predictor]:
        """All that is loaded, by name, the newest version first."""
        return [predictor for _, versions in sorted(self._models.items()) for predictor in versions.values()]

    @property
    def newest(self) -> Sequence[Predictor]:
        """What serves: the newest version of each model, by name."""
        return [next(iter(versions.values())) for _, versions in sorted(self._models.items())]

    def versions(self, name: str) -> list[int]:
        """The loaded versions of a model, the newest first."""
        return [predictor.version for predictor in self._models.get(name, {}).values()]

    def predictor(self, name: str | None = None, version: str | None = None) -> Predictor:
        """Find a loaded version: without a name, of the default model; without a version, the newest.

        :raises NotReady: nothing is loaded yet.
        :raises NoDefaultModel: several models are loaded and none is the default.
        :raises ModelNotFound: no such model, or no such version of it, is loaded.
        """
        models = self._models
        if not models:
            raise NotReady("no model is loaded yet; the service will be ready once one is published")
        versions = models.get(self._default_name() if name is None else name)
        if versions is None:
            raise ModelNotFound(f"no such model is served; GET /v1/models lists {', '.join(sorted(models))}")
        if version is None:
            return next(iter(versions.values()))
        if version not in versions:
            raise ModelNotFound(f"no such version is served; those of this model are {', '.join(versions)}")
        return versions[version]

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
            self._follow(name)

    def _default_name(self) -> str:
        if self._default is not None:
            return self._default
        if len(self._models) > 1:
            names = ", ".join(sorted(self._models))
            raise NoDefaultModel(f"several models are served ({names}): name one in /v1/models/{{model}}:predict")
        return next(iter(self._models))

    def _follow(self, name: str) -> None:
        """Hold the newest published versions that prove themselves, each ready as soon as it is loaded."""
        loaded = self._models.get(name, {})
        wanted: list[str] = []
        for version in reversed(self._repository.versions(name)):
            if len(wanted) == self._most_versions:
                break
            if str(version) not in loaded:
                predictor = self._load(name, version)
                if predictor is None:
                    continue
                loaded = _newest_first(loaded | {str(version): predictor})
                self._models = self._models | {name: loaded}
            wanted.append(str(version))
        if wanted and loaded.keys() != set(wanted):
            self._models = self._models | {name: {version: loaded[version] for version in wanted}}
            for gone in loaded.keys() - set(wanted):
                log.info("model unloaded", extra={"model": name, "version": int(gone)})

    def _load(self, name: str, version: int) -> Predictor | None:
        if (name, version) in self._refused:
            return None
        try:
            predictor = Predictor(self._repository.read(name, version))
        except ModelError as error:
            self._refused.add((name, version))
            log.error("model refused", extra={"model": name, "version": version, "reason": str(error)})
            return None
        log.info("model loaded", extra={"model": name, "version": version})
        return predictor


def _newest_first(versions: dict[str, Predictor]) -> dict[str, Predictor]:
    return dict(sorted(versions.items(), key=lambda item: item[1].version, reverse=True))


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
