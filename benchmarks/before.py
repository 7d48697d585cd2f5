"""The service as it is in this checkout and as it was in another, in turn, round after round: what a change costs.

PYTHONPATH=. python benchmarks/before.py --before FOLDER --data FOLDER

`--before` is another checkout, as of `git worktree add FOLDER COMMIT`; `--data` holds the table adult. One worker each
on one core, the load on the other. Needs wrk and taskset. The models are those of benchmarks/served.py.
"""

import argparse
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.load import Load, Server, running
from benchmarks.served import KEYS, requests, train_models
from benchmarks.serving import free_port

ROOT = Path(__file__).parents[1]
ASKED = ("by position", "by name", "mixed, by name", "V2 JSON", "V2 binary", "1000 rows, JSON", "1000 rows, V2 binary")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        store = Path(folder)
        train_models(store, options.data)
        asked = requests(store, options.data)
        servers: list[Server] = []
        for root in (ROOT, options.before.absolute()):
            port = free_port()
            environment = {
                "EVENKEEL_REPOSITORY": str(store),
                "EVENKEEL_PORT": str(port),
                "EVENKEEL_WORKERS": "1",
                "EVENKEEL_API_KEYS_FILE": str(store / KEYS),
            }
            command = f"{sys.executable} -m service"
            servers.append(stack.enter_context(running(command, root, environment, port, asked["by position"])))
        print("| now, of before | requests/s, 16 connections | processor | requests/s, 1 connection | p50 |")
        print("|---|---|---|---|---|")
        for name in ASKED:
            cells = []
            for connections, parts in ((16, ("rate", "cpu")), (1, ("rate", "p50"))):
                pairs: list[list[Load]] = []
                for turn in range(options.rounds):
                    # Whoever is first finds the machine as the one before has left it.
                    order = servers if turn % 2 == 0 else servers[::-1]
                    loads = [server.measure(asked[name], connections, options.seconds) for server in order]
                    pairs.append(loads if turn % 2 == 0 else loads[::-1])
                cells += [
                    statistics.median(getattr(now, part) / getattr(old, part) for now, old in pairs) for part in parts
                ]
            print(f"| {name} | {' | '.join(f'{cell:.2f}' for cell in cells)} |", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
