"""A search as it begins: everything is checked, then its study is founded or taken up."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from trainer.errors import InvalidSpace, InvalidTable, OtherStudy, UnknownStudy
from trainer.search import space
from trainer.search.claims import FOUNDING, Claims, holding
from trainer.search.place import Place
from trainer.search.plan import Plan, Sampler, Trials, usual_stage
from trainer.search.rows import Table
from trainer.search.space import Space
from trainer.search.space_file import check_space, read_space
from trainer.search.study import Study
from trainer.settings.config import TrainingConfig


@dataclass(frozen=True)
class Request:
    """What a person asks for: flags of `fit` that are `given`, and how to search."""

    given: Mapping[str, Any]
    place: Place
    trials: int
    jobs: int
    sampler: Sampler = "random"
    space_file: Path | None = None
    stage: int | None = None
    time_limit_s: float | None = None


@dataclass(frozen=True)
class Search:
    """A study that is open, and the table that its trials train on."""

    request: Request
    config: TrainingConfig
    plan: Plan
    trials: int
    table: Table
    study: Study
    claims: Claims

    def finished(self) -> Trials:
        """The trials that are over."""
        return self.study.trials()


@contextmanager
def open_search(request: Request) -> Iterator[Search]:
    """Check everything, then found the study or take it up; it is closed afterwards.

    :raises TrainerError: nothing was written; the sentence says why.
    :raises OSError: the table cannot be read, or the folder cannot be written.
    """
    config = TrainingConfig.of(**request.given)
    box = read_space(request.space_file, request.given, grid=request.sampler == "grid")
    check_space(box, request.given)
    trials = _trials(request, box)
    request.place.check_address()
    if config.table.is_fifo():
        raise InvalidTable(f"{config.table} is a pipe, and a search reads its table twice; save it in a file first")
    table = Table.read(config)
    plan = Plan(box, config.seed, request.stage or usual_stage(trials), config.epochs, request.sampler)
    plan = replace(plan, first=_defaults(config, plan))
    facts = _facts(config, plan, table)
    place = request.place
    if place.exists:
        with closing(place.open_study(box)) as study:
            _check_same(request, study.facts, facts)
    if not place.address:
        place.folder.mkdir(parents=True, exist_ok=True)
    with closing(place.open_claims()) as claims:
        with holding(claims, FOUNDING):
            study = place.open_study(box, create=True)
            if not study.facts:
                study.found(facts)
        with closing(study):
            _check_same(request, study.facts, facts)
            place.folder.mkdir(parents=True, exist_ok=True)
            plan = replace(plan, stage=study.facts["stage"])
            yield Search(request, config, plan, trials, table, study, claims)


def look_back(request: Request) -> tuple[Mapping[str, Any], Trials]:
    """What a study was founded with, and its finished trials.

    :raises UnknownStudy: there is none.
    :raises OtherStudy: it is about another target.
    """
    place = request.place
    place.check_address()
    if not place.address and not place.exists:
        raise UnknownStudy(f"there is no study '{place.name}' in {place.folder}")
    target = request.given["target"]
    with closing(place.open_study({})) as study:
        if study.facts.get("target") != target:
            raise OtherStudy(f"study '{place.name}' is about the target {study.facts.get('target')!r}, not {target!r}")
        return study.facts, study.trials()


def _trials(request: Request, box: Space) -> int:
    if request.sampler != "grid":
        return request.trials
    if not (points := space.cells(box)):
        ranges = ", ".join(name for name, axis in box.items() if isinstance(axis, space.Range))
        raise InvalidSpace(f"a grid is made of choices alone, and these are ranges: {ranges}")
    return min(points, request.trials)


def _defaults(config: TrainingConfig, plan: Plan) -> space.Values | None:
    """The trainer's own settings, which come first: no search ends with less than `fit` has."""
    values: space.Values = {}
    for name in plan.box:
        if name in ("layers", "units"):
            if not config.hidden or len(set(config.hidden)) > 1:
                return None
            value: Any = len(config.hidden) if name == "layers" else config.hidden[0]
        else:
            value = getattr(config, name)
        if value is not None:
            values[name] = value
    values = space.meaningful(values)
    return values if space.holds(plan.box, values) else None


def _facts(config: TrainingConfig, plan: Plan, table: Table) -> dict[str, Any]:
    """What decides the outcome of every trial."""
    facts = {
        "table": table.sha256,
        "schema or test table": table.reading,
        "target": config.target,
        "settings": config.settings(),
        "space": {name: asdict(axis) for name, axis in sorted(plan.box.items())},
        "sampler": plan.sampler,
        "stage": plan.stage,
    }
    return dict(json.loads(json.dumps(facts)))


def _check_same(request: Request, founded: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Whether the study that is there is the one that is asked for.

    :raises OtherStudy: it is not; the sentence says in what.
    """
    way_out = "take another --name or --study"
    if not founded:
        return
    if founded["table"] != asked["table"]:
        raise OtherStudy(
            f"study '{request.place.name}' was founded on another table (its digest begins with "
            f"{founded['table'][:12]}, not {asked['table'][:12]}); {way_out}, or re-test its leaders with --retest"
        )
    for fact in ("target", "sampler", "space", "schema or test table"):
        if founded[fact] != asked[fact]:
            shown = "" if fact not in ("target", "sampler") else f", {founded[fact]!r}, not {asked[fact]!r}"
            raise OtherStudy(f"study '{request.place.name}' was founded with another {fact}{shown}; {way_out}")
    for setting, value in founded["settings"].items():
        if asked["settings"].get(setting) != value:
            raise OtherStudy(
                f"study '{request.place.name}' was founded with {setting} {value!r}, not "
                f"{asked['settings'].get(setting)!r}; {way_out}"
            )
    if request.stage not in (None, founded["stage"]):
        raise OtherStudy(
            f"study '{request.place.name}' was founded with stages of {founded['stage']} trials, not {request.stage}; "
            f"{way_out}"
        )
