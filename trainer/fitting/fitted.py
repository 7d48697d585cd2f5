"""Everything that is trained in one run: a bag of networks, and the student that learns from it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from trainer.errors import InvalidSetting
from trainer.fitting.members import PLAIN, Bag, Course, Member, Run, TrainedNetwork, train_bag
from trainer.fitting.parallel import Crew
from trainer.fitting.selection import Selection, select
from trainer.fitting.start import Start
from trainer.fitting.student import Student, learn_from
from trainer.fitting.teacher import Teacher
from trainer.fitting.trained_classifier import TrainedClassifier
from trainer.fitting.trees import check_trees
from trainer.settings.config import TrainingConfig
from trainer.training.deadline import TimeLimit
from trainer.training.records import OutOfTime

# How much of the time limit the members may take where a student is to learn from them.
SHARE_OF_MEMBERS = 0.5
# How much of it may be over before candidates are left alone.
SHARE_OF_SELECTION = 0.25


@dataclass(frozen=True, eq=False)
class Fitted:
    """What training leaves behind. The student is published where there is one, else the bag.

    It may be missing because it was `out_of_time`. The `selection` has the settings and the encoder that were used.
    """

    bag: Bag
    selection: Selection
    student: Student | None = None
    out_of_time: bool = False

    @property
    def classifier(self) -> TrainedClassifier:
        """What is published."""
        return self.student.classifier if self.student else self.bag.classifier

    @property
    def networks(self) -> tuple[TrainedNetwork, ...]:
        """The networks of what is published."""
        return (self.student.trained,) if self.student else self.bag.members


def cut_short(config: TrainingConfig, fitted: Fitted) -> Iterator[str]:
    """Sentences about what Ctrl-C or the time limit has left out."""
    members, student = fitted.bag.members, fitted.student
    if fitted.selection.interrupted:
        yield "Ctrl-C came before the candidates were compared: the networks are those of the defaults"
    networks, missing = len(members), fitted.bag.wanted - len(members)
    late = sum(member.history.out_of_time for member in members)
    limit = f"--time-limit {config.time_limit:g}" if config.time_limit else ""
    if limit and not fitted.bag.interrupted and (late or missing):
        stopped = [f"{late} stopped at the best epoch so far"] if late else []
        left_out = [f"{missing} had no epoch to the end"] if missing else []
        whole = f"of {fitted.bag.wanted} networks" if fitted.bag.wanted > 1 else "the network, of one,"
        what = f"{whole} {' and '.join(stopped + left_out)}"
        yield f"{limit} was over before training was: {what}; more time trains to the end"
    if student and (epochs := len(student.trained.history.epochs)) < student.planned:
        yield f"{limit} left time for {epochs} of the {student.planned} epochs in which one network learns from the bag"
    if config.distil and not student and networks > 1:
        what, more = (limit, "more time") if fitted.out_of_time else ("Ctrl-C", "a run to its end")
        yield (
            f"{what} came before one network had learned from the {networks}: all of them are published, and an answer "
            f"costs as much as theirs together; {more} publishes one"
        )


def check_learner(config: TrainingConfig, start: Start) -> None:
    """Refuse a teacher where nobody would learn from it.

    :raises InvalidSetting: one network is trained, and no other learns from it.
    """
    if len(start.split.folds) == 1:
        rows = len(start.examples)
        raise InvalidSetting(
            f"--teacher {config.teacher} needs a bag, and a table of {rows} rows gets a single network; say "
            "--members 2 or more, or leave --teacher out"
        )


def nobody(_: object) -> Iterator[tuple[Course, Member, TrainedNetwork]]:
    """Train no network more, because Ctrl-C came."""
    raise KeyboardInterrupt


def train_all(
    config: TrainingConfig, start: Start, run: Run = PLAIN, *, limit: TimeLimit | None = None, jobs: int = 1
) -> Fitted:
    """Train the members and, where there are several and the settings say so, their student.

    The run's `watch` is told of the student's epochs as of a member behind the last; its checkpoint has that number
    too. Ctrl-C ends with the members that have an epoch behind them, and a student that is half trained is not kept.
    The `limit` gives half of the time to the members, the first quarter to candidates too, and what is left
    to the student. So many `jobs` train networks at a time, and more than one let another core answer for the bag, with
    the same outcome; the rows of `start` must be shared for that, and their file is closed at the end.

    :raises Diverged: a loss stopped being finite.
    :raises KeyboardInterrupt: before the first epoch of the first member was over.
    :raises WorkerLost: a process that trained a network was killed.
    :raises MissingExtra: trees are to teach, and scikit-learn is not installed.
    :raises InvalidSetting: trees are to teach, and the table is larger than memory or no network learns from them.
    """
    wanted = len(start.split.folds)
    learning = config.distil and wanted > 1
    if config.teacher != "bag":
        check_learner(config, start)
        check_trees(config, start)
    if limit:
        run = replace(run, deadline=limit.after(SHARE_OF_MEMBERS if learning else 1.0))
    with closing(start), Crew(jobs) as crew:
        selection = select(config, start, run, limit.after(SHARE_OF_SELECTION) if limit else None, crew.train)
        config, start = selection.config, selection.start
        # With a time limit, a run that is taken up may choose something else.
        run = replace(run, checkpoint_of=partial(run.checkpoint_of, chosen=selection.chosen))
        with closing(start):
            bag = train_bag(config, start, run, nobody if selection.interrupted else crew.train, selection.trained)
    members = len(bag.members)
    if not learning or members == 1 or bag.interrupted:
        return Fitted(bag, selection)
    number = bag.wanted
    watch, deadline = partial(run.watch, number, number), limit.after(1.0) if limit else None
    try:
        teacher = Teacher.of(bag, config, start)
        student = learn_from(teacher, config, start, watch, run.checkpoint_of(number), deadline, ahead=jobs > 1)
    except OutOfTime:
        return Fitted(bag, selection, out_of_time=True)
    except KeyboardInterrupt:
        return Fitted(replace(bag, interrupted=True), selection)
    run.ended(number, number)
    return Fitted(bag, selection, student)
