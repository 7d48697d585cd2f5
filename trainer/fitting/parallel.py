"""Networks trained at the same time, each in a process of its own, with the same outcome to the last bit.

A worker is a fresh interpreter: a fork would carry over the threads of pyarrow and of the terminal, whose locks nobody
would release. It reads the encoded rows from pages that all processes share, trains one network after the other as it
is told, with one thread, and ends when whoever has started it is gone. It is no part of the terminal's group of
processes, so that one Ctrl-C reaches it once: by way of who has started it.
"""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import send_handle
from signal import Signals
from socket import socketpair
from typing import Self

from models.machine import available_cores
from trainer.errors import Diverged, WorkerLost
from trainer.fitting.members import Course, Member, TrainedNetwork, Turn, in_turn
from trainer.fitting.start import Start
from trainer.fitting.worker import STOP, Order, Outcome, Task
from trainer.settings.config import TrainingConfig
from trainer.training.interrupts import held_back
from trainer.training.records import Epoch

LOOK_EVERY_S = 0.1
# A bag of fewer steps is trained sooner than a process has loaded what it needs.
FEWEST_STEPS = 20_000
# What numpy's libraries read as they are loaded.
ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from trainer.fitting.worker import work; work(int(sys.argv[2]))"
)


def jobs_for(config: TrainingConfig, start: Start) -> int:
    """How many networks are trained at a time where nobody says: as many as there are cores, if that is worth it."""
    folds = start.split.folds
    steps = sum(-(-len(fold.train) // config.batch_of(len(fold.train))) for fold in folds) * config.epochs
    return available_cores() if steps >= FEWEST_STEPS else 1


class Crew:
    """Processes that train networks, up to so many `jobs` of them, which are hired when they are needed first."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._waiting = deque[Turn]()
        self._workers: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes, whatever they are at."""
        for worker in self._workers:
            worker.end()

    def train(self, turns: Sequence[Turn]) -> Iterator[tuple[Course, Member, TrainedNetwork]]:
        """Train networks, several at a time, and give each back when it is done. Their rows must be shared.

        :raises Diverged: a loss stopped being finite.
        :raises OSError: a checkpoint could not be written, or the rows not be shared.
        :raises WorkerLost: a process was killed, or failed.
        :raises KeyboardInterrupt: Ctrl-C came; those that have an epoch behind them were given back before.
        """
        jobs = min(self._jobs, len(turns))
        if jobs < 2:
            yield from in_turn(turns)
            return
        interrupted = False
        with held_back() as ctrl_c:
            self._waiting.extend(turns)
            self._begin(jobs)
            while self._at_work:
                try:
                    ctrl_c.let_through()
                    yield from self._look()
                except KeyboardInterrupt:
                    if interrupted:
                        raise
                    interrupted = True
                    self._stop()
            if interrupted:
                raise KeyboardInterrupt

    def _begin(self, jobs: int) -> None:
        """Start as many workers as are missing, and give each a network to train."""
        while len(self._workers) < jobs:
            self._workers.append(self._hired(jobs))
        # This encodes the rows, while the workers load what they need.
        for worker in self._workers:
            self._give(worker)

    def _hired(self, jobs: int) -> "Worker":
        try:
            return Worker()
        except OSError as error:
            which = f"process {len(self._workers) + 1} of {jobs} that train networks"
            raise OSError(error.errno, f"{which} cannot be started: {error.strerror}; say fewer --jobs") from None

    @property
    def _at_work(self) -> bool:
        """Whether any network is being trained."""
        return any(worker.turn for worker in self._workers)

    def _look(self) -> Iterator[tuple[Course, Member, TrainedNetwork]]:
        """Wait a moment for what the workers say; the networks that are done."""
        heard = wait([worker.connection for worker in self._workers if worker.turn], LOOK_EVERY_S)
        for worker in self._workers:
            if worker.connection in heard and worker.turn:
                yield from self._heard(worker, *worker.turn)

    def _stop(self) -> None:
        """Let every network that is being trained end with its best epoch so far, and begin no other."""
        self._waiting.clear()
        for worker in self._workers:
            worker.tell(STOP)

    def _heard(self, worker: "Worker", course: Course, number: int) -> Iterator[tuple[Course, Member, TrainedNetwork]]:
        said = worker.hear()
        if isinstance(said, Epoch):
            course.run.watch(number, course.folds, said)
            return
        if isinstance(said, Exception) and not (course.run.candidate and isinstance(said, Diverged)):
            raise said
        self._give(worker)
        if said is None:
            return
        course.run.ended(number, course.folds)
        if isinstance(said, Outcome):
            yield course, *said.applied(course.build(number), number)

    def _give(self, worker: "Worker") -> None:
        """Let a worker train the next network that there is time for."""
        while self._waiting:
            course, number = self._waiting.popleft()
            if course.run.has_time_for(number):
                worker.train(course, number)
                return


class Worker:
    """A process that trains networks. `turn` is the one that it is at."""

    def __init__(self) -> None:
        """Start it.

        :raises OSError: no process or descriptor more may be had.
        """
        self.turn: Turn | None = None
        self._course: Course | None = None
        with ExitStack() as kept:
            here, there = map(kept.enter_context, socketpair())
            self._process = subprocess.Popen(  # noqa: S603  Ourselves.
                [sys.executable, "-P", "-c", BEGIN, json.dumps(sys.path), str(there.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | ONE_THREAD,
                pass_fds=(there.fileno(),),
                process_group=0,
            )
            self.connection = Connection(here.detach())

    def train(self, course: Course, number: int) -> None:
        """Let it train a network; what it says of it is to be heard."""
        self.turn = course, number
        if course is not self._course:
            self._course = course
            # This encodes the rows, if nobody has.
            self.tell(Task.of(course), course.start.shared_file.fileno())
        run = course.run
        self.tell(Order(number, course.start.split.folds[number], run.checkpoint_of(number), run.train_of(number)))

    def tell(self, message: Task | Order | str, descriptor: int | None = None) -> None:
        """Tell it what it has to know, with the file that it lies in, what to do, or to stop.

        :raises WorkerLost: it is gone.
        """
        try:
            self.connection.send(message)
            if descriptor is not None:
                send_handle(self.connection, descriptor, self._process.pid)
        except OSError:
            raise self._lost() from None

    def hear(self) -> Epoch | Outcome | Exception | None:
        """An epoch of its network, or what has become of it in the end: why it could not go on; None if no epoch was
        over.

        :raises WorkerLost: it is gone.
        """
        try:
            said = self.connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        if not isinstance(said, Epoch):
            self.turn = None
        assert said is None or isinstance(said, Epoch | Outcome | Exception)
        return said

    def _lost(self) -> WorkerLost:
        code = self._process.wait()
        which = "a process"
        if self.turn:
            course, number = self.turn
            of = "a candidate" if course.run.candidate else f"member {number + 1} of {course.folds}"
            which = f"the process of {of}"
        if code < 0:
            return WorkerLost(
                f"{which} was killed by {Signals(-code).name}; if there is too little memory, fewer --jobs need less, "
                "and with --resume the same command goes on after the last epoch"
            )
        return WorkerLost(f"{which} failed with exit code {code}; what it said stands above")

    def end(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.wait()
        self.connection.close()
