"""The training job: a table in, a published model out."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from models import __version__
from models.card import ModelCard
from models.machine import available_memory
from models.repository import NOTHING, ModelRepository
from models.terminal import noting
from trainer import promotion
from trainer.answers import held_out
from trainer.bag import Bag, Ended, Fit, Run, Watch, build_member, members_for, untold, unwatched
from trainer.classifier import Classifier
from trainer.config import TrainingConfig
from trainer.data.long import read_long_table
from trainer.data.rows import Examples
from trainer.data.schema import Schema
from trainer.data.size import needed_memory
from trainer.data.split import split
from trainer.data.table import Table, read_table
from trainer.describe import describe, doubts, libraries, mirror
from trainer.errors import BelowBaseline, DamagedCheckpoint, TableChanged, TrainerError, Unreadable, WorkerLost
from trainer.evaluation.verdict import check_positive, judge
from trainer.export.gate import check_export
from trainer.export.graph import Threshold, to_onnx
from trainer.figures.measured import figures
from trainer.fitting import Fitted, train_all
from trainer.parallel import jobs_for
from trainer.promotion import Promote
from trainer.report.report import drawn
from trainer.start import Start, generator
from trainer.training.checkpoint import FileCheckpoint
from trainer.training.deadline import TimeLimit
from trainer.training.fit import fit
from trainer.training.interrupts import held_back
from trainer.training.range_test import RangeTest, find_learning_rate


@dataclass(frozen=True)
class Outcome:
    """What a job leaves behind. `difference` is the largest between a probability of the network and the graph's.

    `serving` says in a sentence which version serves now, `warnings` are those of the card with commands that run as
    they are printed, and `report` says whether the version has one.
    """

    card: ModelCard
    version: int
    schema: Schema
    fitted: Fitted
    difference: float
    serving: str
    warnings: tuple[str, ...]
    report: bool

    @property
    def fact(self) -> str:
        """What is done, in words."""
        return f"version {self.version} of {self.card.name} is published"

    @property
    def bag(self) -> Bag:
        return self.fitted.bag

    @property
    def classifier(self) -> Classifier:
        return self.fitted.classifier


def prepare(config: TrainingConfig) -> tuple[Table, Start]:
    """Read and split the table, and fit the encoder.

    :raises TrainerError: the table cannot be trained on.
    :raises OSError: the table cannot be read.
    """
    table = _read(config, {})
    check_positive(config, table.examples.classes)
    members = config.members or members_for(table.learning)
    chosen = table.split(config.validation, config.test, generator(config.seed, 0), members)
    return table, Start.on(config, table.examples, chosen)


def _read(config: TrainingConfig, known: Mapping[str, Collection[str]]) -> Table:
    memory = config.memory or available_memory() // 2
    needed = sum(map(needed_memory, filter(None, (config.table, config.test_table))))
    read = read_table if needed <= memory else partial(read_long_table, memory=memory)
    return read(
        config.table,
        config.target,
        config.drop,
        config.weight,
        config.table_schema,
        divide=config.divide,
        keep=config.keep,
        test=config.test_table,
        file=config.file,
        merge_spellings=config.merge_spellings,
        known=known,
    )


def _read_again(config: TrainingConfig, table: Table, known: Mapping[str, Collection[str]]) -> Examples:
    """The examples of a table once more, with the `known` texts in their vocabularies, however rare they are.

    :raises Unreadable: the table is a pipe, or is gone.
    :raises TableChanged: it was written to meanwhile.
    """
    for path in filter(None, (config.table, config.test_table)):
        if not (path.is_file() or path.is_dir()):
            raise Unreadable(f"{path} cannot be read a second time")
    again = _read(config, known)
    if (again.sha256, again.test_sha256) != (table.sha256, table.test_sha256):
        raise TableChanged(f"{config.table} was written to meanwhile")
    return again.examples


def train_on(config: TrainingConfig, examples: Examples) -> Classifier:
    """Train on examples that are all there to learn from; a share of them chooses the epoch. Nothing is published.

    :raises TrainerError: the examples cannot be trained on.
    """
    members = config.members or members_for(len(examples))
    chosen = split(examples, config.validation, 0.0, generator(config.seed, 0), members)
    return train_all(config, Start.on(config, examples, chosen)).classifier


def suggest_learning_rate(config: TrainingConfig) -> RangeTest:
    """Read the table and try learning rates on it.

    :raises TrainerError: the table cannot be trained on.
    :raises OSError: the table cannot be read.
    """
    member = build_member(config, prepare(config)[1], 0)
    return find_learning_rate(member.network, member.train, config, member.rng)


def run(
    config: TrainingConfig,
    repository: ModelRepository,
    watch: Watch = unwatched,
    *,
    ended: Ended = untold,
    jobs: int | None = 1,
    resume: bool = False,
    train: Fit = fit,
    annotate: Callable[[ModelCard], ModelCard] = lambda card: card,
    promote: Promote = "always",
    fail_below_baseline: bool = False,
    with_report: bool = True,
) -> Outcome:
    """Train as `config` says and publish into `repository`.

    `watch` is called after every epoch, and `ended` when a network is trained. Up to `jobs` members of a bag are
    trained at a time, None for as many as there are cores if that is worth it; their number changes nothing else.

    `train` trains each network, and `annotate` adds to the card what only the caller knows. `promote` says whether the
    new version is to serve, and `fail_below_baseline` refuses a model that is no better than a baseline. Beside the
    model go its figures and its report, if `with_report`.
    After each epoch the run is saved beside the models, and `resume` takes up one that was killed; the file is gone
    when the run is over.

    :raises TrainerError: nothing was published; the sentence says why.
    :raises OSError: the table cannot be read or the repository cannot be written; nothing was published.
    """
    limit = TimeLimit.from_now(config.time_limit) if config.time_limit else None
    table, start = prepare(config)
    jobs = min(jobs or jobs_for(config, start), len(start.split.folds))
    start = start.shared() if jobs > 1 else start
    identity = _identity(config, table)
    checkpoints = [
        FileCheckpoint(repository.root / ".checkpoints", config.name, {**identity, "member": number}, resume=resume)
        for number in range(len(start.split.folds) + 1)
    ]
    try:
        with noting(NOTHING, KeyboardInterrupt):
            fitted = train_all(config, start, Run(watch, ended, checkpoints.__getitem__, train), limit=limit, jobs=jobs)
            answers = held_out(start, fitted)
            verdict = judge(config, table.schema, start, answers)
            if fail_below_baseline and verdict.below:
                raise BelowBaseline(f"nothing was published: {verdict.below.printed(config, repository)}")
            card = annotate(describe(config, table, start, fitted, answers, verdict))
            model = to_onnx(fitted.classifier, mirror(card), threshold := _threshold(card))
            difference = check_export(
                model, fitted.classifier, table.examples.rows, generator(config.seed, 1), threshold
            )
            before = promotion.serving(repository, config.name)
            again = partial(_read_again, config, table)
            decision = promotion.decide(promote, card, start, answers.test, before, again) if before else None
            files = {"model.onnx": model}
            if with_report:
                files |= drawn(card, model, figures(config, start, fitted, answers, card))
    except (DamagedCheckpoint, WorkerLost):
        raise
    except TrainerError:
        _remove(checkpoints)
        raise
    with held_back() as ctrl_c:
        version = repository.publish(card, files, hold=bool(decision and not decision.serves))
        _remove(checkpoints)
        serving = promotion.carry_out(decision, repository, config.name, version, before.version if before else None)
        ctrl_c.drop()  # It came too late to stop anything.
    warnings = (*(one.printed(config, repository) for one in verdict.warnings), *doubts(config, fitted))
    return Outcome(card, version, table.schema, fitted, difference, serving, warnings, with_report)


def _threshold(card: ModelCard) -> Threshold | None:
    if card.positive is None or card.threshold is None:
        return None
    return Threshold(card.positive, card.threshold)


def _remove(checkpoints: list[FileCheckpoint]) -> None:
    for checkpoint in checkpoints:
        checkpoint.remove()


def _identity(config: TrainingConfig, table: Table) -> dict[str, object]:
    """What a run's every bit depends on."""
    return {
        "settings": config.settings(),
        "target": config.target,
        "table": table.sha256,
        "test_table": table.test_sha256,
        "schema": table.schema.decisions(),
        "libraries": libraries(),
        "evenkeel": __version__,
    }
