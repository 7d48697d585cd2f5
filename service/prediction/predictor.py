"""A predictor: one loaded version, its session and its card together. The only module that knows onnxruntime."""

import os
from collections.abc import Sequence
from functools import partial
from math import inf
from time import monotonic
from typing import Any, cast

import numpy as np

# The official builds phone home unless this is set before the import; later is too late for the first event.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from models.card import ModelCard
from models.features import Feature
from models.repository import PublishedModel
from service.document import encode
from service.errors import InvalidAnswer, RefusedModel, RunTimeout
from service.prediction.cost import TURN_SECONDS, cost, measure
from service.prediction.decision import decision
from service.prediction.sets import sets_of
from service.prediction.watchdog import WATCHDOG
from service.prediction.wording import Wording
from service.rows.reader import RowReader
from service.rows.rules import BrokenRules
from service.rows.tensors import Probabilities, Tensors, row_count
from service.telemetry.drift import Watch
from service.telemetry.lines import Origin

TOLERANCE = 1e-5
OUTPUTS = ["probabilities"]
SETS = ["set"]
# Those that decide the last bits of an answer.
LIBRARIES = {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__}
RUN_SECONDS = 5.0
# Rows go through the network in slices, so that what it holds between two layers does not grow with the request: of at
# most so many rows, and of fewer where so many numbers would be held: a megabyte, which the caches of a core hold.
MOST_ROWS, FEWEST_ROWS, MOST_NUMBERS = 4096, 64, 1 << 18
# Of the sum of a row's probabilities: rounding to 32 bits, of a thousand classes.
SUM_TOLERANCE = 1e-3
# Between a row alone and the same among others. What is refused is an answer that the batch decides, which is further
# off by far. What the trainer exports comes out the same to the last bit, which its tests hold. It is not asked here:
# the processor decides how sums are rounded, for one row perhaps otherwise than for many, and a version that an older
# trainer or another one has made is not to be good on one machine and bad on the next.
COMPANY_TOLERANCE = 1e-6
# Texts become onnxruntime's own in one go, in which no other thread has a turn: of so many in some 10 ms.
MOST_TEXTS = 1 << 17


class Predictor:
    """Answers with one version of one model. Safe to share between threads; create it in the process that uses it."""

    def __init__(self, model: PublishedModel) -> None:
        """Load a model and make it repeat its golden rows.

        :raises RefusedModel: it does not load, its signature is not the card's, or a golden row comes out differently.
        """
        self.card = model.card
        self.version = model.version
        named = {"name": model.card.name, "version": model.version}
        if model.card.threshold is not None:
            named |= {"positive": model.card.positive, "threshold": model.card.threshold}
        self.label = encode(named)
        self.decide = decision(model.card)
        self.sets = sets_of(model.card)
        self.wording = Wording(model.card.classes, self.decide, with_sets=self.sets is not None)
        self.rows = RowReader(model.card.features)
        self.watch = Watch(model.card, model.version, self.decide) if model.card.drift else None
        self.origin = Origin(model, self.decide, LIBRARIES)
        inputs: dict[str, Sequence[Feature]] = {"numeric": self.card.numeric, "categorical": self.card.categorical}
        # Cells of a row, and of its answer.
        self.width = len(model.card.features) + len(model.card.classes)
        self.inputs = {name: features for name, features in inputs.items() if features}
        self.references = self._references()
        session = _session(model)
        # With each run the session looks whether all inputs are there, which ours are; what it wraps does not.
        self._session: Any = getattr(session, "_sess", session)
        self._slice = _slice(model.card)
        # Those that no run uses at the moment: to make some for every run takes a row a thirteenth of its time.
        self._options: list[onnxruntime.RunOptions] = []
        # Those of runs that are known to end soon: of so many rows at most.
        self._brief_options, self._brief = onnxruntime.RunOptions(), 0
        WATCHDOG.start()
        self._check_signature(session)
        self._check_golden_rows()
        row = self.rows.read([self.card.golden[0].instance]).tensors
        self.pace = measure(partial(self.predict, seconds=inf), row)
        self._brief = min(self.pace.rows(TURN_SECONDS), self._slice)
        self.cost = cost(len(model.card.features), len(model.card.classes), self.pace)

    def predict(self, tensors: Tensors, seconds: float = RUN_SECONDS) -> Probabilities:
        """Softmax probabilities (n, classes), in the order of `card.classes`.

        :raises InvalidAnswer: a probability is not a finite number, or there are not as many answers as rows.
        :raises RunTimeout: it takes longer than `seconds`.
        """
        rows = row_count(tensors)
        probabilities: Probabilities
        if not rows:
            return np.empty((0, len(self.card.classes)), np.float32)
        if rows <= self._brief:
            (probabilities,) = self._session.run(OUTPUTS, tensors, self._brief_options)
        else:
            probabilities = self._watched(tensors, rows, seconds)
        if len(probabilities) != rows:
            raise InvalidAnswer("the model answered with more rows or fewer than it was asked for")
        # In bytes this takes a quarter of the time of `.all()`, which for a row alone counts.
        if 0 in np.isfinite(probabilities).tobytes():
            raise InvalidAnswer("the model answered with a probability that is not a finite number")
        return probabilities

    def _watched(self, tensors: Tensors, rows: int, seconds: float) -> Probabilities:
        """Run in slices, and be ended when the time is up."""
        try:
            options = self._options.pop()
        except IndexError:
            options = onnxruntime.RunOptions()
        due = WATCHDOG.due
        due[options] = monotonic() + seconds
        try:
            return self._in_slices(tensors, rows, options)
        except Exception:
            if options not in due:
                raise RunTimeout(f"the model took longer than {seconds:g} seconds; send fewer rows at once") from None
            raise
        finally:
            # Those of a run that was ended would end every other.
            if due.pop(options, None) is not None:
                self._options.append(options)

    def _in_slices(self, tensors: Tensors, rows: int, options: onnxruntime.RunOptions) -> Probabilities:
        most = self._slice
        if rows <= most:
            (answer,) = self._session.run(OUTPUTS, tensors, options)
            return cast(Probabilities, answer)
        probabilities = np.empty((rows, len(self.card.classes)), np.float32)
        for start in range(0, rows, most):
            part = {name: tensor[start : start + most] for name, tensor in tensors.items()}
            (answers,) = self._session.run(OUTPUTS, part, options)
            if len(answers) != min(most, rows - start):
                return np.empty((0, 0), np.float32)
            probabilities[start : start + most] = answers
        return probabilities

    def _references(self) -> dict[str, Tensors]:
        """What answers can be explained against, by name: the rows that the card has for it."""
        card = self.card
        rows = {"typical": [] if card.typical is None else [card.typical], "background": list(card.background)}
        try:
            return {name: self.rows.read(some).tensors for name, some in rows.items() if some}
        except BrokenRules as broken:
            raise RefusedModel(f"a typical or background row breaks the card: {broken}") from None

    def _check_signature(self, session: onnxruntime.InferenceSession) -> None:
        found = {value.name: (value.type, len(value.shape), value.shape[-1:]) for value in session.get_inputs()}
        types = {"numeric": "tensor(float)", "categorical": "tensor(string)"}
        if found != {name: (types[name], 2, [len(features)]) for name, features in self.inputs.items()}:
            raise RefusedModel("the inputs of model.onnx are not the features of its card")
        outputs = {value.name: (value.type, value.shape) for value in session.get_outputs()}
        kind, shape = outputs.get("probabilities", ("", []))
        if kind != "tensor(float)" or shape[-1:] != [len(self.card.classes)]:
            raise RefusedModel("the outputs of model.onnx are not the classes of its card")
        if len(shape) != 2:
            raise RefusedModel(
                f"the probabilities of model.onnx have {len(shape)} dimensions; they must have two, rows and classes"
            )
        kind, shape = outputs.get("set", ("", []))
        if self.sets and (kind, len(shape), shape[-1:]) != ("tensor(bool)", 2, [len(self.card.classes)]):
            raise RefusedModel("model.onnx lacks the output `set`, one boolean a class, that its card promises")

    def _check_golden_rows(self) -> None:
        """Each row must come out as published, as probabilities, and the same in any company."""
        if not self.card.golden:
            raise RefusedModel("the card holds no golden row to check the model with")
        expected = np.array([row.probabilities for row in self.card.golden], np.float32)
        instances = [row.instance for row in self.card.golden]
        together = self._golden_answers(instances)
        if together.shape != expected.shape:
            raise RefusedModel(f"the golden rows are answered in the shape {together.shape}, not {expected.shape}")
        if together.min() < -TOLERANCE or together.max() > 1 + TOLERANCE:
            raise RefusedModel(
                f"a golden row is answered with {together.min():.3g} to {together.max():.3g}, which are no "
                "probabilities: the model must end with a softmax"
            )
        sums = together.sum(axis=1, dtype=np.float64)
        if np.abs(sums - 1).max() > SUM_TOLERANCE:
            furthest = sums[np.abs(sums - 1).argmax()]
            raise RefusedModel(f"the probabilities of a golden row sum to {furthest:.4g}, not to 1")
        difference = np.abs(together - expected).max()
        if not difference <= TOLERANCE:
            raise RefusedModel(f"a golden row comes out {difference:.2g} away from what was published")
        alone = np.concatenate([self._golden_answers([instance]) for instance in instances])
        if np.abs(alone - together).max() > COMPANY_TOLERANCE:
            raise RefusedModel(
                "a golden row alone is answered otherwise than among others: an answer must not depend on the batch"
            )
        self._check_sets(instances, together)

    def _check_sets(self, instances: Sequence[Any], probabilities: Probabilities) -> None:
        """Whoever runs the file alone must get the sets that this service answers with."""
        if self.sets is None:
            return
        (found,) = self._session.run(SETS, self.rows.read(instances).tensors, self._brief_options)
        if not np.array_equal(found, self.sets(probabilities)):
            raise RefusedModel("the set of a golden row is not what its probabilities and the card say")

    def _golden_answers(self, instances: Sequence[Any]) -> Probabilities:
        try:
            # However busy the machine is: a trial ends what takes too much of the processor.
            return self.predict(self.rows.read(instances).tensors, inf)
        except (InvalidAnswer, BrokenRules) as error:
            raise RefusedModel(f"a golden row cannot be answered: {error}") from None
        except Exception as error:  # onnxruntime's own errors share no base class below Exception.
            raise RefusedModel(f"a golden row cannot be answered: {_first_line(error)}") from None


def _slice(card: ModelCard) -> int:
    """How many rows go through the network at once, by what it may hold of each, as far as its card tells."""
    categories = sum(len(feature.categories) for feature in card.categorical)
    units = sum(len(layer.running.mean) for each in card.frozen_statistics for layer in each.layers)
    numbers = len(card.features) + categories + units + len(card.classes)
    rows = min(MOST_ROWS, MOST_NUMBERS // numbers, MOST_TEXTS // max(1, len(card.categorical)))
    return max(FEWEST_ROWS, rows)


def _session(model: PublishedModel) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # A row of such a network takes microseconds: the caller's own thread is the fastest pool.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model.onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no base class below Exception.
        raise RefusedModel(f"onnxruntime cannot load it: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:200]
