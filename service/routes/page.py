"""The web page: a shell without data, which its modules fill with what the API tells; and the reports of versions."""

from flask import Response, render_template

from models.errors import ModelError
from service.errors import ReportNotFound
from service.registry.registry import Registry
from service.reply import lines, success
from service.routes import Views, request_id, send

REPORT = "report.html"
HTML = "text/html; charset=utf-8"
# A report has its styles and its pictures in it. Nothing in it runs, is loaded, or may leave the frame that it is in.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox"


def page(registry: Registry) -> Views:
    """The one shell of all pages, which needs no key: what is served is asked for by whoever has one."""

    def show() -> str:
        return render_template("page.html")

    def report(model: str, version: str) -> Response:
        predictor = registry.predictor(model, version)
        try:
            html = registry.file(predictor, REPORT)
        except ModelError as error:
            raise ReportNotFound(f"the report cannot be shown: {error}") from None
        if html is None:
            raise ReportNotFound(f"version {version} of {model} was published without a report")
        policy = ("Content-Security-Policy", REPORT_POLICY)
        reply = success(html, request_id(), HTML)
        reply.head += lines([policy])
        return send(reply)

    return {"page": show, "docs": show, "report": report}
