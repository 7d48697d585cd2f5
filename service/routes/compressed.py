"""Flask's answers, compressed for whoever takes them so: the page's files, cards, metrics."""

from flask import Request, Response

from service.compression import LEAST_BYTES, THOROUGH, gzipped, takes_gzip

COMPRESSIBLE = frozenset({"application/json", "image/svg+xml"})


def send_whole(request: Request) -> None:
    """Let nobody ask for a part of an answer, as any server may: of files this small, and that two clients may get in
    different bytes, a part is worth less than it can spoil.
    """
    request.environ.pop("HTTP_RANGE", None)


def compress(response: Response, request: Request) -> None:
    """Compress the body where that is worth it, and say of all that may be compressed what depends on who takes it."""
    kind = response.mimetype or ""
    if response.status_code not in (200, 304) or not (kind in COMPRESSIBLE or kind.startswith("text/")):
        return
    response.headers.pop("Accept-Ranges", None)
    # Also of a 304, which has to say both as the 200 in its place would (RFC 9110, section 15.4.5).
    response.vary.add("Accept-Encoding")
    if (etag := response.get_etag()[0]) is not None:
        # The same in meaning for all, and not in every byte.
        response.set_etag(etag, weak=True)
    if response.status_code != 200 or not takes_gzip(request.environ.get("HTTP_ACCEPT_ENCODING", "")):
        return
    # What is sent as a file is a stream until now.
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) < LEAST_BYTES:
        return
    response.set_data(gzipped(body, THOROUGH))
    response.headers["Content-Encoding"] = "gzip"
