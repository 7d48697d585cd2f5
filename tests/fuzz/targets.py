"""What is fuzzed: each target takes any bytes and raises only where a promise is broken.

A refusal is a promise kept. `cases/NAME/` holds what once broke one, and seeds are inputs that reach deep.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import bodies, connections, files

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Target:
    """`run` takes an input; its first `head` bytes choose how the rest is sent."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    head: int = 0


TARGETS = {
    "connection": Target(connections.speak_alone, connections.connection_seeds, head=1),
    "crowd": Target(connections.speak_together, connections.crowd_seeds, head=2),
    "body": Target(bodies.predict, bodies.predict_seeds, head=1),
    "open_inference": Target(bodies.infer, bodies.infer_seeds, head=2),
    "invocations": Target(bodies.invoke, bodies.invoke_seeds, head=1),
    "explanations": Target(bodies.explain, bodies.explain_seeds),
    "card": Target(files.load_card, files.card_seeds),
    "structure": Target(files.read_structure, files.structure_seeds),
    "table": Target(files.inspect_table, files.table_seeds),
}
