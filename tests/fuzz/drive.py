"""`python tests/fuzz/drive.py NAME SECONDS FOLDER`: let atheris look for an input that breaks a target's promise.

The seeds, the cases and what leads to new code go into FOLDER/corpus, where a second run goes on. The exit code is 0
unless it finds something, which then lies beside the corpus as `crash-…`, `timeout-…` or `oom-…`: put such a file into
cases/NAME/ and mend what it breaks.
"""

import json
import logging
import random
import sys
from pathlib import Path
from typing import Any

import atheris

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["models", "service", "trainer.data"]):
    from tests.fuzz.targets import CASES, TARGETS

LONGEST_INPUT = 1 << 17
# fmt: off
ODD: list[Any] = [
    None, True, -1, 0, 1.5, 1e39, 1e308, -0.0, 2**63, 10**30, "", "NaN", "é\0\u202e", "x" * 300, "__class__",
    [], {}, [[]], {"": None}, "FP32", "BYTES", "INT64", "BOOL",
]
# fmt: on


def main(name: str, seconds: str, folder: str) -> None:
    logging.disable()
    target = TARGETS[name]
    corpus = Path(folder) / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    for case in (CASES / name).glob("*"):
        (corpus / f"case-{case.name}").write_bytes(case.read_bytes())

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        """Half of the time a document stays a document, with one of its values exchanged."""
        draw = random.Random(seed)
        if draw.random() < 0.5:
            try:
                document = json.loads(data[target.head :])
            except (ValueError, RecursionError):
                pass
            else:
                text = json.dumps(_changed(document, draw), ensure_ascii=False).encode(errors="surrogatepass")
                return (data[: target.head] + text)[:longest]
        mutated: bytes = atheris.Mutate(data, longest)
        return mutated

    options = [
        f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=2048", f"-max_len={LONGEST_INPUT}",
        f"-artifact_prefix={folder}/", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run, custom_mutator=mutate)
    atheris.Fuzz()


def _changed(document: Any, draw: random.Random) -> Any:
    """A copy with one value exchanged, left out or doubled, drawn from all that it holds."""
    if isinstance(document, dict) and document and draw.random() < 0.8:
        key = draw.choice(list(document))
        changed = dict(document)
        if draw.random() < 0.1:
            value = changed.pop(key)
            return changed if draw.random() < 0.5 else {**changed, draw.choice(["", "x", key + "é"]): value}
        changed[key] = _changed(document[key], draw)
        return changed
    if isinstance(document, list) and document and draw.random() < 0.8:
        index = draw.randrange(len(document))
        if draw.random() < 0.2:
            return document[:index] + document[index + 1 :] if draw.random() < 0.5 else document + document[index:]
        return [*document[:index], _changed(document[index], draw), *document[index + 1 :]]
    return draw.choice(ODD)


if __name__ == "__main__":
    main(*sys.argv[1:])
