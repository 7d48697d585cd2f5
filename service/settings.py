"""The service's settings: one frozen object, read from EVENKEEL_* variables at the edge."""

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.repository import DEFAULT_ROOT, NAME
from service.errors import InvalidSetting

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Settings(BaseModel):
    """Every setting, its range and its default; the variable is EVENKEEL_ and the name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    repository: Path = Field(DEFAULT_ROOT, description="root folder of the model repository")
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    port: int = Field(8080, ge=1, le=65535, description="port to listen on")
    api_keys_file: Path | None = Field(None, description="file of API keys; without it, nothing needs a key")
    allow_hosts: str = Field(
        "", description="names, with commas, that are taken as Host where only those of this machine would be"
    )
    workers: int | None = Field(
        None, ge=1, le=256, description="worker processes; without it, one a core the service may use"
    )
    default_model: Annotated[str, Field(pattern=f"^{NAME.pattern}$")] | None = Field(
        None, description="the model that /predict asks; needed only where several are served"
    )
    poll_seconds: float = Field(
        0.5, gt=0, le=3600, description="how often the repository is looked at, where no file events tell of a change"
    )
    trial_megabytes: int = Field(
        512, ge=16, le=1 << 20, description="memory that a version may take while it is tried, before it is loaded"
    )
    max_body_bytes: int = Field(16 << 20, ge=1024, description="longest request body, in bytes")
    max_rows: int = Field(100_000, ge=1, le=10_000_000, description="most rows of a request")
    max_answer_bytes: int = Field(32 << 20, ge=1024, le=1 << 32, description="longest answer, in bytes")
    body_seconds: float = Field(30.0, gt=0, le=3600, description="how long a body may take to come, in seconds")
    idle_seconds: float = Field(
        75.0,
        gt=0,
        le=3600,
        description="how long a connection is kept on which no request comes, in seconds",
    )
    deadline_seconds: float = Field(
        1.0, gt=0, le=3600, description="how long a request may wait for its turn, in seconds"
    )
    drain_seconds: float = Field(
        2.0, ge=0, le=3600, description="how long after SIGTERM requests are still let in, in seconds"
    )
    versions: int = Field(
        4, ge=1, le=100, description="how many versions of a model are loaded at most, the newest first"
    )
    drift_hours: float = Field(
        1, gt=0, le=8784, description="window of drift: rows count for so many hours, and for twice as many at most"
    )
    access_log: bool = Field(False, description="whether each request gets a line in the log")
    tracing: bool = Field(False, description="whether each request becomes a span of OpenTelemetry (extra `tracing`)")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe event that is logged"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; an empty variable counts as unset.

        :raises InvalidSetting: a value is outside its range; the sentence names the variable, the rule and the value.
        """
        variables = {setting: f"EVENKEEL_{setting.upper()}" for setting in cls.model_fields}
        given = {setting: value for setting, variable in variables.items() if (value := environment.get(variable))}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            variable = variables[str(first["loc"][0])]
            rule = first["msg"].removeprefix("Input ")
            raise InvalidSetting(f"{variable} {rule}, not {str(first['input'])[:64]!r}") from None

    @property
    def allowed_hosts(self) -> frozenset[str] | None:
        """The names that are taken as Host; None where any is.

        On loopback and without API keys, nothing but the Host tells a page of another origin, whose name was made to
        lead here (DNS rebinding), from a client of this machine.
        """
        named = frozenset(host.strip().lower() for host in self.allow_hosts.split(",") if host.strip())
        return LOCAL_HOSTS | named if self._loopback and self.api_keys_file is None else None

    @property
    def _loopback(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def available_cores() -> int:
    """How many cores this process may use, by its affinity and the quota of its control group (v2 or v1)."""
    cores = len(os.sched_getaffinity(0))
    for quota, period in (_quota_v2(), _quota_v1()):
        if quota > 0 and period > 0:
            cores = min(cores, max(1, quota // period))
    return cores


def _quota_v2() -> tuple[int, int]:
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    return (int(quota), int(period)) if quota.isdigit() and period.isdigit() else (0, 0)


def _quota_v1() -> tuple[int, int]:
    texts = [_read(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period")]
    return (int(texts[0]), int(texts[1])) if all(text.isdigit() for text in texts) else (0, 0)


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
