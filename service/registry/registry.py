"""The registry: the models that this process has loaded, following the repository."""

import logging
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from time import monotonic, sleep, time

from models.cache import Look
from models.errors import ModelError
from models.repository import ModelRepository
from models.serving import Serving
from service.errors import ModelNotFound, NoDefaultModel, NotReady
from service.prediction.choice import Choice
from service.prediction.predictor import Predictor
from service.registry.coordination import Coordination
from service.registry.loader import Loader
from service.registry.served import Served, alike, preferred, serving
from service.registry.trial import Trial

log = logging.getLogger(__name__)

VERSIONS = 4
# How long a request may go on with a version that was unloaded meanwhile, and not be the one that frees it.
RETIREMENT_SECONDS = 30.0
# How long a worker waits for its models while others serve, and how often it looks whether they are there.
JOIN_SECONDS, JOIN_LOOK_SECONDS = 10.0, 0.02


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
        last_look: Callable[[], Look] | None = None,
    ) -> None:
        """A `trial` is shared with the other workers of the service; without one this process is alone. Of a copy of
        object storage, `last_look` tells what was found there last.
        """
        self._repository = repository
        self._default = default_model
        self._most_versions = most_versions
        self._loader = Loader(repository, trial)
        self.coordination = trial.coordination if trial else Coordination.create()
        self._models: dict[str, Served] = {}
        self._chosen: dict[str, Serving] = {}
        # Why a model cannot be followed, or under None the repository as a whole, each logged once; and at this look.
        self._lost: dict[str | None, str] = {}
        self._lost_now: dict[str | None, str] = {}
        self._last_look = last_look
        self._look: Look | None = None
        self._unlike: set[tuple[str, int, int]] = set()
        self._retired: deque[tuple[float, Predictor]] = deque()
        self._looked_at = 0.0
        self._default_missing = False

    @property
    def ready(self) -> bool:
        """Whether the service is ready, the same in all workers: what serves of each published model is loaded, or
        cannot be. What is published later takes readiness from nobody.
        """
        return self.coordination.ready

    @property
    def looked_at(self) -> float:
        """When the last look at the repository has ended, in seconds of Unix time; 0 before the first."""
        return self._looked_at

    @property
    def listed_at(self) -> float | None:
        """When object storage was last listed, in Unix time; 0 until all was copied once; None of a folder."""
        return self._look.listed if self._look else None

    @property
    def due(self) -> float:
        """When to look again even if nothing changes, by the monotonic clock: something has failed for the moment."""
        return self._loader.due

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
        """Every version of a model that is loaded, refused or tried again, the highest first, and what for."""
        served = self._models[name]
        found: list[dict[str, str | int | float]] = []
        for predictor in served.versions.values():
            role = served.role(predictor)
            found.append({"version": predictor.version, "state": role})
            if role == "canary":
                found[-1]["share"] = served.default.share
        for state, reasons in (("refused", self.refused(name)), ("failed", self.failed(name))):
            found += [{"version": version, "state": state, "reason": why} for version, why in reasons.items()]
        return sorted(found, key=lambda one: int(one["version"]), reverse=True)

    @property
    def names(self) -> Sequence[str]:
        """The models of which a version is loaded, refused or tried again."""
        return sorted({*self._models, *self._loader.names, *(self._look.refused if self._look else ())})

    @property
    def default_name(self) -> str | None:
        """The model that answers where none is named: the one that was set, else the only one, if it is that."""
        return self._default or (next(iter(self._models)) if len(self._models) == 1 else None)

    def followed(self, name: str) -> bool:
        """Whether a model's folder and its serving.json could be read when they were last looked at."""
        return self.readable and name not in self._lost

    def refused(self, name: str) -> Mapping[int, str]:
        """The versions of a model that were refused as they are now, with the reasons, the highest first."""
        before = self._look.refused.get(name, {}) if self._look else {}
        return dict(sorted({**before, **self._loader.refused(name)}.items(), reverse=True))

    def failed(self, name: str) -> Mapping[int, str]:
        """The versions of a model that will be tried again, with what was in their way, the highest first."""
        return self._loader.failed(name)

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

    def file(self, predictor: Predictor, name: str) -> bytes | None:
        """A file that was published with a loaded version; None where there was none of that name.

        :raises ModelError: the version is gone, or the file is not as it was published.
        """
        return self._repository.file(predictor.card.name, predictor.version, name)

    def refresh(self, hurried: bool = False) -> None:
        """Follow the repository; `hurried` by trying nothing but what serves. What of it cannot be read, or is gone,
        changes nothing.
        """
        while self._retired and self._retired[0][0] < monotonic():
            self._retired.popleft()
        self._lost_now = {}
        try:
            names = self._repository.names()
            self._hear(names)
            self._follow_all(names, hurried)
        except OSError as error:
            self._cannot_follow(None, f"{self._repository.root}: {error.strerror or error}")
        else:
            self._lost = {name: reason for name, reason in self._lost.items() if name in self._lost_now}
        self._looked_at = time()

    def join(self) -> None:
        """Wait until this worker may let in requests: it can answer them, or no other can either. After a while it may
        anyway, for some wait at its socket, and it can tell them at least.
        """
        until = monotonic() + JOIN_SECONDS
        while not self.coordination.serving:
            if not self.coordination.others_serve:
                self.coordination.wait()
                return
            if monotonic() > until:
                log.error(
                    "this worker cannot load what the others serve; it answers 503 until it can",
                    extra={"worker": os.getpid()},
                )
                return
            sleep(JOIN_LOOK_SECONDS)

    def _hear(self, names: list[str]) -> None:
        """Take what was found in object storage, and say what was not said."""
        before = self._look.refused if self._look else {}
        self._look = self._last_look() if self._last_look else None
        if self._look and self._look.trouble:
            meanwhile = "what was copied serves on" if names else "it is tried again"
            self._cannot_follow(None, self._look.trouble, f"; {meanwhile}")
        elif None in self._lost:
            # What the metrics tell from then on stands in the log already.
            log.info("repository followed again")
            del self._lost[None]
        for name, reason in self._look.troubles.items() if self._look else ():
            self._cannot_follow(name, reason)
        for name, versions in self._look.refused.items() if self._look else ():
            for version in versions.keys() - before.get(name, {}).keys():
                log.error("model refused", extra={"model": name, "version": version, "reason": versions[version]})

    def _follow_all(self, names: list[str], hurried: bool) -> None:
        for gone in self._models.keys() - set(names):
            self._cannot_follow(gone, "the repository holds no version of it any more")
        self._look_for_default(names)
        # What needs no loading takes effect before anything is loaded, and what serves is loaded before the others.
        for name in names:
            self._choose(name)
        with self._loader.session():
            settled = self._settle_all(names)
            for name in names:
                self._guarded(partial(self._follow, only_known=hurried), name)
            if not settled:
                # What had failed may have been due, and loaded, since.
                self._settle_all(names)

    def _settle_all(self, names: Sequence[str]) -> bool:
        """Load what serves of each model, and serve from then on; whether nothing else is expected to do so soon."""
        settled = [self._guarded(self._settle, name) for name in names]
        if all(settled) and self._models and self.listed_at != 0:
            self.coordination.serve()
        return all(settled)

    def _default_name(self) -> str:
        if (name := self.default_name) is None:
            names = ", ".join(sorted(self._models))
            raise NoDefaultModel(f"several models are served ({names}): name one in /v1/models/{{model}}:predict")
        return name

    def _look_for_default(self, names: Sequence[str]) -> None:
        """Say once that the default model is not there."""
        missing = self._default is not None and self._default not in names
        if missing and not self._default_missing:
            log.warning(
                "the default model is not published: /predict answers 404 until it is",
                extra={"model": self._default, "published": ", ".join(names) or "nothing"},
            )
        self._default_missing = missing

    def _choose(self, name: str) -> None:
        """Read what somebody has chosen for a model. A choice that cannot be read leaves the last one."""
        try:
            chosen = self._repository.serving(name)
        except (ModelError, OSError) as error:
            self._cannot_follow(name, str(error) if isinstance(error, ModelError) else str(error.strerror))
            return
        if chosen != self._chosen.get(name, Serving()):
            self._chosen[name] = chosen
            if name in self._models:
                self._serve(name, self._models[name].versions, meanwhile=True)

    def _guarded(self, what: Callable[[str], bool], name: str) -> bool:
        """Do something for a model. One whose folder cannot be listed is told, skipped, and waited for by nobody."""
        try:
            return what(name)
        except OSError as error:
            self._cannot_follow(name, error.strerror or str(error))
            return True

    def _settle(self, name: str) -> bool:
        """Load what serves of a model, a canary too; whether no other version is expected to do so soon."""
        published = self._repository.versions(name)
        self._loader.forget(name, published)
        _, missing = self._find_serving(name, published)
        canary = self._chosen.get(name, Serving()).canary
        if canary is not None and canary.version in published and not self._load(name, canary.version):
            missing.add(canary.version)
        return not any(self._loader.awaited(name, version) for version in missing)

    def _follow(self, name: str, only_known: bool) -> bool:
        """Hold what serves of a model, the versions that are named, and the newest good ones."""
        published, chosen = self._repository.versions(name), self._chosen.get(name, Serving())
        good, _ = self._find_serving(name, published)
        good |= {one for one in chosen.named if one in published and self._load(name, one, only_known)}
        newest = (one for one in reversed(published) if self._load(name, one, only_known))
        good |= set(islice(newest, self._most_versions))
        if good:
            needed = {str(version) for version in (*good, *chosen.named)}
            self._serve(name, {one: loaded for one, loaded in self._models[name].versions.items() if one in needed})
        return True

    def _find_serving(self, name: str, published: list[int]) -> tuple[set[int], set[int]]:
        """The version that serves, where one can be loaded, and those that would serve in its place but cannot be."""
        missing: set[int] = set()
        for version in preferred(published, self._chosen.get(name, Serving())):
            if self._load(name, version):
                return {version}, missing
            missing.add(version)
        return set(), missing

    def _load(self, name: str, version: int, only_known: bool = False) -> bool:
        """Hold a version if it can be held."""
        versions = self._models[name].versions if name in self._models else {}
        before = versions.get(str(version))
        predictor = self._loader.load(name, version, before, only_known)
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

    def _cannot_follow(self, name: str | None, reason: str, meanwhile: str = "") -> None:
        """Say once that the repository, or a model in it, cannot be followed for now, and what happens meanwhile."""
        if name in self._lost_now:
            return
        self._lost_now[name] = reason
        if self._lost.get(name) != reason:
            self._lost[name] = reason
            log.error("repository not followed", extra={"model": name, "reason": reason + meanwhile})
