"""Load for servers: wrk, an open loop, and processes that stand still while others are measured."""

import contextlib
import math
import os
import re
import selectors
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

SERVER_CORE, CLIENT_CORE = "0", "1"
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Request:
    """What is sent: path, body, headers."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Load:
    """What came of it: answers a second, latencies in microseconds, the part of the requests that was refused, and the
    processor's microseconds for an answer.
    """

    rate: float
    p50: float
    p99: float
    refused: float = 0.0
    cpu: float = math.nan


@dataclass
class Server:
    """A process group that can be put to sleep."""

    port: int
    process: subprocess.Popen[bytes]
    ready_s: float

    def measure(self, request: Request, connections: int, seconds: int) -> Load:
        self._signal(signal.SIGCONT)
        try:
            wrk(self.port, request, connections, 1)
            before = self._cpu_seconds()
            load = wrk(self.port, request, connections, seconds)
            return replace(load, cpu=1e6 * (self._cpu_seconds() - before) / (load.rate * seconds or math.nan))
        finally:
            self._signal(signal.SIGSTOP)

    def memory_mb(self) -> float:
        """Resident memory of the largest process of the group: the worker."""
        group = str(os.getpgid(self.process.pid))
        sizes = subprocess.run(["ps", "-o", "rss=", "-g", group], capture_output=True, text=True, check=True).stdout
        return max(int(size) for size in sizes.split()) / 1024

    def _cpu_seconds(self) -> float:
        """What all processes of the group have had of the processor."""
        group = str(os.getpgid(self.process.pid))
        told = subprocess.run(["ps", "-o", "pid=", "-g", group], capture_output=True, text=True, check=True).stdout
        fields = [Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split() for process in told.split()]
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")

    def _signal(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)


@contextlib.contextmanager
def running(
    command: str, folder: Path, environment: Mapping[str, str], port: int, request: Request, cores: str = SERVER_CORE
) -> Iterator[Server]:
    """A server pinned to its core, or cores, from its first right answer on; asleep until it is measured."""
    started = time.perf_counter()
    process = subprocess.Popen(
        ["taskset", "-c", cores, *shlex.split(command)],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(port, request)
        server = Server(port, process, time.perf_counter() - started)
        os.killpg(process.pid, signal.SIGSTOP)
        yield server
    finally:
        for number in (signal.SIGCONT, signal.SIGTERM):
            os.killpg(process.pid, number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _wait(port: int, request: Request) -> None:
    url = f"http://127.0.0.1:{port}{request.path}"
    asked = urllib.request.Request(url, request.body, dict(request.headers))
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(asked, timeout=2) as response:
            if response.status == 200:
                return
        time.sleep(0.02)
    raise TimeoutError(f"{url} did not answer")


def wrk(port: int, request: Request, connections: int, seconds: int, may_refuse: bool = False) -> Load:
    """Closed loop: each connection asks again as soon as it has its answer.

    A refusal stops the benchmark, or, where the server may refuse, does not count as an answer.
    """
    escaped = "".join(f"\\{byte:03d}" for byte in request.body)
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in request.headers.items())
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f'wrk.method = "POST"\n{headers}\nwrk.body = "{escaped}"\n')
        script.flush()
        command = ["taskset", "-c", CLIENT_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
        url = f"http://127.0.0.1:{port}{request.path}"
        told = subprocess.run([*command, "-s", script.name, url], capture_output=True, text=True, check=True).stdout
    if ("Non-2xx" in told and not may_refuse) or "Socket errors" in told:
        raise RuntimeError(told)
    refusals = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    refused = int(refusals[1]) / int(_found(r"(\d+) requests in", told)[0]) if refusals else 0.0
    rate = float(_found(r"Requests/sec:\s+([\d.]+)", told)[0]) * (1 - refused)
    p50, p99 = (_microseconds(*_found(rf"{share}%\s+([\d.]+)(us|ms|s)", told)) for share in (50, 99))
    return Load(rate, p50, p99, refused)


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(text)
    return match.groups()


def _microseconds(number: str, unit: str) -> float:
    return float(number) * {"us": 1.0, "ms": 1e3, "s": 1e6}[unit]


def open_loop(port: int, request: Request, rate: float, seconds: float, connections: int = 64) -> Load:
    """A request each 1/rate seconds, whether the last one was answered or not; latencies count from that moment."""
    head = f"POST {request.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(request.body)}\r\n"
    message = (head + "".join(f"{name}: {value}\r\n" for name, value in request.headers.items()) + "\r\n").encode()
    message += request.body
    os.sched_setaffinity(0, {int(CLIENT_CORE)})
    selector = selectors.DefaultSelector()
    idle: deque[socket.socket] = deque()
    for _ in range(connections):
        one = socket.create_connection(("127.0.0.1", port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(one, selectors.EVENT_READ)
        idle.append(one)
    due: dict[socket.socket, float] = {}
    latencies: list[float] = []
    began = time.perf_counter()
    sent = 0
    while len(latencies) < rate * seconds:
        now = time.perf_counter()
        while idle and sent < rate * seconds and began + sent / rate <= now:
            one = idle.popleft()
            due[one] = began + sent / rate
            one.sendall(message)
            sent += 1
        for key, _ in selector.select(max(0.0, began + sent / rate - time.perf_counter()) if idle else None):
            answered = key.fileobj
            assert isinstance(answered, socket.socket)
            answer = answered.recv(1 << 16)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"a request was answered with {answer[:200]!r}")
            latencies.append(time.perf_counter() - due.pop(answered))
            idle.append(answered)
    elapsed = time.perf_counter() - began
    latencies.sort()
    p50, p99 = (1e6 * latencies[int(share * len(latencies))] for share in (0.50, 0.99))
    return Load(len(latencies) / elapsed, p50, p99)
