"""What a worker takes while it is asked: the most memory that it had, and how long its event loop let health wait."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.conftest import Service

# Peak memory of a worker: what it takes idle, what its threads take of any body, and so many bodies of the longest.
PIECES, BODIES = 96 << 20, 16
# The longest that the event loop may be busy with one thing, and the longest that health may take.
PAUSE_S, HEALTH_S = 0.1, 0.25
TRIES = 3
# Asks for health again and again, in a process of its own, as the one that sends is busy. For each line of input it
# tells the longest answer since the last. What the kernel let the worker's threads, or this process, wait for a
# processor is no pause of the loop, and is left out: so a busy machine lets no test fail.
PROBE = """
import http.client, os, select, sys, time
worker = sys.argv[2]

def waited():
    nanoseconds = 0
    for place in (*(f"/proc/{worker}/task/{task}" for task in os.listdir(f"/proc/{worker}/task")), "/proc/self"):
        try:
            with open(f"{place}/schedstat") as file:
                nanoseconds += int(file.read().split()[1])
        except OSError:
            pass
    return nanoseconds / 1e9

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=120)
slowest = as_seen = 0.0
while True:
    before, began = waited(), time.perf_counter()
    connection.request("GET", "/v2/health/live")
    connection.getresponse().read()
    seconds = time.perf_counter() - began
    as_seen, slowest = max(as_seen, seconds), max(slowest, seconds - max(waited() - before, 0.0))
    if select.select([sys.stdin], [], [], 0.0)[0]:
        if not sys.stdin.readline():
            break
        print(slowest, as_seen, flush=True)
        slowest = as_seen = 0.0
    time.sleep(0.005)
"""


class Vitals:
    """Those of the only worker of a service, which takes bodies of at most `limit` bytes."""

    def __init__(self, service: Service, port: int, limit: int) -> None:
        self.port, self.limit = port, limit
        self.worker = worker_of(service)
        self._idle = self._memory("VmRSS")
        command = [sys.executable, "-c", PROBE, str(port), str(self.worker)]
        self._probe = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hold(self, case: str, ask: Callable[[], object], pause: float = PAUSE_S, tries: int = TRIES) -> None:
        """What is asked takes no more memory than is promised, and the event loop has no longer pause; of a few times,
        for not all that a machine does to a process is told.
        """
        for _ in range(tries):
            Path(f"/proc/{self.worker}/clear_refs").write_text("5")
            self._slowest()
            ask()
            slowest, as_seen = self._slowest()
            more = self._memory("VmHWM") - self._idle
            print(f"{case}: {more >> 20} MB; health {1000 * slowest:.0f} ms, {1000 * as_seen:.0f} as seen")
            assert more <= PIECES + BODIES * self.limit, case
            if slowest <= pause:
                return
        raise AssertionError(f"{case}: the loop had a pause of {1000 * slowest:.0f} ms in each of {tries} times")

    def close(self) -> None:
        self._probe.communicate()

    def _memory(self, kind: str) -> int:
        (line,) = [one for one in Path(f"/proc/{self.worker}/status").read_text().splitlines() if one.startswith(kind)]
        return int(line.split()[1]) << 10

    def _slowest(self) -> tuple[float, float]:
        """Seconds of the longest answer since this was asked last: without what the machine took, and with it."""
        assert self._probe.stdin is not None
        assert self._probe.stdout is not None
        self._probe.stdin.write("\n")
        self._probe.stdin.flush()
        slowest, as_seen = map(float, self._probe.stdout.readline().split())
        return slowest, as_seen


def worker_of(service: Service) -> int:
    """The process of a service's only worker."""
    pid = service.process.pid
    (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(worker)
