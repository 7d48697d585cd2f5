"""Workers, replicas and their clients as a discrete-event simulation (simpy). Times are in seconds.

Two models. `Worker` is one event loop, request by request: a turn takes `Cost.turn`, and `Cost.each` for each request
that had arrived by its beginning. `Fleet` is many replicas over hours: requests are a flow that is shared by those that
the balancer believes in; failures, restarts and rolling updates are events. benchmarks/scaling.py holds it against the
real service.
"""

import math
import random
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import simpy

Process = Generator[simpy.Event, Any, None]
Policy = Literal["random", "turns", "least", "two", "kept"]
# Of policy "kept": how many connections a worker has on average. Each stays where it was first sent.
CONNECTIONS = 10


@dataclass(frozen=True)
class Cost:
    """Seconds of a turn, and of each request in it; how many share a turn at most. `exponential` draws each turn's time
    from that distribution, with the same mean.
    """

    turn: float
    each: float
    together: int = 32
    exponential: bool = False

    @property
    def alone(self) -> float:
        """Seconds for a request that has a turn for itself."""
        return self.turn + self.each

    @property
    def most(self) -> float:
        """Requests a second of a worker that never waits for one."""
        return self.together / (self.turn + self.each * self.together)

    def seconds(self, requests: int, chance: random.Random) -> float:
        mean = self.turn + self.each * requests
        return chance.expovariate(1 / mean) if self.exponential else mean


class Worker:
    """One event loop: it answers what has arrived, as many as share a turn, and looks again."""

    def __init__(self, env: simpy.Environment, cost: Cost, chance: random.Random) -> None:
        self._env, self._cost, self._chance = env, cost, chance
        self._waiting: deque[tuple[float, Callable[[float], None]]] = deque()
        self._called = env.event()
        self.busy = 0.0
        self.held = self.turns = self.answered = 0
        env.process(self._run())

    def ask(self, answered: Callable[[float], None]) -> None:
        """Let a request arrive now; `answered` is called with the seconds that it took."""
        self._waiting.append((self._env.now, answered))
        self.held += 1
        if not self._called.triggered:
            self._called.succeed()

    def _run(self) -> Process:
        while True:
            if not self._waiting:
                self._called = self._env.event()
                yield self._called
            turn = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._cost.together))]
            seconds = self._cost.seconds(len(turn), self._chance)
            yield self._env.timeout(seconds)
            self.busy += seconds
            self.turns += 1
            self.held -= len(turn)
            self.answered += len(turn)
            for arrived, answered in turn:
                answered(self._env.now - arrived)


@dataclass(frozen=True)
class Seen:
    """What clients see: answers a second and sorted latencies; and of the workers, the share of the time in which they
    are busy, and how many requests share a turn.
    """

    rate: float
    latencies: Sequence[float]
    busy: float
    together: float

    def quantile(self, share: float) -> float:
        return self.latencies[min(int(share * len(self.latencies)), len(self.latencies) - 1)]

    @property
    def mean(self) -> float:
        return math.fsum(self.latencies) / len(self.latencies)


def open_loop(cost: Cost, workers: int, rate: float, requests: int, policy: Policy = "random", seed: int = 0) -> Seen:
    """So many requests in all, arriving by chance at `rate` a second, whatever becomes of them."""
    env, chance = simpy.Environment(), random.Random(seed)
    crew = [Worker(env, cost, chance) for _ in range(workers)]
    latencies: list[float] = []
    kept = chance.choices(crew, k=CONNECTIONS * workers)

    def arrive() -> Process:
        for number in range(requests):
            yield env.timeout(chance.expovariate(rate))
            _choose(kept if policy == "kept" else crew, policy, number, chance).ask(latencies.append)

    env.process(arrive())
    env.run()
    # The first tenth finds the workers empty.
    return _seen(crew, latencies, env.now, len(latencies) // 10)


def _choose(crew: Sequence[Worker], policy: Policy, number: int, chance: random.Random) -> Worker:
    """The worker of the next request: any, each in turn, that with the least to do, or the better of two."""
    if policy in ("random", "kept"):
        return chance.choice(crew)
    if policy == "turns":
        return crew[number % len(crew)]
    among = crew if policy == "least" else (chance.choice(crew), chance.choice(crew))
    return min(among, key=lambda one: one.held)


def closed_loop(
    cost: Cost, connections: Sequence[int], seconds: float, client: float = 0.0, way: float = 0.0, seed: int = 0
) -> Seen:
    """A load generator, as wrk: it takes `client` seconds for each answer and asks again on the same connection. Each
    worker has so many connections; `way` is what the kernel takes from one side to the other and back.
    """
    env, chance = simpy.Environment(), random.Random(seed)
    crew = [Worker(env, cost, chance) for _ in connections]
    generator = Worker(env, Cost(0.0, client, 1), chance)
    latencies: list[float] = []

    def connection(worker: Worker) -> None:
        asked = env.now

        def answered(_: float) -> None:
            latencies.append(env.now - asked)
            generator.ask(lambda _: connection(worker))

        env.timeout(way).callbacks.append(lambda _: worker.ask(answered))

    for worker, count in zip(crew, connections, strict=True):
        for _ in range(count):
            connection(worker)
    env.run(until=seconds)
    return _seen(crew, latencies, seconds, 0)


def _seen(crew: Sequence[Worker], latencies: Sequence[float], seconds: float, skipped: int) -> Seen:
    busy, turns = sum(one.busy for one in crew), sum(one.turns for one in crew)
    answered = sum(one.answered for one in crew)
    return Seen(answered / seconds, sorted(latencies[skipped:]), busy / seconds / len(crew), answered / max(turns, 1))


@dataclass
class Fleet:
    """Replicas that fail, are found out, start again, and are replaced by a rolling update.

    Requests are a flow of `load`, in replicas that would have as much to do as they can: 600 is 60 % of a thousand.
    """

    replicas: int
    load: float
    # Each fails after so long on average; the balancer sends it requests for `unnoticed` more.
    between_failures: float = math.inf
    unnoticed: float = 1.0
    starting: float = 5.0
    seed: int = 0
    lost: float = field(default=0.0, init=False)
    # When, and what share of a ready replica's time was taken then; and when the last update has ended.
    busiest: list[tuple[float, float]] = field(default_factory=list, init=False)
    updated: float = field(default=math.nan, init=False)

    def __post_init__(self) -> None:
        self._env, self._chance = simpy.Environment(), random.Random(self.seed)
        self._ready, self._believed, self._since = self.replicas, self.replicas, 0.0
        if self.between_failures < math.inf:
            self._env.process(self._fail())

    def run(self, seconds: float) -> float:
        """Let so much time go by; the share of the requests that were lost."""
        self._env.run(until=seconds)
        self._change(0, 0)
        return self.lost / (self.load * seconds)

    def update(self, surge: int, drain: float = 0.0, at: float = 0.0) -> None:
        """Replace every replica, `surge` at a time: new ones start, then old ones are told to stop and drain."""
        self._env.process(self._update(surge, drain, at))

    def fail(self, count: int, at: float = 0.0) -> None:
        """Let so many replicas fail at once, as a zone does."""
        self._env.process(self._fall(count, at))

    def _change(self, ready: int, believed: int) -> None:
        """Count what has happened since the last event, then so many replicas more or less."""
        seconds, self._since = self._env.now - self._since, self._env.now
        dead = max(self._believed - self._ready, 0) / max(self._believed, 1)
        # Beyond what replicas can answer, and what is sent to those that are gone.
        over = max(0.0, self.load * (1 - dead) - self._ready)
        self.lost += seconds * (self.load * dead + over)
        self._ready += ready
        self._believed += believed
        self.busiest.append((self._env.now, min(self.load / max(self._ready, 1), 1.0)))

    def _fail(self) -> Process:
        while True:
            yield self._env.timeout(self._chance.expovariate(max(self._ready, 1) / self.between_failures))
            self._env.process(self._fall(1, 0.0))

    def _fall(self, count: int, at: float) -> Process:
        yield self._env.timeout(at)
        self._change(-count, 0)
        yield self._env.timeout(self.unnoticed)
        self._change(0, -count)
        yield self._env.timeout(self.starting)
        self._change(count, count)

    def _update(self, surge: int, drain: float, at: float) -> Process:
        yield self._env.timeout(at)
        left = self.replicas
        while left:
            now = min(surge, left)
            yield self._env.timeout(self.starting)
            self._change(now, now)
            # Who drains answers on, and gets no more once the balancer knows: nobody loses anything.
            self._env.process(self._leave(now, min(drain, self.unnoticed)))
            left -= now
        self.updated = self._env.now

    def _leave(self, count: int, answering: float) -> Process:
        gone = self.unnoticed - answering
        yield self._env.timeout(answering)
        self._change(-count, 0 if gone else -count)
        if gone:
            yield self._env.timeout(gone)
            self._change(0, -count)
