"""The settings of one training job: one frozen object, built at the edge and handed inward as values."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trainer.errors import InvalidSetting

Units = Annotated[int, Field(ge=1, le=65536)]


class TrainingConfig(BaseModel):
    """What to train on, how, and under which name to publish. Ranges and explanations stand here and nowhere else."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    table: Path
    target: str
    name: str
    drop: tuple[str, ...] = ()
    validation: float = Field(0.2, gt=0, lt=1, description="share of the rows that chooses the epoch")
    test: float = Field(0.2, gt=0, lt=1, description="share of the rows that is looked at once, at the end")
    hidden: tuple[Units, ...] = Field(
        (64, 64), max_length=32, description="units of each hidden layer, with commas between"
    )
    batch_size: int = Field(64, ge=2, description="rows of one training step")
    epochs: int = Field(100, ge=1, description="passes over the training rows, at most")
    patience: int = Field(20, ge=1, description="epochs without a lower validation log-loss before stopping")
    learning_rate: float = Field(3e-3, gt=0, description="step size of Adam")
    ewma_decay: float = Field(0.9, ge=0, lt=1, description="weight of the OLD value in the running averages")
    epsilon: float = Field(1e-5, gt=0, description="what batch norm adds to a variance")
    seed: int = Field(0, ge=0, lt=2**63, description="fixes the split, the first weights and the order of the rows")

    @model_validator(mode="after")
    def _leaves_rows_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("--validation and --test must leave rows to train on: their sum must be below 1")
        return self

    @classmethod
    def of(cls, **values: object) -> Self:
        """Build a config from values as they came from the edge, numbers as text.

        :raises InvalidSetting: a value is outside its range; the sentence names the setting, the rule and the value.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            rule = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
            if not first["loc"]:
                raise InvalidSetting(rule) from None
            flag = f"--{str(first['loc'][0]).replace('_', '-')}"
            raise InvalidSetting(f"{flag} {rule}, not {str(first['input'])[:64]!r}") from None

    def hyperparameters(self) -> dict[str, object]:
        """What decides the outcome besides the table and its target."""
        return self.model_dump(mode="json", exclude={"table", "name", "target"})
