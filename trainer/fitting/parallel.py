"""The members of a bag trained at the same time, each in a process of its own, with the same outcome to the last bit.

A worker is a fresh interpreter: a fork would carry over the threads of pyarrow and of the terminal, whose locks nobody
would release. It reads the encoded rows from pages that all processes share, trains one member after the other as it is
told, with one thread, and ends when whoever has started it is gone. It is no part of the terminal's group of processes,
so that one Ctrl-C reaches it once: by way of who has started it.
"""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from signal import Signals
from socket import socketpair

from models.machine import available_cores
from trainer.errors import WorkerLost
from trainer.fitting.members import Member, Run, TrainedNetwork, build_member
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
    "from trainer.fitting.worker import work; work(int(sys.argv[2]), int(sys.argv[3]))"
)


def jobs_for(config: TrainingConfig, start: Start) -> int:
    """How many members are trained at a time where nobody says: as many as there are cores, if that is worth it."""
    folds = start.split.folds
    steps = sum(-(-len(fold.train) // config.batch_of(len(fold.train))) for fold in folds) * config.epochs
    return min(available_cores(), len(folds)) if steps >= FEWEST_STEPS else 1


def side_by_side(
    config: TrainingConfig, start: Start, run: Run, numbers: Sequence[int], *, jobs: int
) -> Iterator[tuple[Member, TrainedNetwork]]:
    """Train members, so many at a time, and give each back when it is done.

    :raises Diverged: a loss stopped being finite.
    :raises OSError: a checkpoint could not be written, or the rows not be shared.
    :raises WorkerLost: a process was killed, or failed.
    :raises KeyboardInterrupt: Ctrl-C came; the members that have an epoch behind them were given back before.
    """
    crew = Crew(config, start, run, numbers)
    interrupted = False
    try:
        with held_back() as ctrl_c:
            crew.begin(jobs)
            while crew.at_work:
                try:
                    ctrl_c.let_through()
                    yield from crew.look()
                except KeyboardInterrupt:
                    if interrupted:
                        raise
                    interrupted = True
                    crew.stop()
            if interrupted:
                raise KeyboardInterrupt
    finally:
        crew.end()


class Crew:
    """The processes that train the members of one bag."""

    def __init__(self, config: TrainingConfig, start: Start, run: Run, numbers: Sequence[int]) -> None:
        self._config, self._start, self._run = config, start, run
        self._members = len(start.split.folds)
        self._waiting = deque(numbers)
        self._workers: list[Worker] = []

    def begin(self, jobs: int) -> None:
        """Start so many workers, and give each a member."""
        for _ in range(min(jobs, len(self._waiting))):
            self._workers.append(Worker(self._start.shared_file.fileno(), self._members))
        # This encodes the rows, while the workers load what they need.
        task = Task.of(self._config, self._start)
        for worker in self._workers:
            worker.tell(task)
            self._give(worker)

    @property
    def at_work(self) -> bool:
        """Whether any member is being trained."""
        return any(worker.member is not None for worker in self._workers)

    def look(self) -> Iterator[tuple[Member, TrainedNetwork]]:
        """Wait a moment for what the workers say; the members that are done."""
        connections = [worker.connection for worker in self._workers if worker.member is not None]
        heard = wait(connections, LOOK_EVERY_S)
        for worker in self._workers:
            if worker.connection in heard and worker.member is not None:
                yield from self._heard(worker, worker.member)

    def stop(self) -> None:
        """Let every member that is being trained end with its best epoch so far, and begin no other."""
        self._waiting.clear()
        for worker in self._workers:
            worker.tell(STOP)

    def end(self) -> None:
        """End the processes, whatever they are at."""
        for worker in self._workers:
            worker.end()
        self._start.shared_file.close()

    def _heard(self, worker: "Worker", member: int) -> Iterator[tuple[Member, TrainedNetwork]]:
        said = worker.hear()
        if isinstance(said, Epoch):
            self._run.watch(member, self._members, said)
            return
        deadline = self._run.deadline
        if self._waiting and (deadline is None or deadline.left_s > 0):
            self._give(worker)
        if said is not None:
            self._run.ended(member, self._members)
            yield said.applied(build_member(self._config, self._start, member), member)

    def _give(self, worker: "Worker") -> None:
        member, run = self._waiting.popleft(), self._run
        worker.train(Order(member, self._start.split.folds[member], run.checkpoint_of(member), run.train_of(member)))


class Worker:
    """A process that trains members. `member` is the one that it is at."""

    def __init__(self, rows: int, members: int) -> None:
        """Start it, with the descriptor of the file that the encoded rows are in or will be."""
        self.member: int | None = None
        self._members = members
        here, there = socketpair()
        with there:
            self._process = subprocess.Popen(  # noqa: S603  Ourselves.
                [sys.executable, "-P", "-c", BEGIN, json.dumps(sys.path), str(there.fileno()), str(rows)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=os.environ | ONE_THREAD,
                pass_fds=(there.fileno(), rows),
                process_group=0,
            )
        self.connection = Connection(here.detach())

    def train(self, order: Order) -> None:
        """Let it train a member; what it says of it is to be heard."""
        self.member = order.number
        self.tell(order)

    def tell(self, message: Task | Order | str) -> None:
        """Tell it what it has to know, what to do, or to stop.

        :raises WorkerLost: it is gone.
        """
        try:
            self.connection.send(message)
        except OSError:
            raise self._lost() from None

    def hear(self) -> Epoch | Outcome | None:
        """An epoch of its member, or what has become of it in the end: None if no epoch was over.

        :raises TrainerError: it could not go on.
        :raises OSError: it could not write.
        """
        try:
            said = self.connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        if isinstance(said, Exception):
            raise said
        if not isinstance(said, Epoch):
            self.member = None
        assert said is None or isinstance(said, Epoch | Outcome)
        return said

    def _lost(self) -> WorkerLost:
        code = self._process.wait()
        which = "a process" if self.member is None else f"the process of member {self.member + 1} of {self._members}"
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
