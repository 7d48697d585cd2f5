"""Every refusal and every note of the reader, each with what to type. docs/my-file.md is held against these tables."""

from typing import NamedTuple

from trainer.errors import InvalidTable, LargerThanMemory

# The rule, the place, the way out.
REFUSALS = {
    "empty": "{path} is empty; a table needs a header line and rows: write it again",
    "no_rows": "{path} has {head} but no rows; write it again with its rows",
    "unnamed": "{path}: column {position} has no name; write one into the header",
    "twins": "{path}: columns {first} and {second} are both named '{name}'; rename one in the header",
    "half_utf8": "{path}: byte {byte} ({value}) is not UTF-8, though the file is else; mend it, or say "
    "--encoding windows-1252",
    "no_encoding": "{path}: byte {byte} ({value}) is neither UTF-8 nor Windows-1252; say --encoding and its name",
    "other_encoding": "{path}: byte {byte} ({value}) is no {encoding}; leave --encoding out, or name another",
    "nul": "{path} is no text (byte {byte} is 0x00); save it as UTF-8, or say --encoding utf-16-le if it is that",
    "quote": "{path}: a quote after line {line} is opened and never closed; close it, or write it twice",
    "ragged": "{path}, line {line}: expected {expected} cells, got {found}; mend the line, or say --delimiter",
    "csv": "{path} is no CSV: {reason}; write it again",
    "damaged": "{path} is a damaged {what} ({reason}); write it again",
    "no_parquet": "{path} is no Parquet file: it does not begin with PAR1; rename it to what it is, or write it again",
    "other_file": "{path} is {what}, no table; {way}",
    "workbook": "{path} is an Excel workbook; save it as CSV, or install the extra `excel` (docs/install.md)",
    "large_workbook": "{path} is a workbook of more than {most} MB, which is read whole; save it as CSV",
    "large_sheet": "{path}: the sheet '{sheet}' takes more than {most}, and a workbook is read whole; "
    "save it as CSV, or say --sheet with another",
    "far_cell": "{path}: the sheet '{sheet}' reaches to cell {cell}: {cells:.3g} cells, which take more than {memory} "
    "of memory; clear what stands far outside the table, or save the table alone as CSV",
    "long": "{path} takes more than {memory} of memory unpacked; {way}",
    "folder": "{path} holds the folder '{name}'; move the files of the table into one folder",
    "file_lacks": "{place}: no column '{name}', which {table} has; the files of a folder are one table: give it the "
    "column, or move it elsewhere",
    "file_adds": "{place}: a column '{name}', which {table} lacks; the files of a folder are one table: take it out, "
    "or move the file elsewhere",
    "file_holds": "{path}: column '{name}' holds {held}, and in {table} {other}; the files of a folder are one table: "
    "write them alike",
    "no_sheet": "{path} has no sheet '{sheet}'; say --sheet with one of {sheets}",
    "no_column": "{path} has no column '{name}'; its columns are {names}: name one of them{otherwise}",
    "target_role": "column '{name}' is the target and cannot be dropped, weigh the rows or divide them; name another",
    "no_feature": '{path} has no feature column beside the target{ignored}; kind = "categorical" in a schema takes one',
    "held": "{path}: column '{name}' holds {held}; leave it out with --drop '{name}'",
    "no_frame": "{path}, a {held}, is no table of columns ({reason}); hand in a DataFrame or a path",
    "objects": "{path}: column '{name}' ({held}) holds values of several types, or of one that no table has; "
    "make them texts with astype(str)",
    "no_record": "{path}, row {row}: {held} is no record; hand in a dict with a value for each column",
    "no_value": "{path}, row {row}: the record has no '{name}', which the first has; None stands for a missing value",
    "no_type": "{path}: the values of '{name}' have no type in common; make them all numbers, or all texts",
    "no_number": "{place}, column '{name}': '{text}' is no number; the schema can list it as missing: "
    "missing = [{quoted}]",
    "no_date": "{place}, column '{name}': '{text}' is no date; the schema can list it as missing: missing = [{quoted}]",
    "too_large": "{place}, column '{name}': {number:g} does not fit in a 32-bit float; the schema can list it as "
    'missing: missing = ["{number:g}"]',
    "third_text": "{place}, column '{name}': '{text}' is a third text in a boolean column, which holds two; "
    'kind = "categorical" takes any',
    "no_boolean": "{place}, column '{name}': {number:g} is neither 0 nor 1, as a boolean is; "
    'kind = "numeric" takes any',
    "no_target": "{path}: no row has a value in the target column '{name}'; say --target with another",
    "one_class": "{path}: the target '{name}' holds one class only ('{text}'); a classifier needs two or more: say "
    "--target with another column",
    "no_class": "{path}: the target '{name}' has {classes} different values in {rows} rows; a classifier needs classes "
    "that repeat, and predicts no numbers (regression): divide it into ranges, or say --target with another column",
    "weight": "{place}, column '{name}': a weight must be 0 or more, not {found}; mend it, or leave --weight out",
    "no_weight": "{path}: every weight in column '{name}' is 0; at least one row must count: leave --weight out",
    "no_part": "{place}, column '{name}': {rule}; mend it, or leave {flag} out",
    "test_column": "{path} has no column '{name}', which {table} has; --drop '{name}' leaves it out of both",
    "test_class": "{path}: '{name}' is no class of {table}; leave its rows out of it",
    "few_rows": "the table has {rows} rows with a target; at least {fewest} are needed: give it more",
    "few_of_class": "every class has too few rows to give one to each of training, validation and test; give it more",
    "few_groups": "column '{name}' has {groups} groups; {parts} parts need at least {parts}: leave --group out",
    "few_times": "column '{name}' has {times} different times, too few to split by; leave --time out",
    "empty_part": "column '{name}' names no row '{part}'; --split-by needs each part",
    "no_coverage": "column '{name}' names rows 'coverage', which prediction sets are chosen on; say --coverage 0.9, or "
    "name them train",
    "few_for_sets": "--coverage {level} takes {fewest} rows for the sets alone, and {rows} {counted}; {way}",
    "test_twice": "column '{name}' names rows 'test', and --test-table has others; leave one out",
}


# What to type where a file has other columns than it should, by the kind of the file.
OTHERWISE = {
    "csv": ", or say --delimiter if they are cut wrongly",
    "workbook": ", or say --sheet if they stand in another sheet",
    "": "",
}


def refusal(code: str, **facts: object) -> InvalidTable:
    """A refusal in words; `facts` fill its places."""
    kind = LargerThanMemory if code == "long" else InvalidTable
    return kind(REFUSALS[code].format(**facts))


class Note(NamedTuple):
    """What was decided or looks wrong, and what to type if it should be otherwise."""

    rule: str
    remedy: str


NUMERIC, TEXT = 'kind = "numeric" in a schema reads numbers', 'kind = "categorical" in a schema reads texts'
NAMES = "another in nearly every row, ignored"
DROP = "--drop COLUMN leaves it out"
NOTES = {
    "declared": Note("numbers that the file declares to be texts, kept as text", NUMERIC),
    "zeros": Note("leading zeros, kept as text", NUMERIC),
    "digits": Note("dates in eight digits, read as numbers", 'kind = "date" in a schema reads dates'),
    "spellings": Note("booleans in several spellings, kept as text", 'kind = "boolean" in a schema makes them two'),
    "marks": Note("numbers with marks or units, read as numbers", TEXT),
    "two_numbers": Note(
        "numbers of which two readings fit", "--decimal, or decimal and thousands in a schema, decides"
    ),
    "two_dates": Note(
        "dates of which two readings fit, kept as text", 'kind = "date" with date = "dmy" or "mdy" in a schema decides'
    ),
    "dates": Note("dates or times, kept as text", "--drop COLUMN leaves them out; a year of four digits makes a date"),
    "bad_numbers": Note("texts among numbers, read as missing", TEXT),
    "bad_dates": Note("texts among dates, read as missing", TEXT),
    "mixed": Note(
        "numbers and other texts, kept as text",
        'kind = "numeric" in a schema reads numbers, with missing for the texts',
    ),
    "code": Note("NA among two-letter codes, read as missing", 'present = ["NA"] in a schema keeps it'),
    "nothing": Note("no value, ignored", "--drop COLUMN, and it is not named again"),
    "names": Note("another text in nearly every row, ignored", TEXT),
    "declared_names": Note(f"numbers that the file declares to be texts, {NAMES}", NUMERIC),
    "two_dates_names": Note(
        f"dates of which two readings fit, {NAMES}", 'kind = "date" with date = "dmy" or "mdy" in a schema decides'
    ),
    "dates_names": Note(f"dates or times, {NAMES}", "a year of four digits makes a date"),
    "mixed_names": Note(
        f"numbers and other texts, {NAMES}", 'kind = "numeric" in a schema reads numbers, with missing for the texts'
    ),
    "many": Note("many texts, of which the 1000 commonest count", DROP),
    "alike": Note("whole numbers, some of them alike in 32 bits", TEXT),
    "index": Note("the index of pandas, ignored", 'kind = "numeric" in a schema makes it a feature'),
    "constant": Note("constant", DROP),
    "nearly": Note("nearly constant", DROP),
    "giveaway": Note("gives the target away", f"{DROP}, if it is not known when the model is asked"),
    "identifier": Note("another whole number in nearly every row", f"an identifier? {DROP}"),
    "twin": Note("the same cells as another column", DROP),
    # Of the file, not of a column.
    "empty": Note("columns without a name and a value, left out", "a name in the header keeps them"),
    "total": Note("a total at the foot, left out", "--keep-total keeps the row"),
    "sheets": Note("several sheets, of which the first was read", "--sheet and its name reads another"),
    "delimiters": Note("two delimiters fit", "--delimiter decides"),
    "sampled": Note(
        "rows that do not fit in --memory, columns judged by a sample",
        "--schema says how a column is read; a larger --memory reads all at once",
    ),
    "classes": Note("classes that differ by case or blanks only", "--merge-spellings makes them one"),
}
# Of these, the particulars are part of the line that says how a file was read.
LEFT_OUT = frozenset({NOTES["empty"].rule, NOTES["total"].rule})
# Of these, every column's particulars count.
PARTICULAR = frozenset(NOTES[code].rule for code in ("bad_numbers", "bad_dates", "two_numbers", "two_dates"))
REMEDIES = {note.rule: note.remedy for note in NOTES.values()}


def empty_columns(count: int) -> str:
    """How many columns are left out for having neither a name nor a value."""
    return f"{count} empty column{'s' * (count > 1)}"


def note(code: str, particulars: str = "") -> str:
    """A note as it stands in a schema: the rule, and what it was found in."""
    return f"{NOTES[code].rule}: {particulars}" if particulars else NOTES[code].rule


def ignored(code: str, particulars: str, count: str) -> str:
    """The one note of a column that is ignored, with the `count` of its texts.

    Where `code` says why it holds neither numbers nor dates, and a schema can have it read, the note says that.
    """
    return note(f"{code}_names", particulars) if f"{code}_names" in NOTES else note("names", count)
