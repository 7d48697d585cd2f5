"""How the text of one cell becomes a value. The one rule, for trainer, service and whatever else reads a table.

A column's `Reading` is decided once, in training, and kept in the card: what was read as missing, as a decimal comma or
as true is read so for ever.
"""

import re
from array import array
from datetime import MINYEAR, UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

# Cards leave defaults out, so these never change: a later list needs a key of its own.
MISSING = ("NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "?")
# What is blank: around a cell that is a number, a date or missing, it is no part of it.
BLANKS = "\t\n\v\f\r \u0085\u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
# Words for false and for true, in lower case.
BOOLEANS = (
    *(("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"), ("off", "on")),
    *(("nein", "ja"), ("falsch", "wahr"), ("non", "oui"), ("faux", "vrai")),
)
FALSE, TRUE = (frozenset({pair[side] for pair in BOOLEANS} | {"01"[side]}) for side in (0, 1))

Order = Literal["ymd", "dmy", "mdy"]
SPACES = "[ \u00a0\u2009\u202f]"
THOUSANDS = {"": "", ",": "[,]", ".": "[.]", " ": SPACES, "'": "['\u2019]", "_": "_"}

DAY = 86_400_000_000  # in microseconds
# A whole number below this is spelled out.
LONGEST_CODE = 1_000_000_000
EPOCH = date(1970, 1, 1).toordinal()
# The first and the last microsecond that the calendar has.
FIRST, LAST = (date(MINYEAR, 1, 1).toordinal() - EPOCH) * DAY, (date.max.toordinal() + 1 - EPOCH) * DAY - 1


class Reading(BaseModel):
    """How the cells of one column are read. A blank cell is always missing; `missing` lists what is missing besides.

    A number may carry `unit`, such as % or kg, before or behind it. `date` is the order of year, month and day.
    `boolean` names the texts that stand for false and true, where a column holds nothing else.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    missing: tuple[str, ...] = MISSING
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'", "_"] = ""
    unit: str = ""
    date: Order = "ymd"
    boolean: tuple[str, str] | None = None

    @field_validator("missing", "boolean", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _marks_are_told_apart(self) -> "Reading":
        if self.decimal == self.thousands:
            raise ValueError("'decimal' and 'thousands' must differ")
        return self

    def number(self, text: str) -> float:
        """The number that a text spells, in 64 bits.

        :raises ValueError: it spells none.
        """
        if self.decimal == "." and not self.thousands and _PLAIN(text):
            return float(text)
        stripped = text.strip(BLANKS)
        found = re.match(number_pattern(self.decimal, self.thousands, self.unit), stripped)
        if found:
            digits = "".join(part for part in found.groups() if part)
            if self.thousands:
                digits = re.sub(THOUSANDS[self.thousands], "", digits)
            return float(digits.replace(self.decimal, "."))
        if self.boolean and (side := _side(stripped)) is not None:
            return float(side)
        raise ValueError("is no number")

    def moment(self, text: str) -> int:
        """The date that a text spells, in microseconds since 1970-01-01, in UTC where it names a zone.

        :raises ValueError: it spells none.
        """
        return moment(text, self.date)

    def category(self, text: str) -> str:
        """The text itself, with its blanks; of a boolean, the spelling that training saw."""
        if self.boolean is None or text in self.boolean or (side := _side(text.strip(BLANKS))) is None:
            return text
        return self.boolean[side]


def _side(text: str) -> int | None:
    """0 for a word that means false, 1 for one that means true."""
    word = text.lower()
    return 1 if word in TRUE else 0 if word in FALSE else None


# Most numbers, in a tenth of the time.
_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]*)?").fullmatch


@lru_cache
def number_pattern(decimal: str, thousands: str, unit: str) -> str:
    """What a number looks like, with its sign and its digits as groups; to Python's `re` and to RE2 alike."""
    mark = THOUSANDS[thousands]
    whole = rf"(?:[0-9]+|[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+)" if thousands else "[0-9]+"
    digits = rf"(?:{whole}(?:[{decimal}][0-9]*)?|[{decimal}][0-9]+)(?:[eE][-+]?[0-9]+)?"
    infinity = "[iI][nN][fF](?:[iI][nN][iI][tT][yY])?"
    before, behind = (f"{re.escape(unit)}{SPACES}?", f"{SPACES}?{re.escape(unit)}") if unit else ("", "")
    return rf"^(?:([-+]?)(?:{before})?|{before}([-+]))({digits}|{infinity})(?:{behind})?$"


_CLOCK = r"(?:[T ](?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?:[.,](?P<f>[0-9]{1,9}))?)?"
_CLOCK += r" ?(?:Z|(?P<sign>[+-])(?P<ZH>[0-9]{2}):?(?P<ZM>[0-9]{2}))?)?$"
_Y, _M, _D = "(?P<y>[0-9]{4})", "(?P<m>[0-9]{1,2})", "(?P<d>[0-9]{1,2})"
_MARK, _AGAIN, _DIGITS = "(?P<mark>[-/.])", "(?P=mark)", "(?P<mm>[0-9]{2})(?P<dd>[0-9]{2})"
_DATES: dict[Order, re.Pattern[str]] = {
    "ymd": re.compile(f"^{_Y}(?:{_MARK}{_M}{_AGAIN}{_D}|{_DIGITS}){_CLOCK}"),
    "dmy": re.compile(f"^{_D}{_MARK}{_M}{_AGAIN}{_Y}{_CLOCK}"),
    "mdy": re.compile(f"^{_M}(?P<mark>[-/]){_D}{_AGAIN}{_Y}{_CLOCK}"),
}

_PARTS = ("y", "m", "d", "H", "M", "S", "f", "sign", "ZH", "ZM")


def moment(text: str, order: Order = "ymd") -> int:
    """The date that a text spells, in microseconds since 1970-01-01, in UTC where it names a zone.

    :raises ValueError: it spells none.
    """
    found = _DATES[order].match(text.strip(BLANKS))
    if found is None:
        raise ValueError("is no date")
    year, month, day, hour, minute, second, fraction, sign, away, beyond = found.group(*_PARTS)
    if month is None:
        month, day = found.group("mm", "dd")
    days = date(int(year), int(month), int(day)).toordinal() - EPOCH
    spelled = days * DAY
    if hour is not None:
        clock = time(int(hour), int(minute), int(second or 0))
        spelled += 1_000_000 * (3600 * clock.hour + 60 * clock.minute + clock.second)
        spelled += int(fraction[:6].ljust(6, "0")) if fraction else 0
        spelled -= 60_000_000 * int(f"{sign}1") * (60 * int(away) + int(beyond)) if sign else 0
    if not FIRST <= spelled <= LAST:
        raise ValueError("is no date of the years 1 to 9999")
    return spelled


def without_spelling(label: str) -> str:
    """What classes have in common that differ by case or blanks only, where a table's schema merges these."""
    return label.strip(BLANKS).casefold()


def days_of(moment: int) -> float:
    """Days since 1970-01-01, as a model takes a date."""
    return float(moment) / DAY


def iso_date(days: float) -> str:
    """The ISO 8601 text of so many days since 1970-01-01, to the microsecond."""
    moment = min(max(round(float(days) * DAY), FIRST), LAST)
    spelled = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)
    return spelled.replace(tzinfo=None).isoformat() if moment % DAY else spelled.date().isoformat()


def shortest_date(days: float) -> str:
    """The ISO 8601 text of the roundest moment that a 32-bit float of days cannot tell from these days.

    In 2024 such a float is exact to three minutes, and `iso_date` alone would spell seconds that it does not have.
    """
    units = (DAY, DAY // 24, DAY // 1440, DAY // 86_400)
    moments = (round(days * DAY / unit) * unit / DAY for unit in units)
    return iso_date(next((one for one in moments if _single(one) == _single(days)), days))


def spelled_code(code: float) -> str:
    """A code in full, such as 5411001; another number in as many digits as tell it from every other 32-bit float.

    Six digits would give neighbouring codes one name.
    """
    if abs(code) < LONGEST_CODE and float(code).is_integer():
        return f"{code:.0f}"
    spelled = (f"{code:.{digits}g}" for digits in range(6, 9))
    return next((text for text in spelled if _single(float(text)) == _single(code)), f"{code:.9g}")


def _single(number: float) -> float:
    """As a 32-bit float has it; infinite where none is as large."""
    return array("f", [number])[0]
