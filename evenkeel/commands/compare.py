"""`compare NAME A B [TABLE]`: two versions of a model, by their settings and by what they say of the same rows."""

import argparse
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import comb, exp, lgamma, log
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel.commands.evaluate import evaluation_of
from evenkeel.errors import Incomparable
from evenkeel.scoring.local import answers
from evenkeel.tables.labelled import Labelled, learned_by, read_labelled
from models import terminal
from models.card import ModelCard
from models.evaluation import Evaluation
from models.figures import figures_of
from models.repository import ModelRepository, PublishedModel
from models.terminal import add_command, label, printable, version_number
from models.wording import aligned, command_on
from trainer.arrays import Array, Labels
from trainer.files import replace_file
from trainer.report.comparison import Side, comparison

# So many rows that changed are shown.
SHOWN, MOST_SETTINGS = 10, 40
LONGEST = 40
# Below this p-value the difference is taken for more than chance.
UNLIKELY = 0.05


@dataclass(frozen=True, eq=False)
class Changes:
    """The rows (their numbers in the table, from 0) about which two versions disagree, and who is right.

    `gained` only the second has right, `lost` only the first, `other` neither.
    """

    gained: Labels
    lost: Labels
    other: Labels

    @property
    def p(self) -> float:
        """McNemar's p-value, exact and two-sided."""
        return mcnemar(len(self.gained), len(self.lost))


def add_compare(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command `compare`."""
    compare = add_command(
        commands,
        "compare",
        compare_versions,
        "hold two versions of a model against each other",
        examples=("penguins 1 2 later.csv", "penguins 1 2 --output compare.html"),
        epilog="Nothing else is written. Exit codes: 0 done, 64 usage, 65 unfit table or model, 66 no table, 74 cannot "
        "write.",
    )
    compare.add_argument("name", help="name of the model")
    compare.add_argument("first", type=version_number, metavar="A", help="first version")
    compare.add_argument("second", type=version_number, metavar="B", help="second version")
    compare.add_argument("table", type=Path, nargs="?", help="labelled rows to score with both")
    compare.add_argument("--output", type=Path, metavar="FILE", help="write an HTML report of both")


def compare_versions(repository: ModelRepository, options: argparse.Namespace) -> None:
    """Print what differs between two versions and, with a table, how they answer its rows.

    :raises TrainerError: the table cannot be read as the training tables were.
    :raises ModelError: there is no such version, or it is not intact.
    """
    models = [repository.read(options.name, version) for version in (options.first, options.second)]
    first, second = models
    print(f"{options.name}, version {first.version} and version {second.version}\n")
    differing = _differing(first, second)
    terminal.show("\n".join(f"  {line}" for line in _settings(first, second, differing)))
    said = list(_on_rows(repository, first, second, options.table)) if options.table else []
    if options.output:
        sides = [Side(one.version, one.card, figures_of(repository, options.name, one.version)) for one in models]
        replace_file(options.output, comparison((sides[0], sides[1]), differing, said))
    if options.table is None:
        print("\n" + "\n".join(f"  {line}" for line in _own_scores(first, second)))
        terminal.show(
            "\nEach was measured on its own test rows. A table behind the versions measures both on the same rows."
        )
    else:
        terminal.show("\n" + "\n".join(said))
    if options.output:
        terminal.show(f"Drawn side by side in {options.output}")


def mcnemar(one: int, other: int) -> float:
    """The chance of so uneven a split, or a more uneven one, of rows that only one of two is right about.

    McNemar's test, exact: two-sided, from the binomial distribution with a half (McNemar 1947).
    """
    rows, fewer = one + other, min(one, other)
    if rows <= 1000:
        tail = float(sum(comb(rows, times) for times in range(fewer + 1)) / 2**rows)
    else:
        whole = lgamma(rows + 1) - rows * log(2)
        tail = sum(exp(whole - lgamma(times + 1) - lgamma(rows - times + 1)) for times in range(fewer + 1))
    return min(1.0, 2 * tail)


def changes_between(first: Array, second: Array, labelled: Labelled) -> Changes:
    """Where the answers (n, classes) of two versions differ."""
    one, two = first.argmax(axis=1), second.argmax(axis=1)
    right, also = one == labelled.labels, two == labelled.labels
    return Changes(
        labelled.places[~right & also],
        labelled.places[right & ~also],
        labelled.places[~right & ~also & (one != two)],
    )


def _differing(first: PublishedModel, second: PublishedModel) -> list[tuple[str, ...]]:
    """What differs in how the two came to be: a name, and what it is in each."""
    facts = [_facts(model.card) for model in (first, second)]
    names = list(dict.fromkeys([*facts[0], *facts[1]]))
    return [
        (name, *(_spelled(each.get(name)) for each in facts))
        for name in names
        if facts[0].get(name) != facts[1].get(name)
    ]


def _settings(first: PublishedModel, second: PublishedModel, differing: list[tuple[str, ...]]) -> Iterator[str]:
    if not differing:
        yield "settings, table and features are the same"
        return
    rows: list[tuple[str, ...]] = [("", f"version {first.version}", f"version {second.version}")]
    rows += [tuple(printable(cell, LONGEST) for cell in row) for row in differing[:MOST_SETTINGS]]
    yield from aligned(rows, left=3)
    if len(differing) > MOST_SETTINGS:
        yield f"and {len(differing) - MOST_SETTINGS} differences more"


def _facts(card: ModelCard) -> dict[str, Any]:
    made = card.provenance
    return {
        "table": f"{made.table}, {made.table_sha256[:12]}",
        "target": made.target,
        **{f"--{name.replace('_', '-')}": value for name, value in made.settings.items()},
        **{f"feature {feature.name}": feature.kind for feature in card.features},
        **{f"class {label(one, LONGEST)}": "known" for one in card.classes},
        **made.libraries,
        "evenkeel": made.evenkeel,
    }


def _spelled(value: Any) -> str:
    """A setting as its flag takes it."""
    if value is None or value == []:
        return "-"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _own_scores(*models: PublishedModel) -> Iterator[str]:
    rows = [("", "test rows", "log-loss", "accuracy")]
    for model in models:
        test = model.card.metrics["test"]
        rows.append((f"version {model.version}", str(test.rows), f"{test.log_loss:.4f}", f"{test.accuracy:.4f}"))
    yield from aligned(rows)


def _on_rows(repository: ModelRepository, first: PublishedModel, second: PublishedModel, table: Path) -> Iterator[str]:
    if set(first.card.classes) != set(second.card.classes):
        raise Incomparable(
            f"versions {first.version} and {second.version} do not know the same classes; "
            f"{_each(repository, first, second, table)}"
        )
    # Each version gets the rows as its own training read them; the rows themselves must be the same.
    read = [read_labelled(table, model.card) for model in (first, second)]
    if not np.array_equal(read[0].places, read[1].places):
        raise Incomparable(
            f"versions {first.version} and {second.version} leave out different rows; "
            f"{_each(repository, first, second, table)}"
        )
    said = [answers(model, labelled.rows) for model, labelled in zip((first, second), read, strict=True)]
    scores = [
        evaluation_of(model.card, probabilities, labelled)
        for model, probabilities, labelled in zip((first, second), said, read, strict=True)
    ]
    places = [second.card.classes.index(one) for one in first.card.classes]
    changes = changes_between(said[0], said[1][:, places], read[0])
    yield f"On {len(read[0])} rows of {printable(table.name, 60)}:"
    learned = {
        model.version: how_many
        for model, labelled in zip((first, second), read, strict=True)
        if (how_many := learned_by(model.card, labelled))
    }
    for version, how_many in learned.items():
        yield f"warning: version {version} learned from {how_many} of these rows; take a table that it has not seen"
    yield ""
    yield from (f"  {line}" for line in _scores((first, second), scores))
    yield ""
    yield from (f"  {line}" for line in _changed_rows(first, changes, said[0], said[1][:, places], read[0]))
    yield ""
    yield _verdict(repository, first, second, changes, learned)


def _scores(models: tuple[PublishedModel, PublishedModel], scores: list[Evaluation]) -> Iterator[str]:
    rows = [("", "log-loss", "accuracy", "interval", "AUC", "macro F1")]
    for model, score in zip(models, scores, strict=True):
        low, high = score.accuracy_interval
        area = "-" if score.auc is None else f"{score.auc:.4f}"
        interval = f"{low:.3f} to {high:.3f}"
        rows.append(
            (
                f"version {model.version}",
                f"{score.log_loss:.4f}",
                f"{score.accuracy:.4f}",
                interval,
                area,
                f"{score.macro_f1:.4f}",
            )
        )
    yield from aligned(rows)


def _changed_rows(first: PublishedModel, changes: Changes, one: Array, two: Array, labelled: Labelled) -> Iterator[str]:
    changed = np.sort(np.concatenate([changes.gained, changes.lost, changes.other]))
    if not len(changed):
        yield "both give the same label to every row"
        return
    classes = first.card.classes
    rows: list[tuple[str, ...]] = [("row", "is", "was", "becomes")]
    for changed_row in changed[:SHOWN]:
        row = int(np.searchsorted(labelled.places, changed_row))
        places = (labelled.labels[row], one[row].argmax(), two[row].argmax())
        rows.append((str(changed_row + 1), *(label(classes[place], LONGEST) for place in places)))
    yield from aligned(rows, left=4)
    if len(changed) > SHOWN:
        yield f"and {len(changed) - SHOWN} rows more"


def _verdict(
    repository: ModelRepository,
    first: PublishedModel,
    second: PublishedModel,
    changes: Changes,
    learned: Collection[int],
) -> str:
    gained, lost = len(changes.gained), len(changes.lost)
    sentence = (
        f"Version {second.version} is right about {gained} rows that version {first.version} is wrong about, and wrong "
        f"about {lost} that it is right about: McNemar's p is {changes.p:.3g}"
    )
    if changes.p >= UNLIKELY:
        return f"{sentence}, no difference beyond chance."
    if learned:
        who = " and ".join(f"version {version}" for version in sorted(learned))
        does, it = ("does", "it") if len(learned) == 1 else ("do", "they")
        compare = f"{command_on(repository, 'compare')} {first.card.name} {first.version} {second.version} LATER.csv"
        return (
            f"{sentence}. That advises nothing: {who} learned from these rows, and {does} well on them whether or not "
            f"{it} {does} on others. Compare on rows that neither has seen: {compare}"
        )
    better = second.version if gained > lost else first.version
    promotion = f"{command_on(repository, 'models')} promote {first.card.name} {better}"
    return f"{sentence}. Version {better} is better. Let it serve with: {promotion}"


def _each(repository: ModelRepository, first: PublishedModel, second: PublishedModel, table: Path) -> str:
    evaluate = f"{command_on(repository, 'evaluate')} {first.card.name} {shlex.quote(str(table))} --version"
    return f"measure each by itself: {evaluate} {first.version}, and {evaluate} {second.version}"
