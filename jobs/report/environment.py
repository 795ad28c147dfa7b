"""The Jinja2 environment of reports: template folders, filters, and escaping of all values."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined

from jobs.formatting import number, plural
from jobs.report.html import duration, value_text
from jobs.report.theme import BLUE, NAVY


def new_environment(package: str) -> Environment:
    """Return the environment of one job's report.

    A template's name begins with `report/` where all jobs share it, or with `job/` where it is the job's own. A
    variable that is not defined is an error, not an empty text.

    Args:
        package: the Python package whose folder `templates` has the job's own templates.
    """
    environment = Environment(
        loader=PrefixLoader({"report": PackageLoader("jobs.report"), "job": PackageLoader(package)}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["colours"] = {"blue": BLUE, "navy": NAVY}
    environment.filters |= {"duration": duration, "number": number, "plural": plural, "value_text": value_text}
    # The filter `tojson` keeps the order of columns, and NaN, which JSON does not have, is an error.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment
