"""The training job: a table in, a published model out."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from models import __version__
from models.card import ModelCard
from models.repository import ModelRepository
from models.staging import NOTHING
from models.terminal import noting
from trainer.card.describe import libraries
from trainer.data.frames import NO_FRAMES, Frames
from trainer.data.long import needed_memory, read_long_table
from trainer.data.rows import Examples
from trainer.data.size import memory_for_tables
from trainer.data.split import split
from trainer.data.table import Table, read_table
from trainer.errors import (
    BelowBaseline,
    Diverged,
    ExportMismatch,
    LargerThanMemory,
    NoStatistics,
    TableChanged,
    Unreadable,
)
from trainer.evaluation.sets import check_enough
from trainer.evaluation.verdict import check_positive
from trainer.fitting.fitted import train_all
from trainer.fitting.members import (
    PLAIN,
    Ended,
    Fit,
    Run,
    Watch,
    WatchAttempt,
    build_member,
    members_for,
    unannounced,
    untold,
    untried,
    unwatched,
)
from trainer.fitting.parallel import jobs_for
from trainer.fitting.start import Start, generator
from trainer.fitting.trained_classifier import TrainedClassifier
from trainer.fitting.trees import check_library
from trainer.job.promotion import Known, Promote
from trainer.job.publishing import Outcome, publish
from trainer.job.trained import Trained
from trainer.settings.config import TrainingConfig
from trainer.training.checkpoint import FileCheckpoint
from trainer.training.deadline import TimeLimit
from trainer.training.fit import fit
from trainer.training.range_test import RangeTest, find_learning_rate

# The same run would come to the same end again; after whatever else stops one, its checkpoint takes it up.
TO_THE_SAME_END = (BelowBaseline, Diverged, ExportMismatch, NoStatistics)


def prepare(config: TrainingConfig, frames: Frames = NO_FRAMES) -> tuple[Table, Start]:
    """Read and split the table, and fit the encoder; `frames` are the tables that are in memory and in no file.

    :raises TrainerError: the table cannot be trained on.
    :raises OSError: the table cannot be read.
    """
    check_library(config)
    table = _read(config, frames, {})
    check_positive(config, table.examples.classes)
    members = config.members or members_for(table.learning)
    chosen = table.split(config.validation, config.test, generator(config.seed, 0), members, config.share_for_sets)
    if config.coverage is not None:
        weights, share = table.examples.weights, config.share_for_sets if config.split_by is None else None
        weights = None if weights is None else weights[chosen.sets]
        check_enough(config.coverage, weights, len(chosen.sets), share=share, of=table.learning)
    return table, Start.on(config, table.examples, chosen)


def _read(config: TrainingConfig, frames: Frames, known: Known) -> Table:
    """The table: whole where memory suffices, else in blocks."""
    memory, files = memory_for_tables(config.memory), _files(config, frames)
    asked = (config.table, config.target, config.drop, config.weight, config.table_schema)
    read_whole, read_blocks = (
        partial(
            read,
            *asked,
            divide=config.divide,
            keep=config.keep,
            test=config.test_table,
            file=config.file,
            merge_spellings=config.merge_spellings,
            known=known,
            memory=memory,
        )
        for read in (partial(read_table, frames=frames), read_long_table)
    )
    # What is in memory already fits.
    if frames or sum(map(needed_memory, files)) <= memory:
        try:
            return read_whole()
        except LargerThanMemory:  # Only what is unpacked tells how long it is.
            if frames or not all(map(_lasting, files)):
                raise
    return read_blocks()


def _files(config: TrainingConfig, frames: Frames) -> list[Path]:
    """The paths of the tables that are not in memory."""
    return [path for path in (config.table, config.test_table) if path is not None and path not in frames]


def _lasting(path: Path) -> bool:
    """Whether a table can be read more than once; a pipe cannot."""
    return path.is_file() or path.is_dir()


def _read_again(config: TrainingConfig, frames: Frames, table: Table, known: Known) -> Examples:
    """The examples of a table once more, with the `known` texts in their vocabularies, however rare they are.

    :raises Unreadable: the table is a pipe, or is gone.
    :raises TableChanged: it was written to meanwhile.
    """
    for path in _files(config, frames):
        if not _lasting(path):
            raise Unreadable(f"{path} cannot be read a second time; write it into a file, and name that")
    again = _read(config, frames, known)
    if (again.sha256, again.test_sha256) != (table.sha256, table.test_sha256):
        raise TableChanged(f"{config.table} was written to meanwhile")
    return again.examples


def train_on(config: TrainingConfig, examples: Examples) -> TrainedClassifier:
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


def train(config: TrainingConfig, frames: Frames = NO_FRAMES, run: Run = PLAIN, *, jobs: int | None = 1) -> Trained:
    """Train as `config` says, and publish nothing; what `run` keeps and `frames` and `jobs` mean is said at `run`.

    :raises TrainerError: there is no model; the sentence says why.
    :raises OSError: the table cannot be read.
    """
    return _train(config, frames, lambda table, folds: run, jobs)


def _train(config: TrainingConfig, frames: Frames, run_on: Callable[[Table, int], Run], jobs: int | None) -> Trained:
    """Train by the `run` that there is for a table of so many folds."""
    limit = TimeLimit.from_now(config.time_limit) if config.time_limit else None
    table, start = prepare(config, frames)
    jobs = jobs or jobs_for(config, start)
    start = start.shared() if jobs > 1 else start
    run = run_on(table, len(start.split.folds))
    fitted = train_all(config, start, run, limit=limit, jobs=jobs)
    run.over()
    return Trained.of(config, table, fitted.selection.start, fitted, partial(_read_again, config, frames, table))


def run(
    config: TrainingConfig,
    repository: ModelRepository,
    watch: Watch = unwatched,
    *,
    ended: Ended = untold,
    tried: WatchAttempt = untried,
    over: Callable[[], None] = unannounced,
    jobs: int | None = 1,
    resume: bool = False,
    train: Fit = fit,
    annotate: Callable[[ModelCard], ModelCard] = lambda card: card,
    promote: Promote = "always",
    fail_below_baseline: bool = False,
    with_report: bool = True,
    frames: Frames = NO_FRAMES,
) -> Outcome:
    """Train as `config` says and publish into `repository`; `frames` are the tables that are in memory.

    `watch` is called after every epoch, `ended` when a network is trained, `tried` of the networks of candidates, and
    `over` when all are trained. Up to `jobs` networks are trained at a time, None for as many as there are cores if
    that is worth it; their number changes nothing else.

    `train` trains each network, and `annotate` adds to the card what only the caller knows. `promote` says whether the
    new version is to serve, and `fail_below_baseline` refuses a model that is no better than a baseline. Beside the
    model go its figures and its report, if `with_report`.
    After each epoch the run is saved beside the models, and `resume` takes up one that was killed or refused half-way;
    the file is gone when the run is over.

    :raises TrainerError: nothing was published; the sentence says why.
    :raises OSError: the table cannot be read or the repository cannot be written; nothing was published.
    """
    checkpoints: list[FileCheckpoint] = []

    def saved(table: Table, folds: int) -> Run:
        identity, folder = _identity(config, table), repository.root / ".checkpoints"

        def checkpoint_of(member: int, *, chosen: object = None) -> FileCheckpoint:
            return FileCheckpoint(folder, config.name, {**identity, "member": member}, resume=resume, chosen=chosen)

        checkpoints.extend(map(checkpoint_of, range(folds + 1)))
        return Run(watch, ended, tried, checkpoint_of, train, taken=watch, over=over)

    try:
        with noting(NOTHING, KeyboardInterrupt):
            repository.check_writable(config.name)
            trained = _train(config, frames, saved, jobs)
        return publish(
            trained,
            repository,
            annotate=annotate,
            promote=promote,
            fail_below_baseline=fail_below_baseline,
            with_report=with_report,
            published=lambda: _remove(checkpoints),
        )
    except TO_THE_SAME_END:
        _remove(checkpoints)
        raise


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
        "libraries": libraries(config),
        "evenkeel": __version__,
    }
