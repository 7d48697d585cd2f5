"""How each column of a decoded table is read: as the command line says, else as a schema, else as its cells say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.data.decoded import Decoded
from trainer.data.division import By
from trainer.data.kinds import Decimal, Inferred, infer
from trainer.data.schema import ColumnSchema, Schema
from trainer.data.wording import LEFT_OUT, empty_columns, note, refusal

IGNORED = ColumnSchema(kind="ignored")
DELIMITERS = {"\t": "tab"}
ORDERS = {"ymd": "year-month-day", "dmy": "day.month.year", "mdy": "month/day/year"}


@dataclass(frozen=True)
class Roles:
    """The columns that are no features by what the command line says of them."""

    target: str
    weight: str | None = None
    divide: tuple[By, str] | None = None
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    @property
    def others(self) -> tuple[str, ...]:
        """The columns with another role than the target's."""
        return tuple(filter(None, (self.weight, self.divide and self.divide[1])))

    @property
    def no_features(self) -> set[str]:
        return {*self.drop, *self.others} - set(self.keep)

    def check(self, decoded: Decoded) -> None:
        """Refuse a name that is no column's, and a target that is something else besides.

        :raises InvalidTable: there is one.
        """
        for name in (self.target, *sorted({*self.drop, *self.keep}), *self.others):
            if name not in decoded.columns:
                facts = {"names": ", ".join(decoded.columns), "otherwise": decoded.otherwise}
                raise refusal("no_column", path=decoded.path, name=name, **facts)
        if self.target in (*self.drop, *self.keep, *self.others):
            raise refusal("target_role", name=self.target)


def settle(decoded: Decoded, given: Schema, roles: Roles, *, stated: bool) -> Schema:
    """The schema that a table is read by; `given` has the columns of a schema file, where one is `stated`.

    :raises InvalidTable: no feature is left, or a column holds what none can be made of.
    """
    features = [name for name in decoded.columns if name != roles.target and name not in roles.no_features]
    if stated:
        # Notes of an earlier inspection may be about another table.
        settled = {
            name: given.columns[name].model_copy(update={"notes": (), "found": None})
            for name in features
            if name in given.columns
        }
    else:
        settled = _inferred(decoded, features, given)
    columns = {name: settled.get(name, IGNORED) for name in decoded.columns if name != roles.target}
    if all(column.kind == "ignored" for column in columns.values()):
        ignored = f"; ignored: {', '.join(columns)}" if columns else ""
        raise refusal("no_feature", path=decoded.path, ignored=ignored)
    empty = (note("empty", empty_columns(decoded.empty)),) if decoded.empty else ()
    notes = (*decoded.notes, *empty)
    read_as = _read_as(decoded, columns, notes)
    return given.model_copy(update={"columns": columns, "notes": notes, "read_as": read_as})


def _inferred(decoded: Decoded, names: Sequence[str], given: Schema) -> dict[str, ColumnSchema]:
    """What the cells say; of two readings of a column, what the other columns say, or the delimiter."""

    def inferred(name: str, decimal: Decimal | None) -> Inferred:
        return infer(decoded.cells(name), given.missing, decoded.line, decimal)

    found = {name: inferred(name, given.file.decimal) for name in names if name not in decoded.index}
    if given.file.decimal is None:
        proven = {one.proves for one in found.values()} - {None}
        by_delimiter: Decimal = "," if decoded.file.delimiter == ";" else "."
        decimal = proven.pop() if len(proven) == 1 else by_delimiter
        found |= {name: inferred(name, decimal) for name, one in found.items() if one.open}
    index = ColumnSchema(kind="ignored", notes=(note("index"),))
    return {name: found[name].schema if name in found else index for name in names}


def _read_as(decoded: Decoded, columns: Mapping[str, ColumnSchema], notes: Sequence[str]) -> str:
    """What was found in the file, in one line; of plain CSV in UTF-8, nothing."""
    file, read = decoded.file, []
    if file.delimiter not in (None, ","):
        read.append(DELIMITERS.get(str(file.delimiter), f"'{file.delimiter}'"))
    if file.encoding not in (None, "utf-8"):
        read.append(str(file.encoding).replace("windows", "Windows").replace("utf", "UTF"))
    if file.sheet is not None:
        read.append(f"sheet '{file.sheet}'")
    numbers = [column for column in columns.values() if column.kind == "numeric"]
    if any(column.decimal == "," for column in numbers):
        read.append("decimal comma")
    read += [f"thousands '{mark}'" for mark in sorted({column.thousands for column in numbers} - {""})]
    read += [f"numbers in {unit}" for unit in sorted({column.unit for column in numbers} - {""})]
    read += [f"dates {ORDERS[order]}" for order in sorted({one.date for one in columns.values() if one.kind == "date"})]
    left = [f"the index '{name}'" for name in decoded.index if columns.get(name, IGNORED).kind == "ignored"]
    left += [particulars for rule, _, particulars in (one.partition(": ") for one in notes) if rule in LEFT_OUT]
    return "; ".join(filter(None, [", ".join(read), f"left out: {', '.join(left)}" if left else ""]))


def as_the_table(schema: Schema, kinds: Mapping[str, str]) -> Schema:
    """The schema for a second table, whose columns have the kinds that those of the first turned out to have."""
    columns = {name: schema.columns[name].model_copy(update={"kind": kind}) for name, kind in kinds.items()}
    return schema.model_copy(update={"columns": columns})
