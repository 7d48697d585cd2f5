"""`python -m models`: look into the model repository and check it."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from models.card import ModelCard
from models.errors import CorruptModel, InvalidName, UnknownModel
from models.repository import ModelRepository
from models.terminal import DATA, IO, USAGE, CommandLine, run

EXIT_CODES = {InvalidName: USAGE, UnknownModel: DATA, CorruptModel: DATA, OSError: IO}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _command_line().parse_args(arguments)
    repository = (
        ModelRepository(options.repository) if options.repository else ModelRepository.from_environment(os.environ)
    )
    return run("models", lambda: options.command(repository, options), EXIT_CODES)


def _command_line() -> CommandLine:
    parser = CommandLine(prog="python -m models", description="Look into the model repository and check it.")
    parser.add_argument(
        "--repository", type=Path, help="its root folder (default: EVENKEEL_REPOSITORY or models/store)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="every model, a line a version")
    listing.set_defaults(command=_list)

    show = commands.add_parser("show", help="one model's card")
    show.add_argument("name")
    show.add_argument("version", nargs="?", type=_version, help="default: the version that serves")
    show.add_argument("--json", action="store_true", help="the card as it stands on disk")
    show.set_defaults(command=_show)

    verify = commands.add_parser("verify", help="check every file against the digests in its card")
    verify.add_argument("name", nargs="?", help="default: every model")
    verify.add_argument("version", nargs="?", type=_version, help="default: every version")
    verify.set_defaults(command=_verify)
    return parser


def _version(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is no version: versions are 1, 2, 3, …")
    return int(text)


def _list(repository: ModelRepository, _: argparse.Namespace) -> None:
    names = _names(repository)
    if not names:
        print(f"No models in {repository.root} yet; `python -m trainer fit` publishes one.")
        return
    rows = [("MODEL", "VERSION", "CREATED", "CLASSES", "TEST ACCURACY", "")]
    for name in names:
        serving = repository.serving_version(name)
        for version in repository.versions(name):
            mark = "serving" if version == serving else ""
            rows.append((name, str(version), *_columns(repository, name, version), mark))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _columns(repository: ModelRepository, name: str, version: int) -> tuple[str, str, str]:
    try:
        card = repository.card(name, version)
    except CorruptModel:
        return "corrupt", "-", "-"
    accuracy = f"{card.metrics['test'].accuracy:.4f}" if "test" in card.metrics else "-"
    return f"{card.provenance.created:%Y-%m-%d %H:%M}", str(len(card.classes)), accuracy


def _show(repository: ModelRepository, options: argparse.Namespace) -> None:
    version = options.version or repository.serving_version(options.name)
    card = repository.card(options.name, version)
    print(card.to_json() if options.json else _summary(card, version), end="")


def _summary(card: ModelCard, version: int) -> str:
    lines = [f"{card.name}, version {version}", "", "features"]
    for feature in card.features:
        if feature.kind == "numeric":
            values = f"number from {feature.minimum:g} to {feature.maximum:g}"
        else:
            values = "one of " + ", ".join(feature.categories)
        lines.append(f"  {feature.name}: {values}{', or missing' if feature.nullable else ''}")
    lines += ["", "classes", *(f"  {label}" for label in card.classes), "", "metrics"]
    for part, metrics in card.metrics.items():
        lines.append(f"  {part}: log-loss {metrics.log_loss:.4f}, accuracy {metrics.accuracy:.4f}, {metrics.rows} rows")
    lines += ["", "frozen statistics"]
    for frozen in card.frozen_statistics:
        lines.append(f"  {frozen.source}, {len(frozen.layers)} layers,")
        lines[-1] += f" at most {frozen.largest_shift:.3f} standard deviations from the other kind"
    if card.calibration:
        before, after = card.calibration.before.ece, card.calibration.after.ece
        lines += ["", "calibration", f"  temperature {card.calibration.temperature:.2f},"]
        lines[-1] += f" calibration error of the test rows {before:.3f} without it, {after:.3f} with it"
    made = card.provenance
    lines += [
        "",
        "provenance",
        f"  {made.created:%Y-%m-%d %H:%M} UTC from {made.table}, target {made.target}, evenkeel {made.evenkeel}",
    ]
    return "\n".join(lines) + "\n"


def _names(repository: ModelRepository) -> list[str]:
    return repository.names() if repository.root.exists() else []


def _verify(repository: ModelRepository, options: argparse.Namespace) -> None:
    versions = [
        (name, version)
        for name in ([options.name] if options.name else _names(repository))
        for version in ([options.version] if options.version else repository.versions(name))
    ]
    if options.name and not versions:
        raise UnknownModel(f"the repository {repository.root} holds no model '{options.name}'")
    corrupt = 0
    for name, version in versions:
        try:
            repository.read(name, version)
        except CorruptModel as error:
            corrupt += 1
            print(f"{name} {version}: CORRUPT, {error}")
        else:
            print(f"{name} {version}: intact")
    if corrupt:
        raise CorruptModel(f"{corrupt} of {len(versions)} versions are corrupt; a service refuses them")


if __name__ == "__main__":
    sys.exit(main())
