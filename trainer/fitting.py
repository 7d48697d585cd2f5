"""Everything that is trained in one run: a bag of networks, and the student that learns from it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from trainer.bag import Bag, Fit, Trained, Watch, train_bag, unwatched
from trainer.classifier import Classifier
from trainer.config import TrainingConfig
from trainer.start import Start
from trainer.student import Student, learn_from
from trainer.training.fit import fit
from trainer.training.records import Checkpoint


@dataclass(frozen=True, eq=False)
class Fitted:
    """What training leaves behind. The student is published where there is one, else the bag."""

    bag: Bag
    student: Student | None = None

    @property
    def classifier(self) -> Classifier:
        """What is published."""
        return self.student.classifier if self.student else self.bag.classifier

    @property
    def networks(self) -> tuple[Trained, ...]:
        """The networks of what is published."""
        return (self.student.trained,) if self.student else self.bag.members


def unlearned(config: TrainingConfig, fitted: Fitted) -> str | None:
    """A sentence where the bag is published because Ctrl-C came before its student was trained, else None."""
    networks = len(fitted.bag.members)
    if fitted.student or not config.distil or networks == 1:
        return None
    return (
        f"Ctrl-C came before one network had learned from the {networks}: all of them are published, and an answer "
        "costs as much as theirs together; a run to its end publishes one"
    )


def train_all(
    config: TrainingConfig,
    start: Start,
    watch: Watch = unwatched,
    checkpoint_of: Callable[[int], Checkpoint | None] = lambda number: None,
    train: Fit = fit,
) -> Fitted:
    """Train the members with `train` and, where there are several and the settings say so, their student.

    `watch` is told of the student's epochs as of a member behind the last; its checkpoint has that number too. Ctrl-C
    ends with the members that have an epoch behind them, and a student that is half trained is not kept.

    :raises Diverged: a loss stopped being finite.
    :raises KeyboardInterrupt: before the first epoch of the first member was over.
    """
    bag = train_bag(config, start, watch, checkpoint_of, train)
    members = len(bag.members)
    if not config.distil or members == 1 or bag.interrupted:
        return Fitted(bag)
    return Fitted(bag, learn_from(bag, config, start, partial(watch, members, members), checkpoint_of(members)))
