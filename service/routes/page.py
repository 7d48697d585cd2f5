"""The web page: each model's features as a form, its answer as bars."""

from flask import Blueprint, render_template, request

from service.access import Access
from service.registry import Registry


def page(registry: Registry, access: Access | None) -> Blueprint:
    """GET /, or GET /?model=NAME."""
    routes = Blueprint("page", __name__)

    @routes.get("/")
    def get_page() -> str:
        if access is not None and not access.allows(request.environ):
            return render_template("locked.html")
        predictors = registry.serving
        wanted = request.args.get("model")
        chosen = next((one for one in predictors if one.card.name == wanted), predictors[0] if predictors else None)
        example = chosen.card.golden[0].instance if chosen else {}
        return render_template("page.html", predictors=predictors, chosen=chosen, example=example)

    return routes
