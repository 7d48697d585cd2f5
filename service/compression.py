"""Answers that are compressed for whoever takes them so: the page's files, cards, metrics. Predictions never are."""

import zlib

from flask import Request, Response

# Shorter ones gain nothing.
LEAST_BYTES = 1024
LEVEL = 6
GZIP = zlib.MAX_WBITS | 16
COMPRESSIBLE = frozenset({"application/json", "image/svg+xml"})


def compress(response: Response, request: Request) -> None:
    """Compress the body where that is worth it."""
    kind = response.mimetype or ""
    if response.status_code != 200 or not (kind in COMPRESSIBLE or kind.startswith("text/")):
        return
    response.vary.add("Accept-Encoding")
    if not request.accept_encodings.quality("gzip"):
        return
    # What is sent as a file is a stream until now.
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) < LEAST_BYTES:
        return
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    response.set_data(packer.compress(body) + packer.flush())
    response.headers["Content-Encoding"] = "gzip"
    if (etag := response.get_etag()[0]) is not None:
        # The same in meaning, and no more in every byte.
        response.set_etag(etag, weak=True)
