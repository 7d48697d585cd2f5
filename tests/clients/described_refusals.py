"""A check for schemathesis: a refusal is described with its own status and code word, also where a range is."""

from typing import Any

import schemathesis


@schemathesis.check  # type: ignore[untyped-decorator,unused-ignore]
def described_refusals(_: Any, response: Any, case: Any) -> None:
    """404 with `not_found` is in the description of 404, or as `404 not_found` in that of 4XX."""
    status = str(response.status_code)
    if status < "400":
        return
    answer = case.operation.schema.raw_schema
    answers = case.operation.definition.raw["responses"]
    exact = status in answers
    told = answers[status if exact else f"{status[0]}XX"]
    if "$ref" in told:
        for key in told["$ref"].split("/")[1:]:
            answer = answer[key]
        told = answer
    code = response.json()["code"]
    said = code if exact else f"{status} {code}"
    words = told["description"].split(" or ")
    assert said in words, f"{said} is none of {words}"
