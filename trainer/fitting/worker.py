"""The other side of `trainer.fitting.parallel`: a process that trains the networks it is told to."""

import _thread
import os
import signal
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np

from trainer.arrays import Array, Labels
from trainer.data.encoder import Encoder
from trainer.data.split import Fold
from trainer.errors import TrainerError
from trainer.fitting.members import Course, Fit, Member, TrainedNetwork, member_on, train_member
from trainer.fitting.start import part_of
from trainer.mapped import mapped
from trainer.nn.network import Network, State
from trainer.nn.statistics import Moments
from trainer.settings.config import TrainingConfig
from trainer.training.freezing import Frozen
from trainer.training.interrupts import held_back
from trainer.training.records import Checkpoint, Encoded, Epoch, History, OutOfTime

STOP = "stop"


@dataclass(frozen=True, eq=False)
class Task:
    """What the networks of a course have in common. The inputs are in a file, which has the `shape` and the type."""

    config: TrainingConfig
    encoder: Encoder
    labels: Labels
    weights: Array | None
    classes: int
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    on_disk: bool

    @classmethod
    def of(cls, course: Course) -> "Task":
        """The task of networks that have their rows in a file."""
        start = course.start
        examples, inputs = start.examples, start.inputs
        classes, (rows, width) = len(examples.classes), inputs.shape
        return cls(
            *(course.config, start.encoder, examples.labels, examples.weights, classes),
            shape=(rows, width),
            dtype=inputs.dtype,
            on_disk=examples.long,
        )

    def rows(self, descriptor: int) -> Encoded:
        """All rows, the inputs from the pages that the processes share."""
        return Encoded(mapped(descriptor, self.shape, self.dtype), self.labels, self.weights)


@dataclass(frozen=True, eq=False)
class Order:
    """One network: its number, its rows, where its epochs are saved and what trains it."""

    number: int
    fold: Fold
    checkpoint: Checkpoint | None
    train: Fit


@dataclass(frozen=True, eq=False)
class Outcome:
    """What has become of a network: all that a network which was built in the same way lacks to be the same."""

    history: History
    frozen: Frozen
    state: State
    moments: tuple[Moments, ...]

    @classmethod
    def of(cls, trained: TrainedNetwork) -> "Outcome":
        network = trained.network
        moments = tuple(layer.frozen for layer in network.batch_norms if layer.frozen)
        return cls(trained.history, trained.frozen, network.state(), moments)

    def applied(self, member: Member, number: int) -> tuple[Member, TrainedNetwork]:
        """The member with its network as it was trained elsewhere."""
        network: Network = member.network
        network.restore(self.state)
        for layer, frozen in zip(network.batch_norms, self.moments, strict=True):
            layer.frozen = frozen
        return member, TrainedNetwork(number, network, self.history, self.frozen)


class Orders:
    """What this process is told, by whoever has started it. Without that one it ends, whatever it is at."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._heard: SimpleQueue[Any] = SimpleQueue()
        self.stopped = False
        Thread(target=self._listen, daemon=True).start()

    def next(self) -> Any:
        """Wait for the next one."""
        return self._heard.get()

    def _listen(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except Exception:
                os._exit(1)
            if isinstance(message, Task):
                descriptor = recv_handle(self._connection)
                self._heard.put((message, message.rows(descriptor)))
                os.close(descriptor)
            elif message == STOP:
                # In this order: who begins a network looks at it after a Ctrl-C would be heard.
                self.stopped = True
                _thread.interrupt_main()
            else:
                self._heard.put(message)


def work(connection: int) -> None:
    """The whole life of a worker process, on the descriptor of what it is told by."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    telling = Connection(connection)
    orders = Orders(telling)
    task: Task
    rows: Encoded
    while True:
        told = orders.next()
        if not isinstance(told, Order):
            task, rows = told
            continue
        said: Outcome | Exception | None
        try:
            said = Outcome.of(_train(task, rows, told, orders, telling))
        except (KeyboardInterrupt, OutOfTime):
            said = None
        except (TrainerError, OSError) as error:
            said = error
        telling.send(said)


def _train(task: Task, rows: Encoded, order: Order, orders: Orders, telling: Connection) -> TrainedNetwork:
    """Train one network; told to stop, it ends with the best epoch so far, and is frozen in peace.

    :raises KeyboardInterrupt: before the first epoch was over.
    """
    fold = order.fold
    train_part, validation = (part_of(rows, part, on_disk=task.on_disk) for part in (fold.train, fold.validation))
    member = member_on(task.config, task.encoder, train_part, validation, task.classes, order.number)
    train = partial(_interruptible, order.train, orders)
    return train_member(task.config, order.number, member, partial(_tell, telling), order.checkpoint, train)


def _interruptible(train: Fit, orders: Orders, *parts: Any, **how: Any) -> History:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if orders.stopped:
            raise KeyboardInterrupt
        return train(*parts, **how)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _tell(telling: Connection, epoch: Epoch) -> None:
    with held_back():  # Half a message would be none.
        telling.send(epoch)
