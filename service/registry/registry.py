"""The registry: the models that this process has loaded, following the repository."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from time import monotonic

from models.errors import ModelError
from models.repository import ModelRepository
from models.serving import Serving
from service.errors import ModelNotFound, NoDefaultModel, NotReady
from service.prediction.choice import Choice
from service.prediction.predictor import Predictor
from service.registry.loader import Loader
from service.registry.served import Served, alike, serving
from service.registry.trial import Trial

log = logging.getLogger(__name__)

VERSIONS = 4
# How long a request may go on with a version that was unloaded meanwhile, and not be the one that frees it.
RETIREMENT_SECONDS = 30.0


class Registry:
    """Loaded versions by model: those that serving.json names, and the newest good ones, at most `most_versions`.

    What is loaded and who serves changes in a single assignment. The last good version of a model is never unloaded.
    """

    def __init__(
        self,
        repository: ModelRepository,
        default_model: str | None = None,
        most_versions: int = VERSIONS,
        trial: Trial | None = None,
    ) -> None:
        self._repository = repository
        self._default = default_model
        self._most_versions = most_versions
        self._loader = Loader(repository, trial)
        self._models: dict[str, Served] = {}
        self._chosen: dict[str, Serving] = {}
        # Why a model cannot be followed, or under None the repository as a whole; each was logged once.
        self._lost: dict[str | None, str] = {}
        self._unlike: set[tuple[str, int, int]] = set()
        self._retired: deque[tuple[float, Predictor]] = deque()

    @property
    def ready(self) -> bool:
        return bool(self._models)

    @property
    def readable(self) -> bool:
        """Whether the repository could be read when it was last looked at."""
        return None not in self._lost

    @property
    def predictors(self) -> Sequence[Predictor]:
        """All that is loaded, by name, the newest version first."""
        return [predictor for _, served in sorted(self._models.items()) for predictor in served.versions.values()]

    @property
    def serving(self) -> Sequence[Predictor]:
        """Who serves for each model, by name."""
        return [served.default.predictor for _, served in sorted(self._models.items())]

    def lifecycle(self, name: str) -> list[dict[str, str | int | float]]:
        """Every version of a model that is loaded or refused, the highest first, and what it is there for."""
        served = self._models[name]
        found: list[dict[str, str | int | float]] = []
        for predictor in served.versions.values():
            role = served.role(predictor)
            found.append({"version": predictor.version, "state": role})
            if role == "canary":
                found[-1]["share"] = served.default.share
        found += [
            {"version": version, "state": "refused", "reason": why} for version, why in self.refused(name).items()
        ]
        return sorted(found, key=lambda one: int(one["version"]), reverse=True)

    @property
    def names(self) -> Sequence[str]:
        """The models of which a version is loaded or refused."""
        return sorted({*self._models, *self._loader.names})

    def followed(self, name: str) -> bool:
        """Whether a model's folder and its serving.json could be read when they were last looked at."""
        return self.readable and name not in self._lost

    def refused(self, name: str) -> Mapping[int, str]:
        """The versions of a model that were refused as they are now, with the reasons, the highest first."""
        return self._loader.refused(name)

    def versions(self, name: str) -> list[int]:
        """The loaded versions of a model, the newest first."""
        return [one.version for one in self._models[name].versions.values()] if name in self._models else []

    def choice(self, name: str | None = None, version: str | None = None) -> Choice:
        """Who answers for a model, without a name for the default one; without a version whoever serves.

        :raises NotReady: nothing is loaded yet.
        :raises NoDefaultModel: several models are loaded and none is the default.
        :raises ModelNotFound: no such model, or no such version of it, is loaded.
        """
        models = self._models
        if not models:
            raise NotReady("no model is loaded yet; the service will be ready once one is published")
        served = models.get(self._default_name() if name is None else name)
        if served is None:
            raise ModelNotFound(f"no such model is served; GET /v1/models lists {', '.join(sorted(models))}")
        choice = served.choices.get(version)
        if choice is None:
            those = ", ".join(served.versions)
            raise ModelNotFound(f"no such version is served; those of this model are {those}")
        return choice

    def predictor(self, name: str | None = None, version: str | None = None) -> Predictor:
        """Find a loaded version; it raises what `choice` raises."""
        return self.choice(name, version).predictor

    def refresh(self) -> None:
        """Follow the repository. What of it cannot be read, or is gone, changes nothing."""
        while self._retired and self._retired[0][0] < monotonic():
            self._retired.popleft()
        try:
            names = self._repository.names()
        except OSError as error:
            self._cannot_follow(None, error.strerror or str(error))
            return
        self._lost.pop(None, None)
        for gone in self._models.keys() - set(names):
            self._cannot_follow(gone, "the repository holds no version of it any more")
        # What needs no loading takes effect before anything is loaded.
        for name in names:
            self._choose(name)
        with self._loader.session():
            for name in names:
                with suppress(OSError):  # Told above, where it lasts.
                    self._follow(name)

    def _default_name(self) -> str:
        if self._default is not None:
            return self._default
        if len(self._models) > 1:
            names = ", ".join(sorted(self._models))
            raise NoDefaultModel(f"several models are served ({names}): name one in /v1/models/{{model}}:predict")
        return next(iter(self._models))

    def _choose(self, name: str) -> None:
        """Read what somebody has chosen for a model. A choice that cannot be read leaves the last one."""
        try:
            chosen = self._repository.serving(name)
        except (ModelError, OSError) as error:
            self._cannot_follow(name, str(error) if isinstance(error, ModelError) else str(error.strerror))
            return
        self._lost.pop(name, None)
        if chosen != self._chosen.get(name, Serving()):
            self._chosen[name] = chosen
            if name in self._models:
                self._serve(name, self._models[name].versions, meanwhile=True)

    def _follow(self, name: str) -> None:
        """Hold the versions that are named and the newest good ones, each ready as soon as it is loaded."""
        published = self._repository.versions(name)
        self._loader.forget(name, published)
        chosen = self._chosen.get(name, Serving())
        good = {version for version in chosen.named if version in published and self._load(name, version)}
        pin = chosen.version
        if pin is not None and pin not in good:
            # Somebody wanted nothing newer to serve.
            good |= set(islice((one for one in reversed(published) if one < pin and self._load(name, one)), 1))
        good |= set(islice((one for one in reversed(published) if self._load(name, one)), self._most_versions))
        if good:
            needed = {str(version) for version in (*good, *chosen.named)}
            self._serve(name, {one: loaded for one, loaded in self._models[name].versions.items() if one in needed})

    def _load(self, name: str, version: int) -> bool:
        """Hold a version if it can be held."""
        versions = self._models[name].versions if name in self._models else {}
        before = versions.get(str(version))
        predictor = self._loader.load(name, version, before)
        if predictor is not None and predictor is not before:
            self._serve(name, {**versions, str(version): predictor}, meanwhile=True)
        return predictor is not None

    def _serve(self, name: str, loaded: Mapping[str, Predictor], *, meanwhile: bool = False) -> None:
        """Let these versions be served from this moment on, in the roles that were chosen for them.

        `meanwhile` the pinned one may still be loaded, and whoever served until now goes on.
        """
        chosen, before = self._chosen.get(name, Serving()), self._models.get(name)
        predictor = serving(loaded, chosen, before.default.predictor if before and meanwhile else None)
        canary = self._companion(loaded, predictor, chosen.canary.version if chosen.canary else None)
        shadow = self._companion(loaded, predictor, chosen.shadow)
        now = Served.of(loaded, Choice(predictor, canary, chosen.canary.share if chosen.canary else 0.0, shadow))
        if before is not None and (now.versions, now.default) == (before.versions, before.default):
            return
        self._models = self._models | {name: now}
        if before is None or before.default != now.default:
            roles = {now.role(one): one.version for one in (predictor, canary, shadow) if one}
            log.info("model served", extra={"model": name, **roles})
        for version, gone in before.versions.items() if before else ():
            if now.versions.get(version) is not gone:
                self._retired.append((monotonic() + RETIREMENT_SECONDS, gone))
                log.info("model unloaded", extra={"model": name, "version": gone.version})

    def _companion(
        self, loaded: Mapping[str, Predictor], predictor: Predictor, version: int | None
    ) -> Predictor | None:
        """The version that is asked instead of, or besides, the one that serves; None where it cannot be."""
        companion = loaded.get(str(version))
        if companion is None or companion is predictor:
            return None
        if alike(companion, predictor):
            return companion
        pair = predictor.card.name, companion.version, predictor.version
        if pair not in self._unlike:
            self._unlike.add(pair)
            log.error(
                "neither canary nor shadow: its features or classes are not those of the version that serves",
                extra={"model": pair[0], "version": pair[1], "serving": pair[2]},
            )
        return None

    def _cannot_follow(self, name: str | None, reason: str) -> None:
        """Say once that the repository, or a model in it, cannot be followed for the time being."""
        if self._lost.get(name) != reason:
            self._lost[name] = reason
            log.error("repository not followed", extra={"model": name, "reason": reason})
