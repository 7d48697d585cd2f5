"""The supervisor: the process that was started, which keeps the workers alive.

Each worker has a listening socket of its own, which the supervisor holds open. Who takes the place of a dead worker
goes on with the same socket, so a connection that waited there is served, not reset.
"""

import logging
import mmap
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Protocol

from service.errors import NEVER_READY, NeverReady

log = logging.getLogger(__name__)

SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
# What tells a worker that its successor serves: it takes no more connections, drains and ends.
RETIRE = signal.SIGUSR1
# The `si_code` of a signal that the kernel sends, as it does when a terminal is closed: SI_KERNEL of sigaction(2).
BY_KERNEL = 0x80
LOOK_SECONDS = 1.0
# A worker whose loop has not moved for so many looks hangs. Counted, not timed: the machine itself may have slept.
HUNG_LOOKS = 30
# A worker that cannot live is not started more often than this.
RESTART_SECONDS = 1.0
# A renewal that failed is tried again after so long, then after twice as long, and so on.
RENEWAL_SECONDS, LONGEST_RENEWAL_SECONDS = 1.0, 60.0

# What a worker does with its socket; the number of its seat, which no other living process has; what it has to call
# again and again; and a file descriptor that ends when the supervisor does.
Work = Callable[[socket.socket, int, Callable[[], None], int], None]


class Record(Protocol):
    """Where the supervisor tells what it sees."""

    def note(self, amounts: Mapping[str, int]) -> None:
        """How many `workers` there are."""

    def count_exit(self, cause: str) -> None:
        """A worker ended: by a `signal`, an exit `code`, a `hang`, a `renewal` or a `failed_renewal`."""

    def vacate(self, seat: int) -> None:
        """Nobody has this seat any more."""


@dataclass
class Worker:
    """A process that serves. `place` is the number of its socket, `seat` that of its beats and its metrics."""

    place: int
    seat: int
    started: float
    # Whom it replaces, until it serves.
    predecessor: int | None = None
    # Once it has been replaced: when it has to be gone.
    retired_until: float = inf
    beats: int = 0
    still_looks: int = 0

    @property
    def hangs(self) -> bool:
        return self.still_looks >= HUNG_LOOKS

    @property
    def renewing(self) -> bool:
        """Whether it replaces another, or is being replaced."""
        return self.predecessor is not None or self.retired_until < inf


class Supervisor:
    """Starts workers and replaces those that die or hang, until it is told to stop.

    SIGTERM is passed on, and stops each worker in its own time; a second one, or SIGINT, stops them at once. SIGHUP
    replaces every worker by a new one, one after the other: the new one serves before the old one is told, and the old
    one is gone before the next is replaced, so that there is never more than one worker too many. A SIGHUP
    from the kernel says that the terminal was closed: it stops the workers like SIGTERM, except under nohup.
    """

    def __init__(
        self,
        work: Work,
        sockets: Sequence[socket.socket],
        patience: float,
        record: Record,
        tend: Callable[[], None] = lambda: None,
    ) -> None:
        """There is a worker for each socket. Told to stop, it has `patience` seconds. `tend` is called at each look."""
        self._tend = tend
        self._work = work
        self._sockets = sockets
        self._patience = patience
        self._record = record
        self._workers: dict[int, Worker] = {}
        # Places without a worker, and from when on they may have one.
        self._vacant = dict.fromkeys(range(len(sockets)), 0.0)
        # Places whose worker is to be renewed, from when on, and how often that has failed.
        self._renewals: deque[int] = deque()
        self._renewal_due, self._renewals_failed = 0.0, 0
        # While a worker is being renewed there are two at its place.
        self._beats = memoryview(mmap.mmap(-1, 8 * (len(sockets) + 1))).cast("q")
        self._lifeline = os.pipe()
        self._served = False
        self._stop_until: float | None = None
        self._terminated = False
        # The exit codes of workers since SIGTERM came.
        self._codes: set[int] = set()

    def run(self) -> None:
        """Until every worker has ended.

        :raises NeverReady: SIGTERM came before any worker could answer.
        :raises ChildProcessError: a worker ended before any has ever served.
        :raises OSError: none could be started.
        """
        outlives_terminal = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        while self._stop_until is None or self._workers:
            if self._stop_until is None:
                self._fill()
                self._tend()
            self._record.note({"workers": len(self._workers)})
            told = signal.sigtimedwait(SIGNALS, LOOK_SECONDS)
            if told is not None:
                self._obey(told, outlives_terminal)
            self._bury()
            self._look(counted=told is None)
            self._renew()
        # One that was ended before it knew of signals had no model either.
        if self._codes and self._codes <= {NEVER_READY, -signal.SIGTERM}:
            raise NeverReady("it was told to end before it was ready")

    def _obey(self, told: signal.struct_siginfo, outlives_terminal: bool) -> None:
        if told.si_signo in (signal.SIGTERM, signal.SIGINT):
            self._stop(signal.Signals(told.si_signo))
        elif told.si_signo == signal.SIGHUP and told.si_code == BY_KERNEL:
            if self._stop_until is None and not outlives_terminal:
                log.info("the terminal was closed", extra={"signal": "SIGHUP"})
                self._stop(signal.SIGTERM)
        elif told.si_signo == signal.SIGHUP:
            log.info("renewing the workers", extra={"signal": "SIGHUP"})
            self._renewals.extend(place for place in range(len(self._sockets)) if place not in self._renewals)

    def _fill(self) -> None:
        for place, due in list(self._vacant.items()):
            if due <= monotonic():
                self._vacant[place] = monotonic() + RESTART_SECONDS
                if self._start(place):
                    del self._vacant[place]

    def _start(self, place: int, predecessor: int | None = None) -> bool:
        """Start a worker; whether the system lets it.

        :raises OSError: it does not, and has let none before.
        """
        taken = {worker.seat for worker in self._workers.values()}
        seat = next(seat for seat in range(len(self._beats)) if seat not in taken)
        self._beats[seat] = 0
        try:
            process = os.fork()
        except OSError as error:
            if not self._served:
                self._tell(signal.SIGKILL)
                raise OSError(error.errno, error.strerror, "worker") from None
            log.error("worker not started", extra={"reason": error.strerror})
            return False
        if process:
            self._workers[process] = Worker(place, seat, monotonic(), predecessor)
            return True
        # Only from here on may a signal reach the worker, which has to say first what it means. A terminal that is
        # closed tells all processes; who renews the workers is the supervisor.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(self._lifeline[1])

        def beat() -> None:
            self._beats[seat] += 1

        for listening in self._sockets:
            if listening is not self._sockets[place]:
                listening.close()
        self._work(self._sockets[place], seat, beat, self._lifeline[0])
        sys.exit()

    def _stop(self, number: signal.Signals) -> None:
        again = self._stop_until is not None
        self._terminated = self._terminated or number == signal.SIGTERM
        self._stop_until = monotonic() + self._patience
        self._tell(signal.SIGINT if again else number)
        # Once the workers close theirs, nobody listens any more, and who connects is told at once.
        for listening in self._sockets:
            listening.close()
        log.info("stopping", extra={"signal": number.name})

    def _bury(self) -> None:
        """Forget the dead, and leave their places to others."""
        while self._workers:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            worker = self._workers.pop(process, None)
            if worker is None:
                continue
            self._served = self._served or any(self._beats)
            code = os.waitstatus_to_exitcode(status)
            self._record.vacate(worker.seat)
            if self._stop_until is None:
                self._replace(process, worker, code)
            elif self._terminated:
                self._codes.add(code)

    def _replace(self, process: int, worker: Worker, code: int) -> None:
        """Say why a worker ended, and see to it that there will be another."""
        if not self._served:
            self._tell(signal.SIGKILL)
            raise ChildProcessError(None, f"it ended with code {code} before it served", "worker")
        if worker.retired_until < inf:
            self._record.count_exit("renewal")
            return
        failed = worker.predecessor is not None
        cause = "failed_renewal" if failed else "hang" if worker.hangs else "signal" if code < 0 else "code"
        self._record.count_exit(cause)
        log.error("worker died", extra={"worker": process, "code": code, "cause": cause})
        if any(each.place == worker.place and each.retired_until == inf for each in self._workers.values()):
            if failed:
                self._postpone(worker.place, f"its successor ended with code {code} before it took over")
            return
        own = self._sockets[worker.place]
        # At a Unix socket, which all workers have in common, the others answer who waits.
        if not self._beats[worker.seat] and own.family != socket.AF_UNIX:
            # Who waits would wait for long. The next worker that serves listens anew; until then the others do.
            with suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)
        self._vacant[worker.place] = worker.started + RESTART_SECONDS

    def _look(self, counted: bool) -> None:
        """See who lives, and kill who hangs; only looks that nothing hastened count."""
        for process, worker in self._workers.items():
            beats = self._beats[worker.seat]
            # Until it has served once, it loads its models, and that takes as long as it takes.
            still = beats == worker.beats > 0
            worker.still_looks = worker.still_looks + counted if still else 0
            worker.beats = beats
            if worker.hangs:
                log.error("worker hangs", extra={"worker": process})
            if worker.hangs or worker.retired_until < monotonic():
                os.kill(process, signal.SIGKILL)
        if self._stop_until is not None and monotonic() > self._stop_until:
            self._tell(signal.SIGKILL)

    def _renew(self) -> None:
        """Let the next worker be replaced, and who has been replaced end."""
        for process, worker in self._workers.items():
            if worker.predecessor is not None and worker.beats:
                self._retire(worker.predecessor, process)
                worker.predecessor = None
        busy = any(worker.renewing for worker in self._workers.values())
        if busy or not self._renewals or self._renewal_due > monotonic() or self._stop_until is not None:
            return
        place = self._renewals.popleft()
        predecessor = next((process for process, each in self._workers.items() if each.place == place), None)
        # A place that is vacant gets a new worker anyway.
        if predecessor is not None and not self._start(place, predecessor):
            self._postpone(place, "no process could be started")

    def _retire(self, process: int, successor: int) -> None:
        """Let a worker end that has been replaced."""
        self._renewals_failed = 0
        if process in self._workers:
            self._workers[process].retired_until = monotonic() + self._patience
            os.kill(process, RETIRE)
            log.info("worker renewed", extra={"worker": process, "successor": successor})

    def _postpone(self, place: int, reason: str) -> None:
        """Say that a renewal failed, and try it again after a while."""
        seconds = min(RENEWAL_SECONDS * 2**self._renewals_failed, LONGEST_RENEWAL_SECONDS)
        self._renewals_failed += 1
        self._renewal_due = monotonic() + seconds
        self._renewals.appendleft(place)
        log.error("worker not renewed", extra={"reason": reason, "next_try_seconds": seconds})

    def _tell(self, number: signal.Signals) -> None:
        for process in self._workers:
            os.kill(process, number)
