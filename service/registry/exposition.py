"""What the life of versions looks like in the metrics: who serves, what was refused, what shadows have shown."""

from collections.abc import Iterator, Mapping
from time import time

from service.registry.registry import Registry
from service.telemetry.board import SHADOW_COUNTS


def exposition(registry: Registry, shadowed: Mapping[str, float]) -> str:
    """Lines for Prometheus: of the answering worker's registry, and of all workers' shadows."""
    return "".join(f"{line}\n" for line in (*_registry(registry), *_shadows(shadowed)))


def _registry(registry: Registry) -> Iterator[str]:
    names = [predictor.card.name for predictor in registry.serving]
    yield from _head("repository_readable", "gauge", "Whether the repository could be read at the last look.")
    yield f"evenkeel_repository_readable {registry.readable:d}"
    yield from _head(
        "repository_last_look_seconds", "gauge", "When the last look at the repository has ended, Unix time."
    )
    yield f"evenkeel_repository_last_look_seconds {registry.looked_at:.3f}"
    yield from _head(
        "repository_listing_age_seconds", "gauge", "Seconds since object storage was listed; of a folder, nothing."
    )
    if registry.listed_at is not None:
        age = f"{time() - registry.listed_at:.3f}" if registry.listed_at else "+Inf"
        yield f"evenkeel_repository_listing_age_seconds {age}"
    yield from _head(
        "trials_total", "counter", "Trials of versions in all workers, by how they ended; failed ones are retried."
    )
    for result, trials in registry.coordination.counts.items():
        yield f'evenkeel_trials_total{{result="{result}"}} {trials}'
    yield from _head("model_followed", "gauge", "Whether a model and its serving.json could be read at the last look.")
    for name in names:
        yield f'evenkeel_model_followed{{model="{name}"}} {registry.followed(name):d}'
    yield from _head("versions_refused", "gauge", "Versions that were refused, as they are now.")
    for name in registry.names:
        yield f'evenkeel_versions_refused{{model="{name}"}} {len(registry.refused(name))}'
    yield from _head("versions_failed", "gauge", "Versions that failed for a passing reason, and will be tried again.")
    for name in registry.names:
        yield f'evenkeel_versions_failed{{model="{name}"}} {len(registry.failed(name))}'
    yield from _head("model_share", "gauge", "Share of the requests without a version that a version answers.")
    for name in names:
        choice = registry.choice(name)
        share = choice.share if choice.canary else 0.0
        yield f'evenkeel_model_share{{model="{name}",version="{choice.predictor.version}"}} {1 - share:g}'
        if choice.canary:
            yield f'evenkeel_model_share{{model="{name}",version="{choice.canary.version}"}} {share:g}'


def _shadows(shadowed: Mapping[str, float]) -> Iterator[str]:
    for what, sentence in SHADOW_COUNTS.items():
        yield from _head(f"shadow_{what}_total", "counter", sentence)
        yield f"evenkeel_shadow_{what}_total {shadowed[what]!r}"


def _head(name: str, kind: str, sentence: str) -> tuple[str, str]:
    return f"# HELP evenkeel_{name} {sentence}", f"# TYPE evenkeel_{name} {kind}"
