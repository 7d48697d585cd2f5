"""Why the service refuses, and the HTTP status and code word of each refusal.

ServiceError
├── InvalidSetting          an EVENKEEL_* variable is outside its range (at start, never over HTTP)
├── InvalidRequest          the head of the request breaks HTTP
├── MisdirectedRequest      the Host is none that this service answers as
├── NotImplementedHere      a method or a transfer coding that nothing here knows
├── UnsupportedVersion      another version of HTTP
├── HeadTooLarge            the head of the request is longer than is read
├── ExpectationFailed       the head expects what is not done here
├── TargetTooLong           the path and the query are longer than is read
├── LengthRequired          a body whose length nothing tells
├── BodyTimeout             the body came too slowly
├── MalformedBody           the body is not JSON
├── MissingKey              the request has no API key, or none that is known
├── WrongScope              the API key is for something else
├── ForeignOrigin           a page of an origin that may not ask
├── InvalidTensor           a tensor breaks the protocol or the model's signature
├── InvalidRecord           a record breaks the card
├── ModelNotFound           no such model, or no such version of it, is served
├── ReportNotFound          the version was published without a report, or its report cannot be read
├── DriftNotFound           the version was published without a drift baseline, or no rows are counted for drift
├── PerformanceNotFound     the version was published without a drift baseline
├── FeedbackNotFound        no answers are remembered, so that labels have none
├── NoDefaultModel          several models are served and none is the default
├── BodyTooLarge            the body is longer than the limit, or takes more memory than one request may
├── TooManyRows             the request has more rows, or the answer more bytes, than the limit
├── UnsupportedMedia        the body's type or encoding is not one that is read
├── NotReady                no model is loaded yet, or the service is stopping
├── Overloaded              there is more to do than can be done in time
├── RunTimeout              the model took longer than a run may
└── InvalidAnswer           the model answered with something that is no probability
RefusedModel                a version that this service will not load (never over HTTP)
Unrepeated                  an answer of a prediction log comes out differently, or a line was altered (as all below)
Unproven                    some answers of a prediction log cannot be repeated
NotLogged                   a prediction log has no line of a request
NeverReady                  the service was told to end before it could answer
"""

from dataclasses import dataclass

from models.errors import EvenkeelError, ModelError

# The exit code of a service, and of a worker, that is told to end before it could answer.
NEVER_READY = 75

Detail = dict[str, str | int]


class ServiceError(Exception):
    """Any refusal over HTTP: one sentence for a person, and up to twenty details for a program."""

    def __init__(self, message: str, details: list[Detail] | None = None) -> None:
        super().__init__(message)
        self.details = details or []


class InvalidSetting(ServiceError):
    """An EVENKEEL_* variable is outside its range."""


class InvalidRequest(ServiceError):
    """The head of the request breaks HTTP."""


class MisdirectedRequest(ServiceError):
    """The Host is none that this service answers as."""


class NotImplementedHere(ServiceError):
    """A method or a transfer coding that nothing here knows."""


class UnsupportedVersion(ServiceError):
    """Another version of HTTP."""


class HeadTooLarge(ServiceError):
    """The head of the request is longer than is read."""


class ExpectationFailed(ServiceError):
    """The head expects what is not done here."""


class TargetTooLong(ServiceError):
    """The path and the query are longer than is read."""


class LengthRequired(ServiceError):
    """A body whose length nothing tells."""


class BodyTimeout(ServiceError):
    """The body came too slowly."""


class MalformedBody(ServiceError):
    """The body is not JSON."""


class MissingKey(ServiceError):
    """The request has no API key, or none that is known."""


class WrongScope(ServiceError):
    """The API key is for something else."""


class ForeignOrigin(ServiceError):
    """A page of an origin that may not ask."""


class InvalidTensor(ServiceError):
    """A tensor breaks the protocol or the model's signature."""


class InvalidRecord(ServiceError):
    """A record breaks the card."""


class ModelNotFound(ServiceError):
    """No such model, or no such version of it, is served."""


class ReportNotFound(ServiceError):
    """The version was published without a report, or its report cannot be read."""


class DriftNotFound(ServiceError):
    """The version was published without a drift baseline, or no rows are counted for drift."""


class PerformanceNotFound(ServiceError):
    """The version was published without a drift baseline."""


class FeedbackNotFound(ServiceError):
    """No answers are remembered, so that labels have none."""


class NoDefaultModel(ServiceError):
    """Several models are served and none is the default."""


class BodyTooLarge(ServiceError):
    """The body is longer than the limit."""


class TooManyRows(ServiceError):
    """The request has more rows, or the answer more bytes, than the limit."""


class UnsupportedMedia(ServiceError):
    """The body's type or encoding is not one that is read."""


class NotReady(ServiceError):
    """No model is loaded yet, or the service is stopping."""


class Overloaded(ServiceError):
    """There is more to do than can be done in time."""


class RunTimeout(ServiceError):
    """The model took longer than a run may."""


class InvalidAnswer(ServiceError):
    """The model answered with something that is no probability."""


class RefusedModel(ModelError):
    """A version that this service will not load."""


class Unrepeated(EvenkeelError):
    """An answer of a prediction log comes out differently, or a line of it was altered."""


class Unproven(EvenkeelError):
    """Some answers of a prediction log cannot be repeated; all others come out as they should."""


class NotLogged(EvenkeelError):
    """A prediction log has no line of a request."""


class NeverReady(EvenkeelError):
    """The service was told to end before it could answer."""


@dataclass(frozen=True)
class Refusal:
    """How a refusal looks on the wire."""

    status: int
    code: str


BAD_REQUEST = ("bad_request", "the request cannot be read")

REFUSALS: dict[type[ServiceError], Refusal] = {
    InvalidRequest: Refusal(400, BAD_REQUEST[0]),
    MisdirectedRequest: Refusal(421, "misdirected_request"),
    NotImplementedHere: Refusal(501, "not_implemented"),
    UnsupportedVersion: Refusal(505, "http_version"),
    HeadTooLarge: Refusal(431, "header_too_large"),
    ExpectationFailed: Refusal(417, "expectation_failed"),
    TargetTooLong: Refusal(414, "uri_too_long"),
    LengthRequired: Refusal(411, "length_required"),
    BodyTimeout: Refusal(408, "body_timeout"),
    MalformedBody: Refusal(400, "malformed_json"),
    InvalidTensor: Refusal(400, "invalid_tensor"),
    MissingKey: Refusal(401, "unauthorized"),
    WrongScope: Refusal(403, "forbidden"),
    ForeignOrigin: Refusal(403, "foreign_origin"),
    InvalidRecord: Refusal(422, "invalid_record"),
    ModelNotFound: Refusal(404, "model_not_found"),
    ReportNotFound: Refusal(404, "report_not_found"),
    DriftNotFound: Refusal(404, "drift_not_found"),
    PerformanceNotFound: Refusal(404, "performance_not_found"),
    FeedbackNotFound: Refusal(404, "feedback_not_found"),
    NoDefaultModel: Refusal(404, "no_default_model"),
    BodyTooLarge: Refusal(413, "body_too_large"),
    TooManyRows: Refusal(413, "too_many_rows"),
    UnsupportedMedia: Refusal(415, "unsupported_media"),
    NotReady: Refusal(503, "not_ready"),
    Overloaded: Refusal(503, "overloaded"),
    RunTimeout: Refusal(504, "run_timeout"),
    InvalidAnswer: Refusal(500, "invalid_answer"),
}

# The code words that no refusal of ours has: a defect, and what Flask itself refuses.
FAILED = "internal_error"
NOT_ROUTED: dict[int, tuple[str, str]] = {
    404: ("not_found", "there is no such route; GET /v1/models lists the models"),
    405: ("method_not_allowed", "this route does not take this method; the Allow header lists those it takes"),
}

CODES = (
    "ok",
    FAILED,
    *(refusal.code for refusal in REFUSALS.values()),
    *(code for code, _ in NOT_ROUTED.values()),
)
