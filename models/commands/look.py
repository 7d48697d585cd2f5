"""Looking into the repository: `list`, `show` and `verify`."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from models import terminal
from models.card import ModelCard
from models.cells import shortest_date, spelled_code
from models.errors import CorruptModel, ModelError
from models.features import Feature
from models.serving import Serving
from models.store import Store
from models.terminal import LONGEST_SENTENCE, label, print_json, room, spelled_out, wrapped
from models.wording import evaluation_lines, selection_line, sets_line


def list_models(repository: Store, _: argparse.Namespace) -> None:
    """Print a line a version.

    :raises OSError: the folder of a model cannot be read; the versions of all others are printed.
    """
    names = _names(repository)
    if not names:
        print(f"No models in {repository.place} yet; `evenkeel fit` publishes one.")
        return
    rows = [("MODEL", "VERSION", "CREATED", "CLASSES", "TEST ACCURACY", "")]
    unreadable = Unreadable()
    for name in names:
        with unreadable.passed_over():
            does = _roles(repository, name)
            rows += [
                (name, str(version), *_columns(repository, name, version), does.get(version, ""))
                for version in repository.versions(name)
            ]
    if len(rows) > 1:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    unreadable.refuse()


class Unreadable:
    """The models whose folders cannot be read: passed over, and named in the end."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    @contextmanager
    def passed_over(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.sentences.append(f"{error.filename}: {error.strerror}")

    def refuse(self) -> None:
        if self.sentences:
            raise OSError("; ".join(self.sentences))


def _roles(repository: Store, name: str) -> dict[int, str]:
    """What each version is there for, in words; nothing where nobody can tell."""
    try:
        chosen, version = repository.serving(name), repository.serving_version(name)
    except ModelError as error:
        return dict.fromkeys(repository.versions(name)[-1:], spelled_out(str(error)))
    return roles(chosen, version)


def roles(chosen: Serving, version: int) -> dict[int, str]:
    """By version: serving, canary with its share, shadow."""
    found = {version: ["serving (pinned)" if chosen.version else "serving"]}
    if chosen.canary:
        found.setdefault(chosen.canary.version, []).append(f"canary ({100 * chosen.canary.share:g}%)")
    if chosen.shadow:
        found.setdefault(chosen.shadow, []).append("shadow")
    return {number: ", ".join(words) for number, words in found.items()}


def _columns(repository: Store, name: str, version: int) -> tuple[str, str, str]:
    try:
        card = repository.card(name, version)
    except ModelError:
        return "corrupt", "-", "-"
    accuracy = f"{card.metrics['test'].accuracy:.4f}" if "test" in card.metrics else "-"
    return f"{card.provenance.created:%Y-%m-%d %H:%M}", str(len(card.classes)), accuracy


def show(repository: Store, options: argparse.Namespace) -> None:
    version = options.version or repository.serving_version(options.name)
    card = repository.card(options.name, version)
    if options.json:
        print_json(card.to_json(), end="")
        return
    role = _roles(repository, options.name).get(version)
    terminal.show(_summary(card, version, role))


def _values(feature: Feature) -> str:
    match feature.kind:
        case "numeric" if feature.codes:
            values = "one of the numbers " + ", ".join(map(spelled_code, feature.codes))
        case "numeric":
            values = f"number from {feature.minimum:g} to {feature.maximum:g}"
        case "date":
            values = f"date from {shortest_date(feature.minimum)} to {shortest_date(feature.maximum)}"
        case "categorical":
            values = "one of " + ", ".join(feature.categories)
    return values + ", or missing" * (feature.nullable and feature.seen_missing)


def _selection(card: ModelCard) -> Iterator[str]:
    """What the table was encoded with, where there was a choice."""
    if card.selection:
        yield from ("", "selection", *(f"  {line}" for line in wrapped(selection_line(card.selection), room() - 2)))


def _summary(card: ModelCard, version: int, role: str | None) -> str:
    lines = [f"{card.name}, version {version}{f', {role}' if role else ''}"]
    lines += [f"warning: {sentence}" for sentence in card.warnings]
    lines += ["", "features"]
    lines += [f"  {feature.name}: {_values(feature)}" for feature in card.features]
    lines += ["", "classes", *(f"  {label(one, LONGEST_SENTENCE)}" for one in card.classes)]
    if card.positive is not None:
        wanted = "" if card.threshold is None else f", from a probability of {card.threshold:g} on"
        lines.append(f"  looked for: {label(card.positive, LONGEST_SENTENCE)}{wanted}")
    if card.sets is not None:
        lines += ["", "sets", *(f"  {line}" for line in wrapped(sets_line(card.sets), room() - 2))]
    if card.evaluation:
        shown = evaluation_lines(card.evaluation, width=room() - 2)
        lines += ["", "evaluation", *(f"  {line}".rstrip() for line in shown)]
    lines += ["", "metrics"]
    for part, metrics in card.metrics.items():
        lines.append(f"  {part}: log-loss {metrics.log_loss:.4f}, accuracy {metrics.accuracy:.4f}, {metrics.rows} rows")
    lines += ["", "frozen statistics"]
    for number, frozen in enumerate(card.frozen_statistics, 1):
        other = "running" if frozen.source == "population" else "population"
        lines.append(f"  network {number}: {frozen.source}, {len(frozen.layers)} layers,")
        lines[-1] += f" at most {frozen.largest_shift:.3f} standard deviations from the {other} statistics"
    lines += [*_selection(card)]
    if bag := card.distillation:
        lines += ["", "distillation", f"  from a bag of {bag.members} in {bag.epochs} epochs;"]
        lines[-1] += f" divergence {bag.divergence:.4f} nats"
        lines.append(f"  bag of {bag.members}, test: log-loss {bag.test.log_loss:.4f},")
        lines[-1] += f" accuracy {bag.test.accuracy:.4f}"
    elif card.calibration:
        before, after = card.calibration.before.ece, card.calibration.after.ece
        lines += ["", "calibration", f"  temperature {card.calibration.temperature:.2f},"]
        lines[-1] += f" calibration error of the test rows {before:.3f} without it, {after:.3f} with it"
    made = card.provenance
    lines += [
        "",
        "provenance",
        f"  {made.created:%Y-%m-%d %H:%M} UTC from {made.table}, target {made.target}, evenkeel {made.evenkeel}",
    ]
    # Names, categories and classes are whatever somebody's table had.
    return "\n".join(map(spelled_out, lines))


def _names(repository: Store) -> list[str]:
    return repository.names() if repository.exists() else []


def verify(repository: Store, options: argparse.Namespace) -> None:
    """Print for each version whether it is intact.

    :raises CorruptModel: one is not.
    :raises OSError: the folder of a model cannot be read; the versions of all others are checked.
    """
    names = [options.name] if options.name else _names(repository)
    checked = corrupt = 0
    unreadable = Unreadable()
    for name in names:
        with unreadable.passed_over():
            for version in [options.version] if options.version else repository.versions(name):
                checked += 1
                try:
                    repository.bundle(name, version)
                except CorruptModel as error:
                    corrupt += 1
                    print(spelled_out(f"{name} {version}: CORRUPT, {error}"))
                else:
                    print(f"{name} {version}: intact")
    if corrupt:
        counted = f"{corrupt} of {checked} versions are corrupt; a service refuses them"
        raise CorruptModel("; ".join([counted, *unreadable.sentences]))
    unreadable.refuse()
    if options.name and not checked:
        raise repository.unknown(options.name)
