"""The processes of the service: the one that was started, which keeps the others alive, and its workers.

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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

log = logging.getLogger(__name__)

SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
LOOK_SECONDS = 1.0
# A worker whose loop has not moved for so many looks hangs. Counted, not timed: the machine itself may have slept.
HUNG_LOOKS = 30
# A worker that cannot live is not started more often than this.
RESTART_SECONDS = 1.0


# What a worker does with its socket, what it has to call again and again, and a file descriptor that ends when the
# supervisor does.
Work = Callable[[socket.socket, Callable[[], None], int], None]


@dataclass
class Worker:
    """A process that serves. `place` is the number of its socket, `seat` that of its beats."""

    place: int
    seat: int
    started: float
    beats: int = 0
    still_looks: int = 0
    predecessor: int | None = None


class Supervisor:
    """Starts workers and replaces those that die or hang, until it is told to stop.

    SIGTERM is passed on, and stops each worker in its own time; a second one, or SIGINT, stops them at once. SIGHUP
    replaces every worker by a new one, one after the other, each once the new one serves.
    """

    def __init__(self, work: Work, sockets: Sequence[socket.socket], patience: float) -> None:
        """There is a worker for each socket. Told to stop, it has `patience` seconds."""
        self._work = work
        self._sockets = sockets
        self._patience = patience
        self._workers: dict[int, Worker] = {}
        # Places without a worker, and from when on they may have one.
        self._vacant = dict.fromkeys(range(len(sockets)), 0.0)
        self._renewing: deque[int] = deque()
        # While a worker is being renewed there are two at its place.
        self._beats = memoryview(mmap.mmap(-1, 8 * 2 * len(sockets))).cast("q")
        self._lifeline = os.pipe()
        self._served = False
        self._stop_until: float | None = None

    def run(self) -> None:
        """Until every worker has ended.

        :raises ChildProcessError: a worker ended before any has ever served.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        while self._stop_until is None or self._workers:
            if self._stop_until is None:
                self._fill()
            told = signal.sigtimedwait(SIGNALS, LOOK_SECONDS)
            if told is not None and told.si_signo in (signal.SIGTERM, signal.SIGINT):
                self._stop(signal.Signals(told.si_signo))
            elif told is not None and told.si_signo == signal.SIGHUP:
                self._renewing.extend(sorted({worker.place for worker in self._workers.values()}))
            self._bury()
            self._look(counted=told is None)
            self._renew()

    def _fill(self) -> None:
        for place, due in list(self._vacant.items()):
            if due <= monotonic():
                del self._vacant[place]
                self._start(place)

    def _start(self, place: int, predecessor: int | None = None) -> None:
        taken = {worker.seat for worker in self._workers.values()}
        seat = next(seat for seat in range(len(self._beats)) if seat not in taken)
        self._beats[seat] = 0
        process = os.fork()
        if process:
            self._workers[process] = Worker(place, seat, monotonic(), predecessor=predecessor)
            return
        # Only from here on may a signal reach the worker, which has to say first what it means.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(self._lifeline[1])

        def beat() -> None:
            self._beats[seat] += 1

        for listening in self._sockets:
            if listening is not self._sockets[place]:
                listening.close()
        self._work(self._sockets[place], beat, self._lifeline[0])
        sys.exit()

    def _stop(self, number: signal.Signals) -> None:
        again = self._stop_until is not None
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
            if worker is None or self._stop_until is not None:
                continue
            if any(each.place == worker.place for each in self._workers.values()):
                continue
            code = os.waitstatus_to_exitcode(status)
            self._served = self._served or any(self._beats)
            if not self._served:
                self._tell(signal.SIGKILL)
                raise ChildProcessError(None, f"it ended with code {code} before it served", "worker")
            if not self._beats[worker.seat]:
                # Who waits would wait for long. The next worker that serves listens anew; until then the others do.
                with suppress(OSError):
                    self._sockets[worker.place].shutdown(socket.SHUT_RDWR)
            log.error("worker died", extra={"worker": process, "code": code})
            self._vacant[worker.place] = worker.started + RESTART_SECONDS

    def _look(self, counted: bool) -> None:
        """See who lives, and kill who hangs; only looks that nothing hastened count."""
        for process, worker in self._workers.items():
            beats = self._beats[worker.seat]
            # Until it has served once, it loads its models, and that takes as long as it takes.
            still = beats == worker.beats > 0
            worker.still_looks = worker.still_looks + counted if still else 0
            worker.beats = beats
            if worker.still_looks >= HUNG_LOOKS:
                log.error("worker hangs", extra={"worker": process})
                os.kill(process, signal.SIGKILL)
        if self._stop_until is not None and monotonic() > self._stop_until:
            self._tell(signal.SIGKILL)

    def _renew(self) -> None:
        """Let the next worker be replaced, and who has been replaced end."""
        renewed = [worker for worker in self._workers.values() if worker.predecessor is not None]
        for worker in renewed:
            if worker.beats and worker.predecessor is not None:
                if worker.predecessor in self._workers:
                    os.kill(worker.predecessor, signal.SIGINT)
                worker.predecessor = None
        if renewed or not self._renewing or self._stop_until is not None:
            return
        place = self._renewing.popleft()
        predecessor = next((process for process, each in self._workers.items() if each.place == place), None)
        if predecessor is not None:
            self._start(place, predecessor)

    def _tell(self, number: signal.Signals) -> None:
        for process in self._workers:
            os.kill(process, number)
