"""The hyperparameters: what decides how a network looks and learns, each with its range and its explanation."""

import math
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trainer.errors import InvalidSetting
from trainer.nn.architecture import Architecture
from trainer.nn.optimizers import OPTIMIZERS

Units = Annotated[int, Field(ge=1, le=65536)]
Activation = Literal["relu", "leaky_relu", "elu", "selu", "silu", "sigmoid", "tanh"]
Optimizer = Literal["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"]
Schedule = Literal["constant", "step", "cosine", "coslog4"]
Statistics = Literal["running", "population", "auto"]

# Of epochs and of rows in a batch: more means no more.
MOST = 1_000_000_000
# Batches are powers of two: 32 to 256.
SMALLEST_BATCH, LARGEST_BATCH, STEPS_AN_EPOCH = 5, 8, 300


def units_between_commas(units: object) -> object:
    """The units of each layer as they stand on a command line: `128,128`, or nothing for no layer."""
    return tuple(units.split(",") if units else ()) if isinstance(units, str) else units


class Hyperparameters(BaseModel):
    """How a network looks and learns. Ranges and explanations stand here and nowhere else."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hidden: tuple[Units, ...] = Field(
        (128, 128), max_length=32, description="units of each hidden layer, comma-separated"
    )
    activation: Activation = Field("relu", description="activation function of the hidden layers")
    batch_norm: Literal["before", "after", "none"] = Field(
        "before", description="batch normalisation before the activation (as in the paper), after it, or none"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate of the hidden layers")
    input_dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate of the inputs")
    periodic: float = Field(
        0.2,
        ge=0,
        lt=100,
        description="standard deviation of the frequencies of the periodic embeddings of up to 40 numeric features; "
        "0 for none",
    )
    optimizer: Optimizer = Field("adamw", description="optimizer of W, gamma and beta")
    learning_rate: float = Field(3e-3, gt=0, description="peak learning rate")
    beta1: float | None = Field(None, ge=0, lt=1, description="decay rate of the first moment (the momentum)")
    beta2: float | None = Field(None, ge=0, lt=1, description="decay rate of the second moment")
    weight_decay: float = Field(0.02, ge=0, lt=1, description="weight decay of W; gamma and beta have none")
    schedule: Schedule = Field("cosine", description="learning-rate schedule")
    warm_up: float = Field(
        0.1, ge=0, lt=1, description="share of the steps in which the learning rate rises to its peak"
    )
    batch_size: int | None = Field(
        None, ge=1, le=MOST, description="mini-batch size; by default 32, and up to 256 on large tables"
    )
    epochs: int = Field(100, ge=1, le=MOST, description="maximum number of epochs")
    patience: int = Field(20, ge=1, le=MOST, description="early stopping: epochs without a lower validation log-loss")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="label smoothing: share of the target that is spread evenly over the classes"
    )
    clip_norm: float | None = Field(None, gt=0, description="maximum norm of the gradient")
    class_weight: Literal["none", "balanced"] = Field(
        "none", description="balanced weights each class by the inverse of its frequency"
    )
    statistics: Statistics = Field(
        "running",
        description="frozen statistics: running averages, population (a pass over the training rows), or the one "
        "with the lower validation log-loss",
    )
    ewma_decay: float = Field(
        0.9, ge=0, lt=1, description="decay of the running mean and variance: the weight of the old value"
    )
    epsilon: float = Field(1e-5, gt=0, le=1, description="constant that batch normalisation adds to the variance")
    compiled: bool = Field(True, description="use the compiled training step where numba is installed")
    seed: int = Field(
        0, ge=0, lt=2**63, description="random seed of the split, the initial weights and the order of the rows"
    )

    @field_validator("hidden", mode="before")
    @classmethod
    def _units_between_commas(cls, hidden: object) -> object:
        return units_between_commas(hidden)

    @model_validator(mode="after")
    def _batch_has_a_variance(self) -> Self:
        if self.batch_size == 1 and self.batch_norm != "none" and self.hidden:
            raise ValueError(
                "--batch-size must be at least 2 with batch norm: one row has no variance to normalise with "
                "(--batch-norm none trains on single rows)"
            )
        return self

    @model_validator(mode="after")
    def _optimizer_has_its_betas(self) -> Self:
        for beta in ("beta1", "beta2"):
            if getattr(self, beta) is not None and getattr(OPTIMIZERS[self.optimizer], beta) is None:
                having = ", ".join(name for name, rule in OPTIMIZERS.items() if getattr(rule, beta) is not None)
                raise ValueError(f"--{beta} means nothing to {self.optimizer}; it belongs to {having}")
        return self

    @classmethod
    def of(cls, **values: object) -> Self:
        """Build from values as they came from the edge, numbers as text.

        :raises InvalidSetting: a value is outside its range; the sentence names the setting, the rule and the value.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            rule = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
            if not first["loc"]:
                raise InvalidSetting(rule) from None
            setting = str(first["loc"][0]).removeprefix("table_")  # Of `table_schema` the flag is shorter.
            flag = f"--{setting.replace('_', '-')}"
            raise InvalidSetting(f"{flag} {rule}, not {str(first['input'])[:64]!r}") from None

    def batch_of(self, rows: int) -> int:
        """The rows of one step in a table of so many: where nobody says, a power of two near a 300th of them."""
        if self.batch_size:
            return self.batch_size
        fitting = round(math.log2(rows / STEPS_AN_EPOCH))
        return 1 << min(max(fitting, SMALLEST_BATCH), LARGEST_BATCH)

    def architecture(
        self, inputs: int, classes: int, *, coded: int = 0, codes: int = 0, varied: tuple[int, ...] = ()
    ) -> Architecture:
        """The network that these hyperparameters ask for, for inputs of which the last `coded` are codes."""
        return Architecture(
            inputs,
            self.hidden,
            classes,
            activation=self.activation,
            batch_norm=self.batch_norm,
            dropout=self.dropout,
            input_dropout=self.input_dropout,
            coded=coded,
            codes=codes,
            periodic=self.periodic,
            varied=varied,
            epsilon=self.epsilon,
            ewma_decay=self.ewma_decay,
        )
