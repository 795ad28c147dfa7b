"""The page around the sections: one self-contained HTML file that makes no requests."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bokeh.embed import components
from bokeh.resources import Resources

from jobs.report.environment import new_environment
from jobs.report.theme import THEME

if TYPE_CHECKING:
    from bokeh.plotting import figure


@dataclass(frozen=True)
class Plot:
    """A figure with the caption above it; a `wide` one has a row of its own and is made smaller in print."""

    caption: str
    figure: figure
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, and the content below it.

    Attributes:
        title: the heading.
        template: the template of the content, such as `report/table.html`; see `new_environment`.
        data: the template's variables by name. It also has `plots`, to be placed by the macro `figure`, and `nonce`,
            without which no script runs.
        plots: the section's figures.
    """

    title: str
    template: str
    data: Mapping[str, Any] = field(default_factory=dict)
    plots: Sequence[Plot] = ()


def page(title: str, head: Mapping[str, Any], sections: Sequence[Section], package: str) -> str:
    """Return the HTML of a report.

    Its content security policy blocks all requests, and all scripts but those with the page's nonce.

    Args:
        title: the page's title.
        head: the variables of templates/head.html, above the first section.
        sections: the sections below it.
        package: the Python package with the templates of the job's own sections.
    """
    environment, nonce = new_environment(package), secrets.token_urlsafe(16)
    scripts, elements = _draw([plot.figure for section in sections for plot in section.plots])
    bodies = []
    for section in sections:
        plots = [{"caption": plot.caption, "wide": plot.wide, **elements[plot.figure.id]} for plot in section.plots]
        body = environment.get_template(section.template).render(plots=plots, nonce=nonce, **section.data)
        bodies.append({"title": section.title, "body": body})
    return environment.get_template("report/page.html").render(
        title=title, head=head, sections=bodies, scripts=scripts, nonce=nonce
    )


def _draw(figures: Sequence[figure]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Return the scripts that draw the figures, and each one's element, by the figure's id."""
    if not figures:
        return [], {}
    script, roots = components(figures, wrap_script=False, wrap_plot_info=False, theme=THEME)
    elements = {root.id: {"root": root.id, "element": root.elementid} for root in roots}
    return [*Resources(mode="inline", components=["bokeh"]).js_raw, script], elements
