"""Ten times the load that a worker can take, and a thousand clients that are slow: what the others notice of it.

PYTHONPATH=. python benchmarks/overload.py [--seconds 5] [--slow 1000]

One worker on one core, the load on the other. Needs wrk and taskset. Model: penguins, as the tests have it.
"""

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load import CLIENT_CORE, Request, Server, open_loop, running, wrk

ROOT = Path(__file__).parents[1]
STORE = ROOT / "tests/service/published"
ROW = ["Biscoe", 45.1, 14.5, 215, 5000, "female", 2007]
ONE = Request("/predict", json.dumps({"instance": ROW}).encode())
MANY = Request("/predict", json.dumps({"instances": [ROW] * 1000}).encode())
ENOUGH = 16
RATE = 300.0
HEAD = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WHOLE_HEAD = f"{HEAD}Content-Length: {len(ONE.body)}\r\n\r\n"
# What slow clients say before they become slow, and then a byte of each second.
SLOW = {
    "silent": (b"", b""),
    "slow heads": (b"POST /predict HTTP/1.1\r\nX-Slow: ", b"a"),
    "slow bodies": (WHOLE_HEAD.encode(), b" "),
    "slow readers": ((WHOLE_HEAD.encode() + ONE.body) * 10, b""),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--slow", type=int, default=1000)
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"EVENKEEL_REPOSITORY": str(STORE), "EVENKEEL_PORT": str(port), "EVENKEEL_WORKERS": "1"}
    with running(f"{sys.executable} -m service", ROOT, environment, port, ONE) as server:
        server.wake()
        for name, request in (("one row", ONE), ("1 000 rows", MANY)):
            overload(server, name, request, options.seconds)
        slow(server, options.slow, options.seconds)


def overload(server: Server, name: str, request: Request, seconds: int) -> None:
    """Goodput at ten and thirty times enough connections, a refusal's time, and how soon all is well again."""
    most = wrk(server.port, request, ENOUGH, seconds)
    alone = statistics.median(ask(server.port, ONE)[1] for _ in range(50))
    print(f"\n{name}: {most.rate:.0f} answers/s at {ENOUGH} connections, p99 {most.p99 / 1000:.1f} ms")
    for connections in (10 * ENOUGH, 500):
        with asking(server.port, request) as asked:
            load = wrk(server.port, request, connections, seconds, may_refuse=True)
            ended = time.perf_counter()
        while ask(server.port, ONE)[1] > 2 * alone + 0.001:
            pass
        refusals = sorted(taken for status, taken in asked if status == 503)
        took = f"a 503 took {1000 * statistics.median(refusals):.0f} ms (median)" if refusals else "none seen refused"
        print(
            f"  {connections} connections: goodput {load.rate / most.rate:.2f} of that, {load.refused:.0%} refused, "
            f"p99 {load.p99 / 1000:.0f} ms, {took}, recovered after {time.perf_counter() - ended:.2f} s"
        )


def slow(server: Server, count: int, seconds: int) -> None:
    """A healthy client's p99 beside slow clients, over its p99 without."""
    alone = steady(server.port, seconds)
    print(f"\n{RATE:.0f} requests/s: p50 {alone[0]:.0f} µs, p99 {alone[1]:.0f} µs; memory {server.memory_mb():.0f} MB")
    for name, (said, byte) in SLOW.items():
        with crowd(server.port, count, said, byte):
            beside = steady(server.port, seconds)
            memory = server.memory_mb()
        again = steady(server.port, seconds)
        ratio = beside[1] / statistics.mean((alone[1], again[1]))
        print(f"  {count} {name}: p99 × {ratio:.2f} ({beside[1]:.0f} µs, without {again[1]:.0f} µs), {memory:.0f} MB")
        alone = again


def steady(port: int, seconds: int) -> tuple[float, float]:
    load = open_loop(port, ONE, RATE, seconds)
    return load.p50, load.p99


def ask(port: int, request: Request) -> tuple[int, float]:
    """One request on a connection of its own: its status, and the seconds from when it was sent."""
    head = f"{HEAD}Connection: close\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        began = time.perf_counter()
        connection.sendall(f"{head}Content-Length: {len(request.body)}\r\n\r\n".encode() + request.body)
        said = connection.recv(1 << 16)
    return int(said[9:12] or 0), time.perf_counter() - began


@contextmanager
def asking(port: int, request: Request) -> Iterator[list[tuple[int, float]]]:
    """A client of its own beside the load."""
    asked: list[tuple[int, float]] = []
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.05):
            asked.append(ask(port, request))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


CROWD = """
import socket, sys, time
port, count, said, byte = int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3]), bytes.fromhex(sys.argv[4])
crowd = []
for _ in range(count):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    one.connect(("127.0.0.1", port))
    one.setblocking(False)
    crowd.append(one)
    try:
        one.send(said)
    except OSError:
        pass
print("here", flush=True)
while True:
    for one in crowd:
        time.sleep(1 / count)
        try:
            one.send(byte)
        except OSError:
            pass
"""


@contextmanager
def crowd(port: int, count: int, said: bytes, byte: bytes) -> Iterator[None]:
    """Slow clients, in a process of their own."""
    command = ["taskset", "-c", CLIENT_CORE, sys.executable, "-c", CROWD, str(port), str(count), said.hex(), byte.hex()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        time.sleep(5)
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
