"""The page around the sections: one self-contained HTML file that asks for nothing."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bokeh.embed import components
from bokeh.resources import Resources
from markupsafe import Markup

from jobs.report.theme import CSS, THEME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bokeh.plotting import figure

PAGE = Markup("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<main>
{head}{sections}</main>
{scripts}</body>
</html>
""")
SECTION = Markup("<section>\n<h2>{}</h2>\n{}</section>\n")
FIGURE = Markup('<figure class="{}" role="group" aria-label="{}">\n<figcaption>{}</figcaption>\n{}\n</figure>\n')
SCRIPT = Markup('<script nonce="{}">\n{}\n</script>\n')


@dataclass(frozen=True)
class Section:
    """A heading, what is below it, and the JavaScript that draws its figures."""

    title: str
    body: Markup
    script: str = ""


def draw(plots: Sequence[figure]) -> tuple[str, list[Markup]]:
    """Return the script that draws the plots, and the element of each."""
    script, elements = components(plots, wrap_script=False, theme=THEME)
    return script, [Markup(element) for element in elements]  # noqa: S704  Bokeh's own <div>, nothing of a user's in it


def page(title: str, head: Markup, sections: Sequence[Section]) -> str:
    """Return the HTML of a report: `head` is what stands above the first section.

    Its content security policy lets no request leave the page and runs no script but those written here.
    """
    nonce = secrets.token_urlsafe(16)
    scripts = [section.script for section in sections if section.script]
    if scripts:
        scripts = [*Resources(mode="inline", components=["bokeh"]).js_raw, *scripts]
    policy = f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src data: blob:"
    return PAGE.format(
        policy=policy,
        title=title,
        css=CSS,
        head=head,
        sections=Markup("").join(SECTION.format(section.title, section.body) for section in sections),
        scripts=Markup("").join(SCRIPT.format(nonce, Markup(script)) for script in scripts),  # noqa: S704  Bokeh's
    )


def framed(caption: str, element: Markup, css: str = "") -> Markup:
    """Return a plot with its caption above it; a `wide` one is made smaller in print."""
    return FIGURE.format(css, caption, caption, element)
