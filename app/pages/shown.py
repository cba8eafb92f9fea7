"""What the templates of the pages write figures and sentences with."""

import re
from collections.abc import Callable

from flask import Blueprint
from markupsafe import Markup, escape

from app import figures

CODE = re.compile("`([^`]+)`")


def coded(text: str) -> Markup:
    """Return a sentence with what it has between backticks as code.

    >>> coded("`on` or <b>")
    Markup('<code>on</code> or &lt;b&gt;')
    """
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 (it is escaped)


FILTERS: tuple[Callable[..., object], ...] = (
    figures.dollars, figures.percent, figures.count, figures.counted, figures.seconds, figures.iso,
    figures.moment, figures.ago, figures.decimals, figures.clipped, figures.signed, coded,
)  # fmt: skip


def install(blueprint: Blueprint) -> None:
    """Let the blueprint's templates write all of these."""
    for each in FILTERS:
        blueprint.add_app_template_filter(each)
