"""A space as people write it: a TOML file, a line a hyperparameter, over the course's default."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from trainer.errors import InvalidSetting, InvalidSpace
from trainer.files import read_settings
from trainer.nn.optimizers import OPTIMIZERS
from trainer.report.axes import Scaled
from trainer.search.rows import Encoding
from trainer.search.space import DEFAULT, Choice, Range, Space, Value, draw, settings
from trainer.settings.config import TrainingConfig
from trainer.settings.hyperparameters import Hyperparameters

SCALES = ("uniform", "log", "one_minus_log")
# What decides how long and on what a trial trains is the same for all trials.
FIXED = ("hidden", "epochs", "patience", "seed", "compiled", "statistics")
NUMBERS = ("layers", "units")
SEARCHED = {*NUMBERS, *Encoding._fields, *Hyperparameters.model_fields} - {*FIXED}
# What a training has to be told besides.
SOMETHING = {"table": "table", "target": "target", "name": "name"}
DRAWS = 300


def read_space(path: Path | None, given: Mapping[str, object], *, grid: bool = False) -> Space:
    """The default space with what the file says in its stead, without what a flag has `given`.

    A `grid` has the parameters of the file alone.

    :raises InvalidSpace: the file is no space; the sentence names the line's parameter and the rule.
    :raises OSError: the file cannot be read.
    """
    space = {} if grid else dict(DEFAULT)
    if path:
        for name, line in _parse(path).items():
            space[name] = _axis(f"{path}: {name}", name, line)
            if name in given or (name in NUMBERS and "hidden" in given):
                raise InvalidSpace(f"{path}: {name}: it is fixed by a flag; give a range or a flag, not both")
    for name in given:
        space.pop(name, None)
    if "hidden" in given:
        space = {name: axis for name, axis in space.items() if name not in NUMBERS}
    for name in _idle_beside(given):
        space.pop(name, None)
    if not space:
        raise InvalidSpace("there is nothing to search; name the parameters in a file for --space")
    return space


def _idle_beside(given: Mapping[str, object]) -> set[str]:
    """What means nothing beside the values that flags have fixed."""
    idle = {"ewma_decay"} if given.get("batch_norm") == "none" else set()
    if rule := OPTIMIZERS.get(str(given.get("optimizer"))):
        idle |= {name for name in ("beta1", "beta2") if getattr(rule, name) is None}
    return idle


def check_space(space: Space, given: Mapping[str, object]) -> None:
    """Try some draws.

    :raises InvalidSpace: a point of the space is no set of hyperparameters.
    """
    for index in range(DRAWS):
        values = draw(space, 0, index)
        try:
            TrainingConfig.of(**{**given, **settings(values)})
        except InvalidSetting as error:
            if any(f"--{name.replace('_', '-')} " in str(error) for name in given):
                raise
            shown = ", ".join(f"{name} = {value}" for name, value in values.items())
            raise InvalidSpace(f"the space holds points that cannot be trained ({error}): {shown}") from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_settings(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSpace(f"{path} is no TOML file: {error}") from None


def _axis(where: str, name: str, line: object) -> Range | Choice:
    whole = _is_whole(where, name)
    if not isinstance(line, dict) or len(line) != 1 or next(iter(line)) not in (*SCALES, "choice"):
        raise InvalidSpace(f"{where}: write {{ {' | '.join(SCALES)} = [low, high] }} or {{ choice = [a, b, …] }}")
    ((kind, ends),) = line.items()
    if not isinstance(ends, list):
        raise InvalidSpace(f"{where}: {kind} takes a list, not {str(ends)[:64]!r}")
    if kind == "choice":
        if not ends or len(set(map(str, ends))) != len(ends):
            raise InvalidSpace(f"{where}: choice takes at least one value, none of them twice")
        return Choice(tuple(_valid(where, name, option) for option in ends))
    if whole is None:
        raise InvalidSpace(f"{where}: it has no range; give a choice")
    return _range(where, name, kind, ends, whole=whole)


def _range(where: str, name: str, scale: Scaled, ends: list[Any], *, whole: bool) -> Range:
    if len(ends) != 2 or not all(type(end) in (int, float) for end in ends):
        raise InvalidSpace(f"{where}: {scale} takes two numbers, the lower and the higher end")
    low, high = (float(_valid(where, name, end)) for end in ends)
    if not low < high:
        raise InvalidSpace(f"{where}: the lower end must be below the higher one, not {low:g} and {high:g}")
    if scale == "log" and low <= 0:
        raise InvalidSpace(f"{where}: a log scale begins above 0, not at {low:g}")
    if scale == "one_minus_log" and (whole or high >= 1):
        raise InvalidSpace(f"{where}: one_minus_log is a scale of decays below 1")
    return Range(scale, low, high, whole)


def _valid(where: str, name: str, value: object) -> Value:
    field, setting = ("hidden", (value,)) if name == "units" else (name, value)
    if name == "layers":
        field, setting = "hidden", (8,) * value if isinstance(value, int) and 0 <= value <= 99 else value
    try:
        checked = getattr(TrainingConfig.of(**SOMETHING, **{field: setting, **_beside(name, value)}), field)
    except InvalidSetting as error:
        raise InvalidSpace(f"{where}: {str(error).removeprefix(f'--{field} '.replace('_', '-'))}") from None
    if type(value) is bool and not isinstance(checked, bool):
        raise InvalidSpace(f"{where}: should be a number, not {value}")
    result: Value = value if name == "layers" else checked[0] if name == "units" else checked  # type: ignore[assignment]
    return result


def _beside(name: str, value: object) -> dict[str, object]:
    """What makes a value valid that is so beside some others only; the draws find where it is not."""
    return {"batch_norm": "none"} if name == "batch_size" and value == 1 else {}


def _is_whole(where: str, name: str) -> bool | None:
    """Whether a parameter is a whole number; None where it has no range: it is no number, or each value of it encodes
    the table anew.
    """
    if name in NUMBERS:
        return True
    if name not in SEARCHED:
        raise InvalidSpace(f"{where}: there is no such parameter to search; there are {', '.join(sorted(SEARCHED))}")
    if name in Encoding._fields:
        return None
    kind = TrainingConfig.model_fields[name].annotation
    if get_origin(kind) is UnionType:
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is Literal or kind is bool:
        return None
    return kind is int
