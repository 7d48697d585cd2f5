"""The end of a search: the best settings refitted from several first weights, and published once."""

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from models.card import ModelCard, SearchSummary
from models.errors import CorruptModel
from models.repository import ModelRepository
from models.terminal import noting
from trainer.errors import Diverged
from trainer.fitting.members import Watch, unwatched
from trainer.job.job import run
from trainer.job.publishing import Outcome
from trainer.search import space
from trainer.search.claims import CLOSING, holding
from trainer.search.plan import Trial, Trials, ranked
from trainer.search.search import Search
from trainer.search.trial import train
from trainer.settings.config import TrainingConfig
from trainer.training.records import Epoch


def best_of(trials: Trials) -> Trial:
    """The best trial.

    :raises Diverged: no trial came to a result.
    """
    if trials and (best := ranked(list(trials.values()))[0]).ending != "diverged":
        return best
    raise Diverged("no trial came to a result; --space with lower learning rates may help")


def publish(
    search: Search,
    repository: ModelRepository,
    seeds: int,
    watch: Callable[[int], Watch] = lambda seed: unwatched,
    *,
    with_report: bool = True,
) -> Outcome | None:
    """Refit the best settings and publish them, unless another machine has done so after as many trials.

    Of `seeds` refits the best is published; it alone is held against the test rows. A bag, which has several members
    anyway, is trained once.

    :raises TrainerError: nothing was published; the sentence says why.
    :raises OSError: the repository cannot be written.
    """
    with holding(search.claims, CLOSING):
        trials = search.finished()
        if search.study.published.get("trials", 0) >= len(trials):
            return None
        best = best_of(trials)
        if version := _published(repository, search.config.name, _summary(search, trials, best, [])):
            search.study.note_published(version, len(trials))
            return None
        configs = [_refit(search, best, seed) for seed in range(seeds if search.table.members == 1 else 1)]
        refits = [_log_loss(search, config, watch(seed)) for seed, config in enumerate(configs) if len(configs) > 1]
        chosen = configs[refits.index(min(refits))] if refits else configs[0]
        summary = _summary(search, trials, best, refits)

        def annotate(card: ModelCard) -> ModelCard:
            return card.model_copy(update={"search": summary})

        jobs = None if search.request.jobs > 1 else 1
        outcome = run(
            chosen, repository, watch(seeds), jobs=jobs, resume=True, annotate=annotate, with_report=with_report
        )
        with noting(outcome.fact):
            search.study.note_published(outcome.version, len(trials))
        return outcome


def _published(repository: ModelRepository, name: str, summary: SearchSummary) -> int | None:
    """The newest version, if this very search made it and was killed before it could note that down."""
    for version in repository.versions(name)[-1:]:
        with suppress(CorruptModel):
            made = repository.card(name, version).search
            if made and _but_refits(made) == _but_refits(summary):
                return version
    return None


def _but_refits(summary: SearchSummary) -> dict[str, Any]:
    return summary.model_dump(mode="json", exclude={"refits"})


def settings_of(search: Search, trial: Trial) -> dict[str, Any]:
    """What `fit` would be given to train a trial again."""
    return {"selection": False, **search.request.given, **space.settings(trial.values)}


def leading(search: Search, trials: Trials, published: Outcome | None = None) -> TrainingConfig:
    """The settings of the first on the leaderboard, with the first weights of what was `published`, if it was."""
    settings = settings_of(search, ranked(list(trials.values()))[0])
    if published:
        settings["restart"] = published.card.provenance.settings["restart"]
    return TrainingConfig.of(**settings)


def _refit(search: Search, best: Trial, seed: int) -> TrainingConfig:
    return TrainingConfig.of(**{**settings_of(search, best), "restart": search.config.restart + seed})


def _log_loss(search: Search, config: TrainingConfig, watch: Watch) -> float:
    def look(epoch: Epoch) -> None:
        watch(0, 1, epoch)

    try:
        return train(config, search.table.rows(config), look).log_loss
    except Diverged:
        return math.inf


def _summary(search: Search, trials: Trials, best: Trial, refits: list[float]) -> SearchSummary:
    endings = [trial.ending for trial in trials.values()]
    return SearchSummary(
        study=search.request.place.name,
        sampler=search.plan.sampler,
        trials=len(trials),
        stopped=endings.count("stopped"),
        diverged=endings.count("diverged"),
        trial=best.index,
        validation_log_loss=min(best.log_losses),
        refits=tuple(loss for loss in refits if math.isfinite(loss)),
        space={name: asdict(axis) for name, axis in sorted(search.plan.box.items())},
    )
