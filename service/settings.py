"""The service's settings: one frozen object, read from EVENKEEL_* variables at the edge."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.repository import DEFAULT_ROOT, NAME
from service.errors import InvalidSetting

PREFIX = "EVENKEEL_"
# What others read: the trainer, the client of the service, the compose file, the tests.
ELSEWHERE = frozenset({"API_KEY", "DATA", "POSTGRESQL_IMAGE", "SEARCH", "STORAGE", "STUDY_PASSWORD", "TABLES"})
# What Kubernetes sets in a pod beside a service that is called evenkeel, or whose name begins with it.
SERVICE_LINK = re.compile(r"(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
# So much of a wrong name or value is shown.
LONGEST = 64
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
        None, ge=1, le=256, description="worker processes; without it, as many as there are cores and memory for"
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
    run_seconds: float = Field(
        5.0, gt=0, le=3600, description="how long a model may take for the rows of a request, in seconds"
    )
    drain_seconds: float = Field(
        2.0, ge=0, le=3600, description="how long after SIGTERM requests are still let in, in seconds"
    )
    versions: int = Field(
        4, ge=1, le=100, description="how many versions of a model are loaded at most, the newest first"
    )
    drift_hours: float = Field(
        1, ge=0, le=366, description="short window of drift, in hours; the long one is 24 times as long; 0: no drift"
    )
    access_log: bool = Field(False, description="whether each request gets a line in the log")
    tracing: bool = Field(False, description="whether each request becomes a span of OpenTelemetry (extra `tracing`)")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe event that is logged"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], flags: Mapping[str, str] | None = None) -> Self:
        """Read the settings; an empty variable counts as unset. What `flags` give, by setting, goes before.

        :raises InvalidSetting: a value is outside its range; the sentence names variable or flag, rule and value.
        """
        given = {setting: value for setting in cls.model_fields if (value := environment.get(variable(setting)))}
        given |= flags or {}
        names = {setting: flag(setting) if setting in (flags or {}) else variable(setting) for setting in given}
        for setting, value in given.items():
            if value.startswith("tcp://"):
                raise InvalidSetting(
                    f"{names[setting]} is {value[:LONGEST]!r}, as Kubernetes sets it in every pod beside a service "
                    f"that is called like it: set {variable(setting)} in the pod, or enableServiceLinks: false"
                )
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            rule = first["msg"].removeprefix("Input ")
            raise InvalidSetting(
                f"{names[str(first['loc'][0])]} {rule}, not {str(first['input'])[:LONGEST]!r}"
            ) from None

    @property
    def allowed_hosts(self) -> frozenset[str] | None:
        """The names that are taken as Host; None where any is.

        On loopback and without API keys, nothing but the Host tells a page of another origin, whose name was made to
        lead here (DNS rebinding), from a client of this machine.
        """
        named = frozenset(host.strip().lower() for host in self.allow_hosts.split(",") if host.strip())
        own = f"[{self.host}]" if ":" in self.host else self.host.lower()
        return LOCAL_HOSTS | {own} | named if self._loopback and self.api_keys_file is None else None

    @property
    def _loopback(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each EVENKEEL_* variable that nothing reads, with the name that was probably meant."""
    known = {setting.upper() for setting in Settings.model_fields} | ELSEWHERE
    sentences = []
    for given in sorted(environment):
        name = given.removeprefix(PREFIX)
        if name == given or name in known or SERVICE_LINK.fullmatch(name):
            continue
        nearest = get_close_matches(name, sorted(known), 1)
        way = f"{PREFIX}{nearest[0]} may be meant" if nearest else "evenkeel serve --help lists the settings"
        sentences.append(f"{given[:LONGEST]} is set, and nothing reads it; {way}")
    return sentences


def variable(setting: str) -> str:
    """The name of the variable that a setting is read from."""
    return PREFIX + setting.upper()


def flag(setting: str) -> str:
    """The name of the flag that a setting is given by."""
    return f"--{setting.replace('_', '-')}"
