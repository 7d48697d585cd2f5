"""The student: one network that learns from a bag what its members know together, and is served in its place.

A bag of networks is better than any of them, and costs as much as all of them with every answer. One network that is
trained on its probabilities keeps nearly all of it (Hinton et al. 2015): it may learn from every row, those that chose
a member's epoch among them, and from as many mixed ones as it likes, since the bag answers those too.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from trainer.arrays import Array, Inputs, Labels, Picked
from trainer.data.split import Indices
from trainer.fitting.members import TrainedNetwork, member_on
from trainer.fitting.start import Start
from trainer.fitting.teacher import Teacher
from trainer.fitting.trained_classifier import TrainedClassifier
from trainer.mapped import check_room, keep_in, nameless_file
from trainer.nn.calibrator import Calibrator
from trainer.nn.loss import targets_of
from trainer.settings.config import TrainingConfig
from trainer.training.deadline import Deadline
from trainer.training.fit import fit
from trainer.training.freezing import freeze
from trainer.training.mixing import Ahead, MixedBatches, Mixer
from trainer.training.pacing import fit_in_time
from trainer.training.records import Checkpoint, Encoded, Epoch, OutOfTime

# How much of a labelled row's target is its label; the rest is the bag's answer.
TRUTH = 0.3
FEWEST_EPOCHS, MOST_EPOCHS, FEWEST_STEPS = 25, 50, 10_000
MANY_CLASSES = 20
# Mixed rows for each row of a table in which even the most epochs have too few steps.
TIMES_OF_SMALL = 3
# Sets of mixed rows that trees answer, once.
SETS = 8
# So many mixed rows tell how far the student is from its bag.
MEASURED = 16_384
# A student whose time is over sooner is not worth its bag.
FEWEST_IN_TIME = 5
FAR = 0.05
# So many rows of a disk are answered at a time.
ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True, eq=False)
class Student:
    """The student after its training. Without a deadline it has had all the `planned` epochs. `trees` is their share in
    what it has learned from.
    """

    trained: TrainedNetwork
    classifier: TrainedClassifier
    planned: int
    trees: float = 0.0

    @property
    def divergence(self) -> float:
        """Its mean distance from its teacher on fresh mixed rows, in nats: Σ p log(p / q), p the probabilities of the
        teacher and q its own.
        """
        return self.trained.frozen.loss


def student_rows(config: TrainingConfig, start: Start) -> Indices:
    """The rows that a student learns from: all but those of the test, and where a column names the parts, those of
    training alone.
    """
    return start.split.train if config.split_by else start.split.learning


def units_for(config: TrainingConfig, classes: int) -> tuple[int, ...]:
    """The units of each hidden layer of a student: twice those of a member, and more to tell many classes apart."""
    if config.student is not None or not config.hidden:
        return config.student or ()
    first, *others = config.hidden
    return (3 if classes > MANY_CLASSES else 2) * first, *(2 * units for units in others)


def epochs_for(members: float, steps: int, most: int) -> int:
    """How many epochs a student is trained for.

    :param members: how many epochs the members of its bag were, on average.
    :param steps: how many steps an epoch of the student has.
    :param most: how many epochs a network may have.
    """
    enough = min(-(-FEWEST_STEPS // steps), MOST_EPOCHS)
    return min(max(round(members / 2), FEWEST_EPOCHS, enough), MOST_EPOCHS, most)


def learn_from(
    teacher: Teacher,
    config: TrainingConfig,
    start: Start,
    watch: Callable[[Epoch], None] = lambda _: None,
    checkpoint: Checkpoint | None = None,
    deadline: Deadline | None = None,
    *,
    ahead: bool = False,
) -> Student | None:
    """Train a student of the teacher; None where Ctrl-C came before its end.

    With `ahead` another core has the answers of the teacher ready, which changes nothing else.

    :raises Diverged: a loss stopped being finite.
    :raises OutOfTime: there was no time for a student.
    """
    number, classes = len(start.split.folds), len(start.examples.classes)
    part = start.part(student_rows(config, start))
    # Its targets are smooth: whatever keeps a network from learning them by heart only keeps it from learning them.
    settings = config.model_copy(update={"hidden": units_for(config, classes), "dropout": 0.0, "input_dropout": 0.0})
    member = member_on(settings, start.encoder, part, part, classes, number)
    teach = teacher.predict_encoded
    targets = _targets(teach, part, targets_of(classes, config.label_smoothing))
    mixer = Mixer(len(start.encoder.median), start.encoder.owners)
    size = settings.batch_of(len(part))
    # Trees take long to answer.
    seeds = member.rng.integers(2**63, size=SETS).tolist() if teacher.trees else ()
    batches = MixedBatches(member.train, targets, teach, mixer, size, seeds=seeds)
    if len(batches) * MOST_EPOCHS < FEWEST_STEPS:
        # What a small table lacks in rows, the teacher can tell of others.
        batches = MixedBatches(member.train, targets, teach, mixer, size, times=TIMES_OF_SMALL, seeds=seeds)
    epochs = epochs_for(teacher.bag.mean_epochs, len(batches), config.epochs)
    settings = settings.model_copy(update={"epochs": epochs})
    train = partial(fit_in_time, deadline=deadline, least=FEWEST_IN_TIME) if deadline else fit
    parts = (member.network, member.train, None, settings, member.rng)
    with ThreadPoolExecutor(1) as pool:
        source = Ahead(batches, pool) if ahead else batches
        try:
            history = train(*parts, watch=watch, checkpoint=checkpoint, batches=source)
        except KeyboardInterrupt:
            return None
    if history.out_of_time:
        raise OutOfTime
    if history.interrupted:
        return None
    mixed, answers = _fresh(batches, member.rng)

    def divergence() -> float:
        return mean_divergence(answers, member.network.predict(mixed))

    frozen = freeze(member.network, member.train, divergence, statistics=config.statistics, batch_size=size)
    trained = TrainedNetwork(number, member.network, history, frozen)
    classifier = TrainedClassifier(start.encoder, (member.network,), start.examples.classes, Calibrator.idle(classes))
    return Student(trained, classifier, epochs, teacher.share)


def _targets(teach: Callable[[Inputs], Array], part: Encoded, truth: Array) -> Array:
    """What a student learns of each row of a part, (n, classes): the teacher's answer and the label's row of `truth`.

    Those of rows of a disk are in a file too.
    """

    def targets_of_rows(inputs: Inputs, labels: Labels) -> Array:
        return np.float32(1 - TRUTH) * teach(inputs) + np.float32(TRUTH) * truth[labels]

    if not (isinstance(part.inputs, Picked) and part.inputs.on_disk):
        return targets_of_rows(part.inputs, part.labels)
    classes = truth.shape[1]
    check_room(len(part) * classes * truth.itemsize, "the answers that the distilled network learns from")
    blocks = (slice(start, start + ROWS_AT_ONCE) for start in range(0, len(part), ROWS_AT_ONCE))
    with nameless_file() as file:
        answered = (targets_of_rows(part.inputs[block], part.labels[block]) for block in blocks)
        return keep_in(file, answered, classes, np.float32)


def _fresh(batches: MixedBatches, rng: np.random.Generator) -> tuple[Array, Array]:
    """Mixed rows that nobody has learned from, and what the teacher answers to them."""
    rows = len(batches.part)
    if batches.on_disk:
        chosen, others = rng.integers(rows, size=(2, min(MEASURED, rows)))
        inputs, _ = batches.mix(chosen, others, rng)
        return inputs, batches.teach(inputs)
    chosen = rng.permutation(rows)[:MEASURED]
    inputs, _ = batches.mix(chosen, rng.permutation(rows)[: len(chosen)], rng)
    return inputs, batches.teach(inputs)


def distance(divergence: float) -> str | None:
    """A sentence where a student is far from its bag, else None."""
    if divergence <= FAR:
        return None
    return (
        f"the published network is {divergence:.3f} nats from the bag that it learned from, which is far; --student "
        "with more units brings it nearer, and --distil false publishes the bag itself"
    )


def mean_divergence(answers: Array, own: Array) -> float:
    """The mean of Σ p log(p / q) over rows, p the `answers` (n, classes) and q the `own` ones, in nats."""
    tiny = np.finfo(np.float32).tiny
    ratio = np.log(np.maximum(answers, tiny) / np.maximum(own, tiny), dtype=np.float64)
    return float((answers * ratio).sum(axis=1).mean())
