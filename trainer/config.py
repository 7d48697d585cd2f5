"""The settings of one training job: one frozen object, built at the edge and handed inward as values."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from trainer.data.scaling import Kind
from trainer.hyperparameters import Hyperparameters


class TrainingConfig(Hyperparameters):
    """What to train on, how, and under which name to publish."""

    table: Path
    target: str
    name: str
    drop: tuple[str, ...] = ()
    weight: str | None = None
    scaling: Kind = Field(
        "robust",
        description="of numbers: by median and quartiles with a smooth clip, by mean and deviation, or by rank",
    )
    atoms: bool = Field(True, description="give values that one number repeats inputs of their own")
    one_hot: int = Field(8, ge=0, description="texts up to which each has an input; a column of more is embedded")
    members: int | None = Field(
        None,
        ge=1,
        le=64,
        description="networks whose mean answers, each with validation rows of its own; 5, and fewer on large tables",
    )
    restart: int = Field(0, ge=0, le=10_000, description="another run on the same split, with other first weights")
    validation: float = Field(0.2, gt=0, lt=1, description="share of the rows that chooses the epoch")
    test: float = Field(0.2, gt=0, lt=1, description="share of the rows that is looked at once, at the end")

    @model_validator(mode="after")
    def _leaves_rows_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("--validation and --test must leave rows to train on: their sum must be below 1")
        return self

    def settings(self) -> dict[str, object]:
        """What decides the outcome besides the table and its target."""
        return self.model_dump(mode="json", exclude={"table", "name", "target"})
