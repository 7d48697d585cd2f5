"""Why the service refuses, and the HTTP status and code word of each refusal.

ServiceError
├── InvalidSetting          an EVENKEEL_* variable is outside its range (at start, never over HTTP)
├── MalformedBody           the body is not JSON
├── InvalidTensor           a tensor breaks the protocol or the model's signature
├── InvalidRecord           a record breaks the card
├── ModelNotFound           no such model, or no such version of it, is served
├── NoDefaultModel          several models are served and none is the default
├── BodyTooLarge            the body is longer than the limit
├── UnsupportedMedia        the body's type or encoding is not one that is read
├── NotReady                no model is loaded yet
└── InvalidAnswer           the model answered with something that is no probability
RefusedModel                a version that this service will not load (never over HTTP)
RefusedTable                a table that `python -m service predict` cannot score (never over HTTP)
"""

from dataclasses import dataclass

from models.errors import ModelError

Detail = dict[str, str | int]


class ServiceError(Exception):
    """Any refusal over HTTP: one sentence for a person, and up to twenty details for a program."""

    def __init__(self, message: str, details: list[Detail] | None = None) -> None:
        super().__init__(message)
        self.details = details or []


class InvalidSetting(ServiceError):
    """An EVENKEEL_* variable is outside its range."""


class MalformedBody(ServiceError):
    """The body is not JSON."""


class InvalidTensor(ServiceError):
    """A tensor breaks the protocol or the model's signature."""


class InvalidRecord(ServiceError):
    """A record breaks the card."""


class ModelNotFound(ServiceError):
    """No such model, or no such version of it, is served."""


class NoDefaultModel(ServiceError):
    """Several models are served and none is the default."""


class BodyTooLarge(ServiceError):
    """The body is longer than the limit."""


class UnsupportedMedia(ServiceError):
    """The body's type or encoding is not one that is read."""


class NotReady(ServiceError):
    """No model is loaded yet."""


class InvalidAnswer(ServiceError):
    """The model answered with something that is no probability."""


class RefusedModel(ModelError):
    """A version that this service will not load."""


class RefusedTable(Exception):
    """A table that `python -m service predict` cannot score."""


@dataclass(frozen=True)
class Refusal:
    """How a refusal looks on the wire."""

    status: int
    code: str


REFUSALS: dict[type[ServiceError], Refusal] = {
    MalformedBody: Refusal(400, "malformed_json"),
    InvalidTensor: Refusal(400, "invalid_tensor"),
    InvalidRecord: Refusal(422, "invalid_record"),
    ModelNotFound: Refusal(404, "model_not_found"),
    NoDefaultModel: Refusal(404, "no_default_model"),
    BodyTooLarge: Refusal(413, "body_too_large"),
    UnsupportedMedia: Refusal(415, "unsupported_media"),
    NotReady: Refusal(503, "not_ready"),
    InvalidAnswer: Refusal(500, "invalid_answer"),
}

# The code words that no refusal of ours has: a defect, and what Flask itself refuses.
FAILED = "internal_error"
NOT_ROUTED: dict[int, tuple[str, str]] = {
    404: ("not_found", "there is no such route; GET /v1/models lists the models"),
    405: ("method_not_allowed", "this route does not take this method; the Allow header lists those it takes"),
}
BAD_REQUEST = ("bad_request", "the request cannot be read")

CODES = (
    "ok",
    FAILED,
    *(refusal.code for refusal in REFUSALS.values()),
    *(code for code, _ in NOT_ROUTED.values()),
    BAD_REQUEST[0],
)
