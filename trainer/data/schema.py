"""The schema: how each column of a table is read. `inspect` writes it as TOML, people edit it, `fit` reads it."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from trainer.errors import InvalidSchema, InvalidSetting, Unreadable

MISSING = ("NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "?")

Kind = Literal["numeric", "categorical", "boolean", "ignored"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Found(_Part):
    """What `inspect` saw in the rows with a target; fit does not read it."""

    different: int
    missing: int
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] | None = None


class ColumnSchema(_Part):
    """How one column is read. `missing`, where given, takes the place of the schema's for this column.

    A boolean column holds two texts at most. To the network and to the service it is a number where these are 0 and 1,
    and a category elsewhere. `notes` say what was decided and why, or what looks wrong; fit does not read them.
    """

    kind: Kind
    missing: tuple[str, ...] | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'", "_"] = ""
    notes: tuple[str, ...] = ()
    found: Found | None = None

    @model_validator(mode="after")
    def _marks_are_told_apart(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError("'decimal' and 'thousands' must differ")
        if self.kind != "numeric" and (self.decimal != "." or self.thousands):
            raise ValueError("'decimal' and 'thousands' belong to numeric columns")
        return self


class Schema(_Part):
    """How a table is read. An empty or blank cell is always missing; `missing` lists what is missing besides."""

    target: str
    missing: tuple[str, ...] = MISSING
    columns: dict[str, ColumnSchema]

    def markers(self, name: str) -> tuple[str, ...]:
        """What is missing in one column, besides the empty cell."""
        own = self.columns[name].missing if name in self.columns else None
        return self.missing if own is None else own

    def notes(self) -> dict[str, dict[str, str]]:
        """By rule, the columns that it was found in, each with the particulars."""
        notes: dict[str, dict[str, str]] = {}
        for name, column in self.columns.items():
            for note in column.notes:
                rule, _, particulars = note.partition(": ")
                notes.setdefault(rule, {})[name] = particulars
        return notes

    def decisions(self) -> dict[str, Any]:
        """What decides how the table is read, and why: all but what was merely found."""
        columns = {name: _stated(column, {"found"}) for name, column in self.columns.items()}
        return {"target": self.target, "missing": list(self.missing), "columns": columns}


def _stated(part: BaseModel, without: set[str] | None = None) -> dict[str, Any]:
    return part.model_dump(mode="json", exclude=without, exclude_defaults=True)


def read_schema(path: Path) -> Schema:
    """Read a schema file.

    :raises Unreadable: it is not there or cannot be read.
    :raises InvalidSchema: it is no TOML, or breaks a rule; the sentence names the key.
    """
    try:
        document = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSchema(f"{path} is no TOML: {error}") from None
    try:
        # As JSON, lists are taken for tuples although nothing else is taken for anything else.
        return Schema.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        raise InvalidSchema(f"{path}: {_sentence(error)}") from None


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(_key(str(part)) for part in first["loc"])
    rule = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    match first["type"]:
        case "extra_forbidden":
            return f"'{key}' is no key of a schema"
        case "missing":
            return f"'{key}' is missing"
        case "value_error":
            return f"'{key}': {rule}"
    return f"'{key}' {rule}, not {str(first['input'])[:64]!r}"


def check_schema(schema: Schema, where: Path, table: Path, names: list[str], target: str) -> None:
    """Refuse a schema that was written for another table.

    :raises InvalidSchema: the target is another one, or a column is missing, in the table or in the schema.
    """
    if schema.target != target:
        raise InvalidSchema(f"{where}: 'target' is '{schema.target}', but --target says '{target}'")
    if target in schema.columns:
        raise InvalidSchema(f"{where}: 'columns.{_key(target)}' is the target and no feature")
    for name in schema.columns:
        if name not in names:
            raise InvalidSchema(f"{where}: 'columns.{_key(name)}' is no column of {table}")
    for name in names:
        if name != target and name not in schema.columns:
            raise InvalidSchema(
                f"{where}: column '{name}' of {table} is missing; [columns.{_key(name)}] with kind = \"ignored\" "
                "leaves it out"
            )


def to_toml(schema: Schema, table: str) -> str:
    """The text of a schema file."""
    lines = [
        f"# How `evenkeel` reads {_value(table)}. Edit it and hand it to fit with --schema.",
        "# kind is numeric, categorical, boolean or ignored. A column may have its own missing = [...], and a number",
        '# decimal = "," and thousands = ".". An empty cell is always missing. found and notes change nothing.',
        "",
        f"target = {_value(schema.target)}",
        f"missing = {_value(schema.missing)}",
    ]
    for name, column in schema.columns.items():
        lines += ["", f"[columns.{_key(name)}]"]
        lines += [f"{key} = {_value(value)}" for key, value in _stated(column).items()]
    return "\n".join(lines) + "\n"


def write_schema(path: Path, text: str, *, force: bool = False) -> None:
    """Write a schema file; over one that says otherwise only by `force`.

    :raises InvalidSetting: there is one, and it says otherwise.
    :raises OSError: the file cannot be written.
    """
    if not force and path.exists() and path.read_bytes() != text.encode():
        raise InvalidSetting(f"{path} is there already and says otherwise; --force writes over it, --output elsewhere")
    path.write_bytes(text.encode())


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: object) -> str:
    """A TOML value: texts, numbers, lists, and tables within a line."""
    if isinstance(value, str):
        # What JSON escapes, TOML escapes alike, but for one character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value)
