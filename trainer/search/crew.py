"""The worker processes of one machine, from the first trial to the last."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from trainer.errors import WorkerLost
from trainer.search.plan import Trials
from trainer.search.rows import share
from trainer.search.search import Search
from trainer.search.worker import Order, work

LOOK_EVERY_S = 0.1
# One death may be a person's or the kernel's; a trial that takes every worker with it is stopped.
MOST_DEATHS = 3

Watch = Callable[[Trials, int], None]


def run_workers(search: Search, watch: Watch) -> None:
    """Let worker processes finish the trials, or search until the time is over; `watch` is called now and then.

    No more processes are started than there are trials left.

    :raises TrainerError: a worker could not go on.
    :raises OSError: a worker could not write.
    """
    request = search.request
    deadline = time.monotonic() + (request.time_limit_s or float("inf"))
    with ExitStack() as stack:
        folder = stack.enter_context(request.place.folder_of_rows())
        order = Order.of(search, share(search.table, search.config, search.plan.box, folder))
        finished: Trials = search.finished()
        left = sum(index not in finished for index in range(search.trials))
        crew = stack.enter_context(_crew(order, min(request.jobs, left)))
        # Without one trial there would be nothing to publish, however short the time.
        while crew.at_work() and (time.monotonic() < deadline or not finished):
            finished = search.finished()
            watch(finished, search.trials)
            crew.replace_the_dead(len(finished))
            time.sleep(LOOK_EVERY_S)
    watch(search.finished(), search.trials)


class Crew:
    """The worker processes of this machine."""

    def __init__(self, order: Order, jobs: int) -> None:
        self._order = order
        # A fresh interpreter: a fork would carry over locks, connections and threads.
        self._context = multiprocessing.get_context("spawn")
        self._workers = [self._hire() for _ in range(jobs)]
        self._deaths = self._finished = 0

    def _hire(self) -> tuple[SpawnProcess, Connection]:
        here, there = self._context.Pipe(duplex=False)
        process = self._context.Process(target=work, args=(self._order, there), daemon=True)
        process.start()
        there.close()
        return process, here

    def at_work(self) -> bool:
        return any(process.exitcode != 0 for process, _ in self._workers)

    def replace_the_dead(self, finished: int) -> None:
        """Hire a worker for each that was killed.

        :raises TrainerError: one could not go on, or one after the other is killed while no trial is finished.
        """
        if finished > self._finished:
            self._finished, self._deaths = finished, 0
        for place, (process, failures) in enumerate(self._workers):
            if process.exitcode in (None, 0):
                continue
            if failure := _said(failures):
                raise failure
            if process.exitcode > 0:
                raise WorkerLost(f"a worker failed with exit code {process.exitcode}; what it said stands above")
            self._deaths += 1
            if self._deaths > MOST_DEATHS:
                raise WorkerLost(
                    f"{self._deaths} workers were killed and no trial was finished meanwhile; there may be too little "
                    "memory: fewer --jobs, or fewer units in --space, and the same command goes on"
                )
            self._workers[place] = self._hire()

    def dismiss(self) -> None:
        for process, _ in self._workers:
            process.kill()
        for process, failures in self._workers:
            process.join()
            failures.close()


@contextmanager
def _crew(order: Order, jobs: int) -> Iterator[Crew]:
    crew = Crew(order, jobs)
    try:
        yield crew
    finally:
        crew.dismiss()


def _said(failures: Connection) -> Exception | None:
    """What a worker said last; one that was killed said nothing."""
    try:
        said: Exception | None = failures.recv() if failures.poll() else None
    except EOFError:
        return None
    return said
