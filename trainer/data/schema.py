"""The schema: how each column of a table is read. `inspect` writes it as TOML, people edit it, `fit` reads it."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from models.cells import MISSING, Order, Reading
from trainer.data.unreadable import unreadable
from trainer.errors import InvalidSchema, InvalidSetting
from trainer.files import read_settings

Kind = Literal["numeric", "categorical", "boolean", "date", "ignored"]

_TAB = {"tab": "\t", "\\t": "\t"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FileSchema(_Part):
    """How the bytes of a file become cells; what is not said, the file says itself.

    `decimal` is the mark of its numbers where two readings fit. `total` says whether a row that sums the others up is
    one like them.
    """

    delimiter: Literal[",", ";", "\t", "|"] | None = None
    encoding: str | None = None
    decimal: Literal[".", ","] | None = None
    sheet: str | None = None
    total: Literal["left out", "row"] = "left out"

    def overruled(self, other: "FileSchema") -> "FileSchema":
        """The same, with everything that the other says."""
        return self.model_copy(update=other.model_dump(exclude_defaults=True))


def file_schema(
    delimiter: str | None, encoding: str | None, decimal: str | None, sheet: str | None, *, keep_total: bool
) -> FileSchema:
    """What flags say of a file.

    :raises InvalidSetting: one says what none may.
    """
    flags = {
        "delimiter": _TAB.get(delimiter or "", delimiter),
        "encoding": encoding,
        "decimal": decimal,
        "sheet": sheet,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return FileSchema.model_validate(given | ({"total": "row"} if keep_total else {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        rule = first["msg"].removeprefix("Input ").replace("'\\t'", "tab")
        raise InvalidSetting(f"--{first['loc'][0]} {rule}, not {str(first['input'])[:64]!r}") from None


class Found(_Part):
    """What `inspect` saw in the rows with a target; fit does not read it."""

    different: int
    missing: int
    minimum: float | None = None
    maximum: float | None = None
    earliest: str | None = None
    latest: str | None = None
    categories: tuple[str, ...] | None = None


class ColumnSchema(_Part):
    """How one column is read.

    `missing` is added to the file's, `present` taken from it. A number may carry a `unit`, and a date has its parts in
    the order `date`. A boolean column holds two texts, or words for true and false; to the network it is a number where
    these are 0 and 1, and a category elsewhere. A feature that is `required` may not be missing when the model is
    asked. `notes` say what was decided and why, or what looks wrong; fit does not read them.
    """

    kind: Kind
    missing: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'", "_"] = ""
    unit: str = ""
    date: Order = "ymd"
    required: bool = False
    notes: tuple[str, ...] = ()
    found: Found | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError("'decimal' and 'thousands' must differ")
        if self.kind != "numeric" and (self.decimal != "." or self.thousands or self.unit):
            raise ValueError("'decimal', 'thousands' and 'unit' belong to numeric columns")
        if self.kind != "date" and self.date != "ymd":
            raise ValueError("'date' belongs to columns of dates")
        return self


class Schema(_Part):
    """How a table is read. An empty or blank cell is always missing; `missing` lists what is missing besides.

    `merge_spellings` makes one class of those that differ by case or blanks only. `file` overrules what the file says
    of itself; `read_as` and `notes` tell what was found, and fit does not read them.
    """

    target: str
    missing: tuple[str, ...] = MISSING
    merge_spellings: bool = False
    file: FileSchema = FileSchema()
    read_as: str = ""
    notes: tuple[str, ...] = ()
    columns: dict[str, ColumnSchema]

    def reading(self, name: str) -> Reading:
        """How the cells of a column are read; those of the target as the file says."""
        column = self.columns.get(name)
        if column is None:
            return Reading(missing=self.missing)
        own = [text for text in column.missing if text not in self.missing]
        missing = tuple(text for text in (*self.missing, *own) if text not in column.present)
        return Reading(
            missing=missing, decimal=column.decimal, thousands=column.thousands, unit=column.unit, date=column.date
        )

    def remarks(self) -> dict[str, dict[str, str]]:
        """By rule, the columns that it was found in, each with the particulars."""
        notes: dict[str, dict[str, str]] = {}
        for note in self.notes:
            rule, particulars = _parted(note)
            notes.setdefault(rule, {})[""] = particulars
        for name, column in self.columns.items():
            for note in column.notes:
                rule, particulars = _parted(note)
                notes.setdefault(rule, {})[name] = particulars
        return notes

    def decisions(self) -> dict[str, Any]:
        """What decides how the table is read, and why: all but what was merely found."""
        columns = {name: _stated(column, {"found"}) for name, column in self.columns.items()}
        stated = _stated(self, {"target", "missing", "columns"})
        return {"target": self.target, "missing": list(self.missing), **stated, "columns": columns}


def _parted(note: str) -> tuple[str, str]:
    rule, _, particulars = note.partition(": ")
    return rule, particulars


def _stated(part: BaseModel, without: set[str] | None = None) -> dict[str, Any]:
    return part.model_dump(mode="json", exclude=without, exclude_defaults=True)


def read_schema(path: Path) -> Schema:
    """Read a schema file.

    :raises Unreadable: it is not there or cannot be read.
    :raises InvalidSchema: it is no TOML, or breaks a rule; the sentence names the key.
    """
    try:
        document = tomllib.loads(read_settings(path).decode())
    except OSError as error:
        raise unreadable(path, error) from None
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
        "# kind is numeric, categorical, boolean, date or ignored. A column may add missing = [...] of its own, and a",
        '# number have decimal = ",", thousands = "." and unit = "%". An empty cell is always missing; with',
        "# required = true the service takes no missing value. found, notes and read_as change nothing.",
        "",
        f"target = {_value(schema.target)}",
        f"missing = {_value(schema.missing)}",
    ]
    lines += [f"{key} = {_value(value)}" for key, value in _stated(schema, {"target", "missing", "columns"}).items()]
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
    return str(value).lower() if isinstance(value, bool) else str(value)
