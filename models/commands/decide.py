"""Deciding what serves: `promote`, `rollback`, `canary`, `shadow` and `prune`.

Each changes serving.json, or removes versions; a running service follows within moments.
"""

import argparse
from collections.abc import Callable

from models.commands.look import roles
from models.errors import UnknownModel
from models.serving import Canary, Serving
from models.store import Store
from models.terminal import noting


def promote(repository: Store, options: argparse.Namespace) -> None:
    """Pin a version; or none, so that the newest serves."""
    _change(repository, options.name, lambda chosen: chosen.promoted(options.version), options.version)


def rollback(repository: Store, options: argparse.Namespace) -> None:
    """Pin the intact version before the one that serves."""

    def back(chosen: Serving) -> Serving:
        serving = repository.serving_version(options.name)
        for version in reversed(repository.versions(options.name)):
            if version < serving and repository.intact(options.name, version):
                return chosen.promoted(version)
        raise UnknownModel(f"'{options.name}' has no intact version before {serving}, which serves")

    _change(repository, options.name, back)


def canary(repository: Store, options: argparse.Namespace) -> None:
    """Let a version answer a share of the requests. What serves is pinned: the canary must not become it by its age."""

    def share(chosen: Serving) -> Serving:
        if options.off:
            return chosen.model_copy(update={"canary": None})
        serving = _other_than(repository, options)
        canary = Canary(version=options.version, share=options.share)
        return chosen.model_copy(update={"version": serving, "canary": canary})

    _change(repository, options.name, share, options.version)


def shadow(repository: Store, options: argparse.Namespace) -> None:
    """Let a version be asked what the serving one is asked, and only compare their answers."""

    def ask(chosen: Serving) -> Serving:
        if not options.off:
            _other_than(repository, options)
        return chosen.model_copy(update={"shadow": options.version})

    _change(repository, options.name, ask, options.version)


def _other_than(repository: Store, options: argparse.Namespace) -> int:
    """The version that serves, which the one that is asked for must not be."""
    serving = repository.serving_version(options.name)
    if options.version == serving:
        raise UnknownModel(f"version {serving} of '{options.name}' already serves; promote another one first")
    return serving


def prune(repository: Store, options: argparse.Namespace) -> None:
    """Remove old versions that nothing needs."""
    removed, kept = repository.prune(options.name, options.keep)
    said = f"{options.name}: {_words(removed)} removed; {_words(kept)} kept"
    with noting(said):
        print(said)


def _words(versions: list[int]) -> str:
    return ", ".join(map(str, versions)) if versions else "nothing"


def _change(repository: Store, name: str, change: Callable[[Serving], Serving], asked_for: int | None = None) -> None:
    """Make a change, and say in a sentence what serves now."""
    said = ""

    def worded(before: Serving) -> Serving:
        # Before anything is written: what cannot be read must not make a change look refused that was made.
        nonlocal said
        after = change(before)
        now = roles(after, after.version or repository.highest_intact(name))
        said = "; ".join(f"version {version} is {role}" for version, role in now.items())
        return after

    chosen = repository.change_serving(name, worded, asked_for)
    said = f"{name}: {said}{'' if chosen.version else ', and a newer one will be once it is published'}"
    with noting(said):
        print(said)
