"""The web page: a shell without data, which its modules fill with what the API tells; and the reports of versions."""

from contextlib import suppress

from flask import Response, render_template, request

from models.errors import ModelError
from service.access import Access
from service.errors import ModelNotFound, NotReady, ReportNotFound
from service.registry.registry import Registry
from service.reply import lines, success
from service.routes import Views, request_id, send

REPORT = "report.html"
HTML = "text/html; charset=utf-8"
# A report has its styles and its pictures in it. Nothing in it runs, is loaded, or may leave the frame that it is in.
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox"


def page(registry: Registry, access: Access | None) -> Views:
    """The one shell of all pages, which needs no key: what is served is asked for by whoever has one."""

    def show() -> tuple[str, int]:
        return _shell(), 200 if access is not None or _served(registry) else 404

    def docs() -> str:
        return _shell()

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

    return {"page": show, "docs": docs, "report": report}


def _shell() -> str:
    """Links begin with the path of the proxy where that is known; else they are relative to the page."""
    return render_template("page.html", root=f"{request.script_root}/" if request.script_root else "")


def _served(registry: Registry) -> bool:
    """Whether the model that an address names, if any, is served; where keys are needed, nobody is told without one."""
    if (name := request.args.get("model")) is not None:
        with suppress(NotReady):  # The page waits.
            try:
                registry.predictor(name, request.args.get("version"))
            except ModelNotFound:
                return False
    return True
