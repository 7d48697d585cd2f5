"""The web page: each model's features as a form, its answer as bars."""

from flask import Response, render_template, request

from models.cells import iso_date
from service.access import Access
from service.registry.registry import Registry
from service.routes import Views
from service.routes.kept import Kept


def page(registry: Registry, access: Access | None) -> Views:
    """The page of the model that `?model=NAME` names."""
    kept = Kept()

    def show() -> Response | str:
        if access is not None and not access.allows(request.environ):
            return render_template("locked.html")
        predictors = registry.serving
        wanted = request.args.get("model")
        chosen = next((one for one in predictors if one.card.name == wanted), predictors[0] if predictors else None)

        def make() -> bytes:
            example = chosen.card.golden[0].instance if chosen else {}
            return render_template(
                "page.html", predictors=predictors, chosen=chosen, example=example, iso_date=iso_date
            ).encode()

        text = kept.get(chosen.card.name if chosen else None, [chosen, *predictors], make)
        return Response(text, content_type="text/html; charset=utf-8")

    return {"page": show}
