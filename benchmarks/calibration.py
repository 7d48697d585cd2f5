"""The cost of a turn and of a request, measured on the real service; and how far the simulation of
benchmarks/queueing.py is from what was measured. benchmarks/scaling.py runs it.
"""

import math
import resource
import socket
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.load import SERVER_CORE, Load, Server, running, wrk
from benchmarks.overload import ONE, STORE
from benchmarks.queueing import Cost, Seen, closed_loop

ROOT = Path(__file__).parents[1]
CONNECTIONS = (1, 4, 16, 64)
TOGETHER = 32
# The service, with another limit of how many requests share a turn.
START = "import service.http.dispatch as d; d.TOGETHER = {}; from service.__main__ import main; exit(main())"


@dataclass(frozen=True)
class Measured:
    """What a load generator saw, and the processor's seconds for a request: the workers', and the generator's.

    `share` is how much of the time in which they wanted a processor the workers had one. `dealt` is how many
    connections each worker had, by how long it ran: the kernel deals them by chance.
    """

    load: Load
    worker: float
    client: float
    share: float
    dealt: tuple[int, ...]


@contextmanager
def service(workers: int, together: int) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {"EVENKEEL_REPOSITORY": str(STORE), "EVENKEEL_PORT": str(port), "EVENKEEL_WORKERS": f"{workers}"}
    command = f"{sys.executable} -c '{START.format(together)}'"
    cores = SERVER_CORE if workers == 1 else "0,1"
    with running(command, ROOT, variables, port, ONE, cores) as server:
        server.wake()
        yield server


def measure(server: Server, workers: int, connections: int, seconds: int) -> Measured:
    before, generator = _times(server), resource.getrusage(resource.RUSAGE_CHILDREN)
    load = wrk(server.port, ONE, connections, seconds)
    after, used = _times(server), resource.getrusage(resource.RUSAGE_CHILDREN)
    answers = load.rate * seconds
    each = [tuple(then - now for then, now in zip(after[one], before[one], strict=True)) for one in before]
    # The supervisor runs hardly at all.
    loops = sorted(each, reverse=True)[:workers]
    ran, waited = (sum(times) / 1e9 for times in zip(*loops, strict=True))
    client = used.ru_utime + used.ru_stime - generator.ru_utime - generator.ru_stime
    dealt = [round(connections * one / 1e9 / ran) for one, _ in loops[1:]]
    return Measured(load, ran / answers, client / answers, ran / (ran + waited), (connections - sum(dealt), *dealt))


def _times(server: Server) -> dict[int, tuple[int, int]]:
    """Of each process, nanoseconds in which its main thread ran, and in which it wanted to and could not."""
    group, times = server.process.pid, {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[2]) == group:
                ran, waited, _ = map(int, (status.parent / "schedstat").read_text().split())
                times[int(status.parent.name)] = ran, waited
        except OSError:
            continue
    return times


def calibrate(idle: Measured, apart: Measured, shared: Measured) -> tuple[Cost, float]:
    """The cost of a turn and of a request, by one worker that is never idle, without batching and with full turns; and
    what one connection waits for besides, while the kernel wakes both sides.
    """
    turn = (apart.worker - shared.worker) / (1 - 1 / TOGETHER)
    cost = Cost(turn, apart.worker - turn, TOGETHER)
    return cost, max(idle.load.p50 / 1e6 - cost.alone / idle.share, 0.0)


def simulate(cost: Cost, way: float, measured: Measured) -> Seen:
    """The same load, dealt as it was, on the same share of the processor."""
    slower = replace(cost, turn=cost.turn / measured.share, each=cost.each / measured.share)
    return closed_loop(slower, measured.dealt, 0.3, measured.client / measured.share, way)


def compare(seconds: int, rounds: int) -> Cost:
    """Measure, simulate, print."""
    found: dict[tuple[int, int, int], list[Measured]] = {}
    kinds = [(workers, together) for workers in (1, 2) for together in (1, TOGETHER)]
    for _ in range(rounds):
        for workers, together in kinds:
            with service(workers, together) as server:
                wrk(server.port, ONE, 16, 1)
                for connections in CONNECTIONS:
                    one = measure(server, workers, connections, seconds)
                    found.setdefault((workers, together, connections), []).append(one)
    # What else runs on the machine can only take something away.
    best = {key: max(of, key=lambda one: one.load.rate) for key, of in found.items()}
    cost, way = calibrate(best[1, 1, 1], best[1, 1, 64], best[1, TOGETHER, 64])
    print(f"a turn {1e6 * cost.turn:.1f} µs, a request {1e6 * cost.each:.1f} µs, the way {1e6 * way:.0f} µs")
    table("workers | batching | connections | µs | share | rate | simulated | ratio | p50 | simulated | ratio")
    ratios = []
    for (workers, together, _), one in best.items():
        seen = simulate(replace(cost, together=together), way, one)
        rate, p50 = seen.rate / one.load.rate, 1e6 * seen.quantile(0.5) / one.load.p50
        ratios.append(rate)
        batching = "yes" if together > 1 else "no"
        print(
            f"| {workers} | {batching} | {' + '.join(map(str, one.dealt))} | {1e6 * one.worker:.0f} | {one.share:.2f} "
            f"| {one.load.rate:.0f} | {seen.rate:.0f} | {rate:.2f} "
            f"| {one.load.p50:.0f} | {1e6 * seen.quantile(0.5):.0f} | {p50:.2f} |"
        )
    spread = math.exp(statistics.fmean(abs(math.log(ratio)) for ratio in ratios))
    print(f"rates are off by a factor of {spread:.2f} on average, of {max(max(r, 1 / r) for r in ratios):.2f} at worst")
    return cost


def table(head: str) -> None:
    """The head of a table in Markdown."""
    print(f"\n| {head} |\n{'|---' * (head.count('|') + 1)}|")
