"""From one measured worker to a million predictions a second: the simulation of benchmarks/queueing.py held against the
real service, then run where nothing can be measured.

PYTHONPATH=. python benchmarks/scaling.py [--seconds 2] [--rounds 3]     measures, simulates the same, prints both
PYTHONPATH=. python benchmarks/scaling.py --turn 54 --each 25            takes a cost in µs instead of measuring one

Measuring needs wrk and taskset, and two cores; writes docs/scaling.svg.
"""

import argparse
import math
import os
from dataclasses import replace
from pathlib import Path

from benchmarks.calibration import TOGETHER, compare, table
from benchmarks.queueing import Cost, Fleet, Policy, Seen, closed_loop, open_loop
from trainer.report.axes import Axis
from trainer.report.plot import Plot
from trainer.report.svg import element

DAY = 24 * 3600.0
MILLION = 1e6
POLICIES: dict[Policy, str] = {
    "kept": "10 connections a worker, each kept where it was first sent",
    "random": "each request to any",
    "turns": "each request to the next (round robin)",
    "two": "each request to the better of two",
}
# µs of processor for a prediction, as docs/benchmarks.md has them: the digits, one worker, 16 connections.
FORMATS = {
    "one row, by position": 44,
    "one row, by name": 52,
    "one row, V2 JSON": 57,
    "one row, V2 binary": 49,
    "one row, V2 raw": 43,
    "a thousand rows, JSON": 3.4,
    "a thousand rows, V2 binary": 1.3,
}
# How many requests a point of a curve takes, and how busy a worker is meant to be.
REQUESTS = 30_000
BUSY = 0.7
STYLE = """
text { font: 12px sans-serif; fill: #333 } .small { font-size: 11px } .paper { fill: #fff }
.grid { stroke: #ddd } .axis { stroke: #888 } .curve { fill: none; stroke-width: 2 }
.l0 { stroke: #0b6e99 } .l1 { stroke: #b4510b; stroke-dasharray: 5 3 } .t0 { fill: #0b6e99 } .t1 { fill: #b4510b }
"""
PICTURE = Path(__file__).parents[1] / "docs/scaling.svg"


def loads(cost: Cost) -> float:
    """How long requests take, by how many come. The rate of a worker that is 70 % busy."""
    apart, rates, at = replace(cost, together=1), (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9), 0.0
    table("requests/s | busy | in a turn | mean | p99 | without batching: busy | mean | p99")
    for rate in (share * cost.most for share in rates):
        seen = open_loop(cost, 1, rate, REQUESTS)
        row = f"| {rate:.0f} | {seen.busy:.2f} | {seen.together:.1f} | {_times_of(seen)} "
        if rate < 0.95 * apart.most:
            one = open_loop(apart, 1, rate, REQUESTS)
            row += f"| {one.busy:.2f} | {_times_of(one)} |"
        else:
            row += "| more than it can answer | | |"
        print(row)
    low, high = 0.0, cost.most
    while high - low > 0.01 * cost.most:
        at = (low + high) / 2
        low, high = (at, high) if open_loop(cost, 1, at, REQUESTS).busy < BUSY else (low, at)
    print(
        f"\n{BUSY:.0%} busy: {at:.0f} requests/s, {1e6 * BUSY / at:.0f} µs of processor each; at most {cost.most:.0f}"
    )
    return at


def million(cost: Cost, rate: float) -> None:
    """Cores for a million predictions a second, each at most 70 % busy."""
    sixteen = closed_loop(cost, [16], 0.2, way=3e-5).together
    dearer = BUSY / rate / (cost.turn / sixteen + cost.each)
    table("a million predictions a second, as | µs each | cores, never idle | cores, 70 % busy | replicas of two")
    for name, micros in FORMATS.items():
        cores = micros * (dearer if micros > 10 else 1) / BUSY
        print(f"| {name} | {micros} | {micros:.1f} | {cores:.1f} | {math.ceil(cores / 2)} |")


def _times_of(seen: Seen) -> str:
    return f"{1e6 * seen.mean:.0f} µs | {1e6 * seen.quantile(0.99):.0f} µs"


def balancing(cost: Cost, rate: float, workers: int) -> None:
    """Who sends which request where, at the rate of a worker that is 70 % busy."""
    table(f"{workers} workers | mean | p99 | p99.9")
    for policy, said in POLICIES.items():
        seen = open_loop(cost, workers, workers * rate, 200 * workers, policy)
        print(f"| {said} | {_times_of(seen)} | {1e6 * seen.quantile(0.999):.0f} µs |")


def fleets(replicas: int, load: float) -> None:
    """Failures and rolling updates; `load` is how much of what replicas can answer is asked of them."""
    asked = f"{replicas} replicas, asked for {load:.0%} of what they can answer"
    table(f"{asked} | lost, of a million a second | at the busiest")
    for unnoticed, why in ((1.0, "the balancer sees it"), (50.0, "a node is gone, and Kubernetes waits")):
        fleet = Fleet(replicas, load * replicas, 30 * DAY, unnoticed, 60.0)
        lost = fleet.run(30 * DAY) * MILLION * DAY
        name = f"each fails once in 30 days, noticed in {unnoticed:.0f} s: {why}"
        print(f"| {name} | {_count(lost)} a day | {_busiest(fleet):.0%} |")
    for share, unnoticed in ((3, 1.0), (3, 50.0), (20, 50.0)):
        fleet = Fleet(replicas, load * replicas, unnoticed=unnoticed, starting=300.0)
        fleet.fail(replicas // share, 10.0)
        lost = fleet.run(600.0) * 600 * MILLION
        name = f"one in {share} gone at once, noticed in {unnoticed:.0f} s, back in 5 min"
        print(f"| {name} | {_count(lost)} | {_busiest(fleet):.0%} |")
    table(
        "rolling update, endpoints 3 s late, a start takes 10 s | takes | lost, of a million a second | at the busiest"
    )
    for surge, drain in ((1, 10), (replicas // 10, 10), (replicas // 4, 10), (replicas // 4, 2), (replicas // 4, 0)):
        fleet = Fleet(replicas, load * replicas, unnoticed=3.0, starting=10.0)
        fleet.update(surge, drain)
        lost = fleet.run(20_000.0) * 20_000 * MILLION
        name = f"{surge} at a time, a drain of {drain} s"
        print(f"| {name} | {fleet.updated / 60:.1f} min | {_count(lost)} | {_busiest(fleet):.0%} |")


def _count(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ")


def _busiest(fleet: Fleet) -> float:
    return max(busy for _, busy in fleet.busiest)


def draw(cost: Cost) -> str:
    """p99 over the rate of a worker, with batching and without, as SVG."""
    apart = replace(cost, together=1)
    curves = {}
    for name, one in (("batching", cost), ("one by one", apart)):
        rates = [one.most * share / 40 for share in range(2, 39)]
        curves[name] = [(rate / 1000, 1000 * open_loop(one, 1, rate, REQUESTS).quantile(0.99)) for rate in rates]
    plot = Plot(
        Axis("uniform", 0, math.ceil(cost.most / 5000) * 5),
        Axis("log", 0.1, 10.0),
        "Milliseconds in which 99 of 100 requests are answered, over thousands of requests a second to one worker",
        width=620.0,
        right=80.0,
        x_title="thousand requests a second to one worker",
        y_title="p99, ms",
    )
    for number, line in enumerate(curves.values()):
        plot.line(line, f"curve l{number}")
    plot.names([(line[-1], name, f"t{number}") for number, (name, line) in enumerate(curves.items())])
    styled = element("style", STYLE) + element("rect", width="100%", height="100%", cls="paper")
    drawn = plot.drawing().replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    head, _, rest = drawn.partition(">")
    return f"{head}>{styled}{rest}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turn", type=float, help="µs of a turn; with --each, nothing is measured")
    parser.add_argument("--each", type=float, help="µs of a request in it")
    parser.add_argument("--replicas", type=int, default=1000)
    options = parser.parse_args()
    if options.turn and options.each:
        cost = Cost(options.turn / 1e6, options.each / 1e6, TOGETHER)
    else:
        cost = compare(options.seconds, options.rounds)
    rate = loads(cost)
    million(cost, rate)
    balancing(cost, rate, options.replicas)
    fleets(options.replicas, rate / cost.most)
    PICTURE.write_text(draw(cost))


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
