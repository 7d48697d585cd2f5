"""The web page: a shell without data, which its modules fill with what the API tells."""

from flask import render_template

from service.routes import Views


def page() -> Views:
    """The one shell of all pages. Nothing in it needs a key: what is served is asked for by whoever has one."""

    def show() -> str:
        return render_template("page.html")

    return {"page": show, "docs": show}
