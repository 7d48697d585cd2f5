"""One table scored by one model: blocks are read, answered and written in turn."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from evenkeel.errors import Unanswered
from evenkeel.scoring.local import decision_of, sets_of
from evenkeel.tables.rows import RowReader, Rows, Tensors
from evenkeel.tables.written import Answers, Columns, Writer, writing
from models.card import ModelCard
from models.terminal import printable, tell
from trainer.arrays import Array
from trainer.data.blocks import Block, Blocks, open_blocks
from trainer.data.schema import FileSchema
from trainer.data.stated import stated_schema
from trainer.data.wording import REMEDIES
from trainer.errors import InvalidTable

# Of the kinds of warnings, so many are told on the terminal.
MOST_TOLD = 10

# Of rows by their places in a block: the feature at fault, if one is, and what is wrong.
Reasons = Mapping[int, tuple[str, str]]
# Makes the exception of a block's rows that cannot be answered, from a sentence, the place of its first row, and why.
Refuse = Callable[[str, int, Reasons], Exception]

# Class probabilities (n, classes) of rows, and, of rows that were not taken, why.
Answered = tuple[Array, dict[int, str]]


class Model(Protocol):
    """A version of a model that answers rows. `in_process` tells whether it does so in this process."""

    in_process: bool

    @property
    def card(self) -> ModelCard: ...

    def answer(self, tensors: dict[str, Any]) -> Answered: ...


class _Turns:
    """Does one thing after another: `aside`, in a thread, while whoever gives it goes on; else at once.

    A service may be waited for long, and Ctrl-C would wait for the thread.
    """

    def __init__(self, *, aside: bool) -> None:
        self._thread = ThreadPoolExecutor(1) if aside else None
        self._under_way: Future[None] | None = None

    def __enter__(self) -> "_Turns":
        return self

    def take(self, task: Callable[[], None]) -> None:
        """Wait for what is under way, whose exception is raised here, and begin with the next."""
        if self._thread is None:
            task()
            return
        self._wait()
        self._under_way = self._thread.submit(task)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._thread is not None:
            with self._thread:
                # What went wrong there concerns rows before those of what went wrong here.
                if kind is None or issubclass(kind, Exception):
                    self._wait()

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()


class Run:
    """A table scored by a model. With `keep_going` a row that cannot be answered is counted, and ends nothing."""

    def __init__(self, model: Model, *, keep_going: bool, refuse: Refuse | None = None) -> None:
        self._model, self._keep_going, self._refuse = model, keep_going, refuse
        self._decide, self._sets = decision_of(model.card), sets_of(model.card)
        self._rows, self._unanswered, self._warned = 0, 0, 0
        self._first = ""
        self._kinds: Counter[str] = Counter()
        self._notes: list[str] = []

    def score(self, path: Path, output: Path | None, given: FileSchema) -> None:
        """Write the rows of a table with their answers; `given` overrules how the training table's file was read.

        :raises InvalidTable: the table lacks a feature, cannot be read, or a row cannot be answered.
        """
        card = self._model.card
        with open_blocks(path, stated_schema(card).file.overruled(given)) as table:
            check_features(path, table, card)
            columns = Columns(table.names, card.classes, with_sets=self._sets is not None)
            with writing(output, table.empty, columns, table.delimiter) as writer, _Progress(table) as progress:
                self.answer(table, writer, progress.show)

    def answer(self, table: Blocks, writer: Writer, show: Callable[[int], None] = lambda rows: None) -> None:
        """Hand the rows of a table that has every feature to a writer, with their answers; `show` hears how many.

        :raises InvalidTable: a row cannot be answered, or the table not be read.
        """
        reader = RowReader(self._model.card, stated_schema(self._model.card))
        with _Turns(aside=self._model.in_process) as turns:
            for block in table.blocks:
                turns.take(partial(self._score, block, reader.read(block), writer))
                show(self._rows)
        show(self._rows)
        self._notes = table.notes

    def said(self) -> Iterator[tuple[str, str]]:
        """What was left out and what is unusual: of what kind it is, and a sentence."""
        for one in self._notes:
            yield "note", f"{one}; {REMEDIES[one.partition(': ')[0]]}"
        if self._kinds:
            told = [f"{printable(kind, 200)} ({rows})" for kind, rows in self._kinds.most_common(MOST_TOLD)]
            more = f", and {len(self._kinds) - MOST_TOLD} kinds more" if len(self._kinds) > MOST_TOLD else ""
            yield f"warnings in {self._warned} of {self._rows} rows", ", ".join(told) + more

    @property
    def unanswered(self) -> str:
        """A sentence about the rows that have no answer; "" where all have one."""
        if not self._unanswered:
            return ""
        return f"{self._unanswered} of {self._rows} rows have no answer, first {self._first}"

    def tell(self, output: Path | None) -> None:
        """Say on stderr what was left out and what is unusual.

        :raises Unanswered: some rows have no answer.
        """
        for kind, sentence in self.said():
            tell(kind, sentence)
        if self.unanswered:
            raise Unanswered(self.unanswered + (f"; the others are in {output}" if output else ""))

    def _score(self, block: Block, rows: Rows, writer: Writer) -> None:
        """Ask about the rows of a block, and write it with its answers."""
        self._check(block, rows.reasons)
        answered = np.ones(len(block), np.bool_)
        answered[list(rows.reasons)] = False
        fit = np.flatnonzero(answered)
        some, refused = self._answers(rows.tensors, fit)
        reasons = {**rows.reasons, **{int(fit[row]): ("", why) for row, why in refused.items()}}
        self._check(block, reasons)
        probabilities = np.zeros((len(block), len(self._model.card.classes)), np.float32)
        probabilities[fit] = some
        answered[list(reasons)] = False
        remarks, kinds = rows.remarks(~answered)
        self._warned += sum(map(bool, remarks))
        for row, (feature, why) in reasons.items():
            remarks[row] = f"{feature}: {why}" if feature else why
        if reasons and not self._unanswered:
            row = min(reasons)
            self._first = f"{block.place(row)}: {printable(remarks[row], 200)}"
        labels = np.array(self._decide(probabilities), np.intp)
        members = None if self._sets is None else self._sets(probabilities)
        writer.write(block.table, Answers(labels, probabilities, answered, remarks, members))
        self._rows += len(block)
        self._unanswered += len(reasons)
        self._kinds += kinds

    def _answers(self, tensors: Tensors, fit: npt.NDArray[np.intp]) -> Answered:
        """The answers to those rows of a block that are `fit` to be asked about, by their places (n,)."""
        if not len(fit):
            return np.empty((0, len(self._model.card.classes)), np.float32), {}
        whole = len(fit) == len(next(iter(tensors.values())))
        return self._model.answer(tensors if whole else {name: tensor[fit] for name, tensor in tensors.items()})

    def _check(self, block: Block, reasons: Reasons) -> None:
        """Refuse the first row that cannot be answered, unless the others are to be.

        :raises InvalidTable: there is one.
        """
        if reasons and not self._keep_going:
            row = min(reasons)
            feature, why = reasons[row]
            concerned = f", feature '{feature}'" if feature else ""
            way = "mend it, or say --on-error null to answer the other rows"
            sentence = f"{block.path}, {block.place(row)}{concerned}: {why}; {way}"
            raise InvalidTable(sentence) if self._refuse is None else self._refuse(sentence, self._rows, reasons)


def check_features(path: Path, table: Blocks, card: ModelCard) -> None:
    """Refuse a table that lacks a feature.

    :raises InvalidTable: it does.
    """
    for feature in card.features:
        if feature.name not in table.names:
            raise InvalidTable(
                f"{path} has no column '{feature.name}', which {card.name} was trained on; its columns are "
                f"{', '.join(table.names)[:400]}: add it{table.otherwise}"
            )


class _Progress:
    """A bar on stderr, where that is a terminal: how far into the file, how many rows, how many a second."""

    def __init__(self, table: Blocks) -> None:
        self._table, self._started = table, time.monotonic()
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print(file=sys.stderr)

    def show(self, rows: int) -> None:
        if self._shown:
            share = self._table.share()
            bar = "█" * round(24 * share)
            rate = rows / max(time.monotonic() - self._started, 1e-9)
            print(f"\r{bar:░<24} {share:4.0%}  {rows} rows  {rate:.0f}/s", end="", file=sys.stderr, flush=True)
