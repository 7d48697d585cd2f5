"""The settings of one training job: one frozen object, built at the edge and handed inward as values."""

import shlex
from collections.abc import Container
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from trainer.data.division import By
from trainer.data.scaling import Kind
from trainer.data.schema import FileSchema, file_schema
from trainer.data.size import RULE as MEMORY_RULE
from trainer.data.size import memory_of
from trainer.measures.threshold import Rule
from trainer.settings.durations import RULE, seconds
from trainer.settings.hyperparameters import Hyperparameters, Units, units_between_commas

# What every command names first.
NAMED = ("table", "target", "name")
# Flags that stand without a value.
ALONE = ("keep_total", "merge_spellings")
# What says how the bytes of a table are read; the schema that is kept tells the outcome.
READING = ("delimiter", "encoding", "decimal", "sheet", "keep_total", "merge_spellings")
# What the schema that is kept tells, where it changes anything.
MACHINE = ("memory",)

# What `inspect` takes of a run, and what `search` does, which chooses the network and its training.
INSPECTED = ("target", *READING)
SEARCHED = (
    *("target", "name", "drop", "weight", "table_schema", "test_table", "split_by", "group", "time", "keep", *READING),
    *("validation", "test", "coverage", "coverage_rows", "positive", "threshold"),
)


class TrainingConfig(Hyperparameters):
    """What to train on, how, and under which name to publish. A table `from_log` is the folder of a prediction log."""

    table: Path
    target: str
    name: str
    drop: tuple[str, ...] = ()
    weight: str | None = None
    table_schema: Path | None = None
    test_table: Path | None = None
    from_log: bool = False
    split_by: str | None = None
    group: str | None = None
    time: str | None = None
    keep: tuple[str, ...] = ()
    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    sheet: str | None = None
    time_limit: float | None = Field(None, gt=0)
    memory: int | None = Field(None, gt=0)
    keep_total: bool = False
    merge_spellings: bool = False
    scaling: Kind = Field(
        "robust",
        description="scaling of numeric features: by median and quartiles with a smooth clip, by mean and standard "
        "deviation, or by rank",
    )
    atoms: bool = Field(True, description="add an indicator input for each value that a numeric feature often repeats")
    one_hot: int = Field(
        8, ge=0, description="largest number of categories that is one-hot encoded; features with more are embedded"
    )
    selection: bool = Field(
        True,
        description="choose by validation log-loss between input dropout and none, whole numbers and categories, and "
        "robust and quantile scaling",
    )
    members: int | None = Field(
        None,
        ge=1,
        le=64,
        description="networks in the bag, each with its own validation rows; by default 5, fewer on large tables",
    )
    distil: bool = Field(True, description="publish one network distilled from the bag, not the bag itself")
    student: tuple[Units, ...] | None = Field(
        None,
        max_length=32,
        description="units of each hidden layer of the distilled network; by default twice those of --hidden, three "
        "times in the first layer above 20 classes",
    )
    teacher: Literal["bag", "trees", "auto"] = Field(
        "bag",
        description="what the distilled network learns from: the bag, the bag and gradient-boosted trees in equal "
        "shares, or with the share of the trees that validation rows choose (needs evenkeel[sklearn])",
    )
    restart: int = Field(
        0, ge=0, le=10_000, description="number of a further run on the same split with other initial weights"
    )
    validation: float = Field(
        0.2, gt=0, lt=1, description="share of the rows in the validation set, which early stopping uses"
    )
    test: float = Field(
        0.2, gt=0, lt=1, description="share of the rows in the test set, which is used once, at the end"
    )

    coverage_rows: float = Field(
        0.1, gt=0, lt=1, description="share of the rows that the threshold of the prediction sets is chosen on"
    )
    coverage: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of the rows whose class is to be in the prediction set that each answer then has, as 0.9",
    )
    positive: str | None = Field(None, description="the positive class, of two")
    threshold: str | None = Field(
        None,
        description="decision threshold of the positive class: f1, recall@precision=0.8, or cost=5:1 (a false "
        "negative costs 5, a false positive 1)",
    )

    background: int = Field(
        0,
        ge=0,
        le=100,
        description="training rows stored in the card as the background set of explanations",
    )

    @model_validator(mode="after")
    def _threshold_is_a_rule(self) -> Self:
        if self.threshold is None:
            return self
        if self.positive is None:
            raise ValueError("--threshold needs --positive: say which of the two classes is looked for")
        try:
            Rule.parse(self.threshold)
        except ValueError as error:
            raise ValueError(f"--threshold {error}, not {self.threshold[:64]!r}") from None
        return self

    @model_validator(mode="after")
    def _somebody_learns_from_the_teacher(self) -> Self:
        if self.teacher != "bag" and (not self.distil or self.members == 1):
            off = "--members 1" if self.distil else "--distil false"
            raise ValueError(f"--teacher {self.teacher} needs a distilled network, and {off} has none; leave one out")
        return self

    @model_validator(mode="after")
    def _splits_in_one_way(self) -> Self:
        ways = {"--split-by": self.split_by, "--group": self.group, "--time": self.time}
        given = [flag for flag, column in ways.items() if column is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are two ways to split one table; choose one")
        for column in self.keep:
            if column not in (self.group, self.time):
                raise ValueError(f"--keep {column}: only the column of --group or --time is no feature by itself")
        for share in ("validation", "test", "coverage_rows"):
            if self.split_by is not None and share in self.model_fields_set:
                raise ValueError(
                    f"--{share.replace('_', '-')} is a share, and --split-by names the rows themselves; choose one"
                )
        if self.coverage is None and self.coverage_rows != TrainingConfig.model_fields["coverage_rows"].default:
            raise ValueError("--coverage-rows is the share of the rows for the sets that --coverage asks for; say both")
        if self.test_table is not None and "test" in self.model_fields_set:
            raise ValueError("--test is a share of the table, and --test-table has rows of its own; choose one")
        return self

    @model_validator(mode="after")
    def _leaves_rows_to_train_on(self) -> Self:
        if self.validation + (0 if self.test_table else self.test) + self.share_for_sets >= 1:
            named = "--validation, --test and --coverage-rows" if self.share_for_sets else "--validation and --test"
            raise ValueError(f"{named} must leave rows to train on: their sum must be below 1")
        return self

    @field_validator("time_limit", mode="before")
    @classmethod
    def _time_limit_in_seconds(cls, limit: object) -> object:
        if not isinstance(limit, str):
            return limit
        if (found := seconds(limit)) is None:
            raise ValueError(RULE)
        return found

    @field_validator("memory", mode="before")
    @classmethod
    def _memory_in_bytes(cls, memory: object) -> object:
        if not isinstance(memory, str):
            return memory
        if (found := memory_of(memory)) is None:
            raise ValueError(MEMORY_RULE)
        return found

    @field_validator("student", mode="before")
    @classmethod
    def _student_units_between_commas(cls, student: object) -> object:
        return units_between_commas(student)

    @property
    def divide(self) -> tuple[By, str] | None:
        """The column that divides the table, and how."""
        ways: tuple[tuple[By, str | None], ...] = (("part", self.split_by), ("group", self.group), ("time", self.time))
        return next(((by, column) for by, column in ways if column is not None), None)

    @property
    def share_for_sets(self) -> float:
        """The share of the rows that the threshold of the sets is chosen on; 0 where there are to be no sets."""
        return 0.0 if self.coverage is None else self.coverage_rows

    @property
    def file(self) -> FileSchema:
        """How the bytes of the table are read, where it does not say so itself."""
        return file_schema(self.delimiter, self.encoding, self.decimal, self.sheet, keep_total=self.keep_total)

    def settings(self) -> dict[str, object]:
        """What decides the outcome besides the table, its target and how it was read."""
        other = {"table", "name", "target", "table_schema", "test_table", "from_log", *READING, *MACHINE}
        # Without sets, a run is what it was before there were any.
        other |= {"coverage", "coverage_rows"} if self.coverage is None else set()
        return self.model_dump(mode="json", exclude=other)

    def with_placeholders(self) -> Self:
        """The same with words in place of its files: where they lie is nobody else's business."""
        words = {"table": "TABLE", "table_schema": "SCHEMA", "test_table": "TEST_TABLE"}
        return self.model_copy(update={file: Path(word) for file, word in words.items() if getattr(self, file)})

    def command(self, start: str = "evenkeel fit", settings: Container[str] | None = None) -> str:
        """The whole command that trains with these settings: a flag for each that is not what it would be anyway.

        Of another command, `settings` names those that it takes.
        """
        words = [f"--from-log {shlex.quote(str(self.table))}" if self.from_log else shlex.quote(str(self.table))]
        said = ("from_log", "target", "time") if self.from_log else ()
        for setting in ("target", "name", *(one for one in TrainingConfig.model_fields if one not in NAMED)):
            value = getattr(self, setting)
            is_default = value == TrainingConfig.model_fields[setting].default
            if is_default or setting in said or (settings and setting not in settings):
                continue
            flag = "--schema" if setting == "table_schema" else f"--{setting.replace('_', '-')}"
            words += [flag if setting in ALONE else f"{flag} {shlex.quote(one)}" for one in _spelled(setting, value)]
        return f"{start} {' '.join(words)}"


def _spelled(setting: str, value: object) -> list[str]:
    """A setting as the values of its flag, which is repeated for `drop` and `keep`."""
    if isinstance(value, tuple):
        texts = [str(one) for one in value]
        return [",".join(texts)] if setting in ("hidden", "student") else texts
    return [str(value).lower() if isinstance(value, bool) else str(value)]
