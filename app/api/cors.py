"""Which other sites' pages may send feedback from a browser: those on a list, and to that only."""

from flask import Flask, Response, current_app, request

from app.api.access import takes_token

ASKED = {
    "access-control-allow-methods": "POST",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "600",
}


def install(app: Flask, origins: frozenset[str]) -> None:
    """Tell browsers on the pages of these origins that they may send feedback and see the answer.

    Cookies are not let through, and no other endpoint is opened: keys have no place in a page.
    """

    def allow(response: Response) -> Response:
        view = current_app.view_functions.get(request.endpoint or "")
        if view is None or not takes_token(view):
            return response
        response.vary.add("origin")
        if request.headers.get("origin") in origins:
            response.headers["access-control-allow-origin"] = request.headers["origin"]
            if request.method == "OPTIONS":
                response.headers.update(ASKED)
        return response

    app.after_request(allow)
