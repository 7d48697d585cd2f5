"""The service's settings: one frozen object, read from EVENKEEL_* variables at the edge."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from models.cache import default_folder, root_of
from models.naming import NAME
from models.repository import DEFAULT_ROOT
from models.variables import LONGEST, MOST_MEGABYTES, one_line, shown
from service.errors import InvalidSetting
from service.kinds import File, Folder, Host, HostNames, Names, OriginNames, Repository, named

PREFIX = "EVENKEEL_"
# What others read: the trainer, the client of the service, the compose files and their scripts, the tests.
_OTHERS = """
    API_KEY CERTIFICATES DATA DISK_IMAGE EDGE_IMAGE GRAFANA_IMAGE GRAFANA_PORT HTTPS_PORT HTTP_PORT KEYS KEYS_SECRET
    MEMORY POSTGRESQL_IMAGE PROMETHEUS_IMAGE PROMETHEUS_PORT REPLICAS SEARCH SERVICE_IMAGE SITE STORAGE STORAGE_SECRET
    TABLES TLS TLS_IMAGE UPGRADE_SECONDS
"""
ELSEWHERE = frozenset(_OTHERS.split())
# What Kubernetes sets in a pod beside a service that is called evenkeel, or whose name begins with it.
SERVICE_LINK = re.compile(r"(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
# The types of settings that are numbers.
NUMBERS = (int, float, int | None, float | None)
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Settings(BaseModel):
    """Every setting, its range and its default; the variable is EVENKEEL_ and the name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    repository: Repository = Field(DEFAULT_ROOT, description="model repository: a folder, or an s3:// URL")
    cache: Folder | None = Field(
        None, description="folder that holds a copy of object storage (default: in the temporary folder)"
    )
    cache_megabytes: int = Field(
        1024,
        ge=1,
        le=MOST_MEGABYTES,
        description="limit of that copy, in megabytes; what serves comes first, then the newest",
    )
    follow_seconds: float = Field(
        10.0, gt=0, le=3600, description="seconds between two listings of object storage, a request each"
    )
    host: Host = Field("127.0.0.1", description="address to listen on, or unix:/PATH of a Unix socket")
    port: int = Field(8080, ge=1, le=65535, description="port to listen on")
    api_keys_file: File | None = Field(None, description="file of API keys (default: no authentication)")
    allow_hosts: HostNames = Field("", description="comma-separated Host names to accept beside those of this machine")
    allow_origins: OriginNames = Field(
        "", description="comma-separated origins allowed by CORS; * allows any, without API keys only"
    )
    root_path: str = Field(
        "",
        description="path prefix of the service behind a proxy, such as /api, or X-Forwarded-Prefix to read it there",
    )
    workers: int | None = Field(None, ge=1, le=256, description="worker processes (default: by cores and memory)")
    default_model: Annotated[str, Field(pattern=f"^{NAME.pattern}$")] | None = Field(
        None, description="model of /predict (default: the only one)"
    )
    extra_features: Literal["refuse", "ignore"] = Field(
        "refuse",
        description="unknown features in a row: refuse it, or ignore them with a warning; X-Extra overrides it",
    )
    poll_seconds: float = Field(
        0.5, gt=0, le=3600, description="seconds between two polls of the repository, where there are no file events"
    )
    trial_megabytes: int = Field(
        512, ge=16, le=1 << 20, description="memory limit of the trial of a version, in megabytes"
    )
    max_body_bytes: int = Field(16 << 20, ge=1024, le=1 << 32, description="request body limit, in bytes")
    max_rows: int = Field(100_000, ge=1, le=10_000_000, description="row limit of a request")
    max_answer_bytes: int = Field(32 << 20, ge=1024, le=1 << 32, description="response limit, in bytes")
    body_seconds: float = Field(30.0, gt=0, le=3600, description="timeout for receiving a request body, in seconds")
    idle_seconds: float = Field(
        75.0,
        gt=0,
        le=3600,
        description="keep-alive timeout of an idle connection, in seconds",
    )
    deadline_seconds: float = Field(1.0, gt=0, le=3600, description="queueing deadline of a request, in seconds")
    run_seconds: float = Field(5.0, gt=0, le=3600, description="inference timeout of a request, in seconds")
    drain_seconds: float = Field(
        2.0, ge=0, le=3600, description="time after SIGTERM in which requests are still accepted, in seconds"
    )
    versions: int = Field(4, ge=1, le=100, description="versions of a model to load at most, newest first")
    drift_hours: float = Field(
        1, ge=0, le=8784, description="short drift window, in hours; the long one is 24 times as long; 0: no drift"
    )
    feedback_rows: int = Field(
        10_000,
        ge=0,
        le=1_000_000,
        description="answers that each worker remembers for POST /v1/feedback, 264 bytes each; 0: no feedback",
    )
    prediction_log: Folder | None = Field(
        None, description="folder of the prediction log: each answer, and the labels sent later (default: no log)"
    )
    prediction_log_megabytes: int = Field(
        64, ge=1, le=1 << 16, description="size of a file of the prediction log, in megabytes; then another begins"
    )
    prediction_log_hours: float = Field(
        24.0, gt=0, le=8784, description="age of a file of the prediction log, in hours; then another begins"
    )
    prediction_log_days: float | None = Field(
        None, gt=0, le=36_600, description="days to keep files of the prediction log (default: for ever)"
    )
    prediction_log_share: float = Field(1.0, gt=0, le=1, description="share of the requests to log, drawn at random")
    prediction_log_drop: Names = Field(
        "", description="comma-separated features whose values are not logged; * drops all"
    )
    prediction_log_hash: Names = Field(
        "", description="comma-separated features of whose values a keyed hash is logged; * hashes all"
    )
    prediction_log_key_file: File | None = Field(None, description="file with the key of these hashes")
    access_log: bool = Field(False, description="log each request")
    tracing: bool = Field(False, description="trace each request with OpenTelemetry (extra `tracing`)")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="log level")

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
                    f"{names[setting]} is {shown(value)}, as Kubernetes sets it in every pod beside a service "
                    f"that is called like it: set {variable(setting)} in the pod, or enableServiceLinks: false"
                )
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            rule = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
            raise InvalidSetting(f"{names[str(first['loc'][0])]} {rule}, not {shown(str(first['input']))}") from None

    @field_validator("*", mode="before")
    @classmethod
    def _is_one_line(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        if "_" in one_line(value) and cls.model_fields[str(info.field_name)].annotation in NUMBERS:
            raise ValueError("should be a number in digits alone")
        return value

    @field_validator("allow_origins")
    @classmethod
    def _are_not_all_where_keys_are(cls, value: str, info: ValidationInfo) -> str:
        if "*" in named(value) and info.data.get("api_keys_file"):
            raise ValueError("should name each origin, with API keys")
        return value

    @property
    def url(self) -> str | None:
        """The URL of a repository in object storage."""
        return self.repository if isinstance(self.repository, str) else None

    @property
    def caches(self) -> Path:
        """The folder of copies of object storage."""
        return self.cache or default_folder()

    @property
    def root(self) -> Path:
        """The folder of models that is served: the repository, or the copy of it."""
        return root_of(self.caches, self.repository) if isinstance(self.repository, str) else self.repository

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The origins whose pages may ask: none, each by its name, or *, which is any."""
        return named(self.allow_origins)

    @property
    def dropped_features(self) -> frozenset[str]:
        """The features whose values the prediction log does not have."""
        return named(self.prediction_log_drop)

    @property
    def hashed_features(self) -> frozenset[str]:
        """The features of whose values the prediction log has a keyed hash."""
        return named(self.prediction_log_hash)

    @property
    def allowed_hosts(self) -> frozenset[str] | None:
        """The names that are taken as Host; None where any is.

        On loopback and without API keys, nothing but the Host tells a page of another origin, whose name was made to
        lead here (DNS rebinding), from a client of this machine.
        """
        names = named(self.allow_hosts.lower())
        own = f"[{self.host}]" if ":" in self.host else self.host.lower()
        return LOCAL_HOSTS | {own} | names if self._loopback and self.api_keys_file is None else None

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
