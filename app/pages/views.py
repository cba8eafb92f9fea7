"""The pages for people, at /: what is spent and saved, what the policy believes, why it decides."""

import time
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Response,
    g,
    make_response,
    redirect,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as WsgiResponse

from app.api.access import needs, public, who
from app.api.errors import kind_of
from app.api.operating import report_of
from app.api.routes import parts, queried
from app.api.schemas import FeedbackRequest, checked
from app.mistakes import seen
from app.monitoring.reporting import ReportQuery
from app.pages import sign_in
from app.pages.charts import SPANS
from app.pages.decisions import RATER, decision, decisions
from app.pages.policy import moved_to, payment, policy
from app.pages.retrains import retrains, roll_back
from app.pages.settings import Doctor, settings
from app.pages.shown import install
from app.pages.today import moved, today
from jobs.report import PERIODS
from policy.errors import InvalidInput, TurnpikeError, Unauthenticated

MOST_DIGITS = 18
pages = Blueprint("pages", __name__, template_folder="templates")
install(pages)

STATIC = Path(__file__).parent / "static"
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
DOCTOR = Doctor()


@pages.before_request
def guard() -> None:
    """Let a form in only if it comes from a page of ours."""
    if request.method == "POST":
        sign_in.require_own_form()


@pages.after_request
def secure(response: Response) -> Response:
    """Let the page load nothing but our own files, and keep it out of every cache."""
    response.headers.update(HEADERS)
    if request.endpoint != "pages.static":
        response.headers["cache-control"] = "no-store"
    return response


@pages.app_context_processor
def around() -> dict[str, Any]:
    """Return what every page has around it."""
    holder = who() if "holder" in g else sign_in.holder()
    return {
        "now_s": time.time(),
        "spans": SPANS,
        "asks_for_key": parts().keyring.asks,
        "bare": holder is None,
        "may": () if holder is None else holder.scopes,
        "sandbox": parts().router.terms.sandbox,
        "token": sign_in.token,
    }


@pages.get("/")
@needs("read", cookie=True)
def show_today() -> str:
    """Show what is spent and how satisfied users are."""
    shown = today(parts(), who().sees, request.args.get("span"), time.time())
    change = moved(shown["total"], shown["before"], shown["period"].passed)
    return render_template("today.html", **shown, moved=change)


@pages.get("/pages/policy")
@needs("read", cookie=True)
def show_policy() -> str:
    """Show what is believed of each arm, and what a dollar buys."""
    return render_template(
        "policy.html", **policy(parts(), who(), request.args.get("span"), time.time())
    )


@pages.get("/pages/policy/at")
@needs("read", cookie=True)
def at_payment() -> dict[str, Any]:
    """Tell what another willingness to pay would do: what the slider asks."""
    return moved_to(parts(), who(), payment(request.args.get("pay", "")))


@pages.get("/pages/decisions")
@needs("read", cookie=True)
def show_decisions() -> WsgiResponse | str:
    """Show recent decisions, or the one whose id is asked for."""
    if wanted := request.args.get("id", "").strip():
        return redirect(url_for("pages.show_decision", decision_id=wanted), HTTPStatus.SEE_OTHER)
    return render_template(
        "decisions.html", **decisions(parts(), who().sees, request.args.to_dict())
    )


@pages.get("/pages/decisions/<decision_id>")
@needs("read", cookie=True)
def show_decision(decision_id: str) -> str:
    """Show why a decision went to its arm."""
    return render_template("decision.html", **decision(parts(), who().sees, decision_id))


@pages.post("/pages/decisions/<decision_id>/thumbs")
@needs("feedback", cookie=True)
def rate(decision_id: str) -> WsgiResponse:
    """Take a thumb from the page, as /feedback takes it."""
    body = {"id": decision_id, "thumbs": request.form.get("thumbs"), "rater": RATER}
    parts().observed.rate(checked(FeedbackRequest, body).vote, who().sees)
    return _back("pages.show_decision", decision_id=decision_id)


@pages.get("/pages/report")
@needs("read", cookie=True)
def show_report() -> str:
    """Show what was saved, to be read or printed."""
    period = request.args.get("since", "30d")
    if period not in PERIODS:
        raise InvalidInput(f"since is {period!r}: it must be one of {', '.join(PERIODS)}")
    made = parts().reports.of(period, who().sees)
    return render_template("report.html", report=made, periods=list(PERIODS))


@pages.get("/pages/report.csv", defaults={"form": "csv"})
@pages.get("/pages/report.json", defaults={"form": "json"})
@needs("read", cookie=True)
def save_report(form: str) -> Response:
    """Give the report as /report gives it, to whoever has signed in to the pages."""
    return report_of(queried(ReportQuery, format=form))


@pages.get("/pages/retrains")
@needs("read", cookie=True)
def show_retrains() -> str:
    """Show each candidate against the policy that served."""
    return render_template("retrains.html", **retrains(parts(), who().sees))


@pages.post("/pages/retrains/back")
@needs("admin", cookie=True)
def go_back() -> WsgiResponse:
    """Serve with an earlier policy again."""
    given = request.form.get("version", "")
    if not given.isdecimal() or len(given) > MOST_DIGITS:
        raise InvalidInput(f"version is {seen(given)}: it must be a number", param="version")
    roll_back(parts(), int(given))
    return _back("pages.show_retrains")


@pages.get("/pages/settings")
@needs("admin", cookie=True)
def show_settings() -> str:
    """Show what is set; nothing can be changed here."""
    return render_template("settings.html", **settings(parts()))


@pages.get("/pages/settings/findings")
@needs("admin", cookie=True)
def show_findings() -> str:
    """Show what the doctor finds; providers are asked, which may take seconds."""
    return render_template("findings.html", findings=DOCTOR.found(parts()))


@pages.get("/pages/sign-in")
@public
def sign_in_form() -> WsgiResponse | str:
    """Ask for a key, unless one was given."""
    then = _inside(request.args.get("then"))
    if parts().keyring.asks and sign_in.holder() is not None:
        return redirect(then, HTTPStatus.SEE_OTHER)
    return render_template("sign_in.html", then=then, wrong=False)


@pages.post("/pages/sign-in")
@public
def sign_in_with_key() -> Response | tuple[str, HTTPStatus]:
    """Let the browser in if it gives a key."""
    then = _inside(request.form.get("then"))
    response = make_response(redirect(then, HTTPStatus.SEE_OTHER))
    try:
        sign_in.begin(response, request.form.get("key", ""))
    except Unauthenticated:
        told = render_template("sign_in.html", then=then, wrong=True)
        return told, HTTPStatus.UNAUTHORIZED
    return response


@pages.post("/pages/sign-out")
@public
def sign_out() -> Response:
    """Forget the session."""
    response = make_response(_back("pages.sign_in_form"))
    sign_in.end(response)
    return response


@pages.get("/pages/static/<path:filename>")
@public
def static(filename: str) -> Response:
    """Give a file that the pages are made with."""
    return send_from_directory(STATIC, filename)


@pages.get("/pages/<path:path>")
@public
def nothing_here(path: str) -> str:
    """Say in a page, not in JSON, that there is no such page."""
    raise NotFound(path)


@pages.errorhandler(Unauthenticated)
def ask_for_key(_error: Unauthenticated) -> WsgiResponse | str:
    """Send the browser to sign in.

    Where a link of another site led here, the browser has kept the cookie back: it is let come
    again from a page of ours, and then brings it.
    """
    if request.headers.get("sec-fetch-site") == "cross-site":
        return render_template("again.html", there=request.full_path)
    then = request.full_path if request.method == "GET" else url_for("pages.show_today")
    return redirect(url_for("pages.sign_in_form", then=then), HTTPStatus.SEE_OTHER)


@pages.errorhandler(TurnpikeError)
def tell_error(error: TurnpikeError) -> tuple[str, int]:
    """Show an error of ours as a page."""
    status = kind_of(type(error)).status
    says = (
        error.message
        if status < HTTPStatus.INTERNAL_SERVER_ERROR or error.code != "internal_error"
        else ""
    )
    return render_template("error.html", says=says, status=status), status


@pages.errorhandler(NotFound)
def tell_nothing_here(_error: NotFound) -> tuple[str, int]:
    """Show as a page that there is no such page."""
    return render_template("error.html", says="", status=HTTPStatus.NOT_FOUND), 404


def _back(endpoint: str, **values: Any) -> WsgiResponse:
    return redirect(url_for(endpoint, **values), HTTPStatus.SEE_OTHER)


def _inside(there: str | None) -> str:
    """Return a place to go to after signing in: one of ours, whatever was asked."""
    asked = urlsplit(there or "")
    ours = not asked.scheme and not asked.netloc and asked.path.startswith("/")
    # A line end is dropped by urlsplit, and would be in what is returned.
    one_line = there is not None and there.isprintable() and "\\" not in there
    if not there or not ours or not one_line or there.startswith("//"):
        return url_for("pages.show_today")
    return there
