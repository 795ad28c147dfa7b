"""The content of an alexnet run's report: that of its training, and its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bokeh.models import Span

from jobs.alexnet.display.filters import filters
from jobs.alexnet.display.summary import classes_text
from jobs.formatting import plural
from jobs.report.content import Content
from jobs.report.html import duration
from jobs.report.page import Plot, Section
from jobs.report.plots import half_plot
from jobs.report.theme import BLUE, ORANGE
from jobs.train.report import content as training

if TYPE_CHECKING:
    from jobs.runs.folder import RunFolder
    from jobs.storage import Storage


def content(run: RunFolder, storage: Storage) -> Content:
    """Return the content of an alexnet run's report.

    Raises:
        InputError: a checkpoint is damaged.
    """
    found = training.content(run, storage)
    sections = list(found.sections)
    if run.result:
        images = run.result["images"]
        mixture = [_mixture(images["distances"])] if images["partitions"] > 1 else []
        sections += [*filters(storage), *mixture, _table(run.result)]
        if images["bad"]:
            sections.append(_bad(images))
    return replace(found, title=f"{run.job} · {_source(run.options)}", sections=sections)


def _source(options: Mapping[str, Any]) -> str:
    if options.get("demo"):
        return "demo"
    return str(options.get("data") or f"s3://{options.get('s3_bucket')}/{options.get('key_prefix')}")


def _mixture(distances: Sequence[float]) -> Section:
    *rounds, full = distances
    plot = half_plot(
        "round of the shuffle",
        [("round", "@x"), ("distance", "@y{0.000}")],
        whole=True,
        y_axis_label="distance from the mixture of all",
    )
    plot.y_range.start = 0
    numbers = list(range(len(rounds)))
    plot.line(numbers, rounds, color=BLUE, line_width=1.5)
    plot.scatter(numbers, rounds, color=BLUE, size=5)
    plot.add_layout(Span(location=full, dimension="width", line_color=ORANGE, line_dash="dashed"))
    note = (
        "How far the classes of a partition are from those of all images: total variation distance, the mean over "
        "partitions. A full shuffle does not reach 0, since a partition has few images."
    )
    key = {"dots": [(BLUE, "after each round"), (ORANGE, "a full shuffle")]}
    data = {"notes": [note], "key": key}
    return Section("Shuffle", "report/plots.html", data, [Plot("Mixture of classes", plot)])


def _table(result: dict[str, Any]) -> Section:
    images = result["images"]
    rows = [
        ("Images", f"{images['count']:,}"),
        ("Classes", classes_text(images["class_names"])),
        ("Images of a step", f"{int(result['identity']['batch_size']):,}"),
        ("Partitions", f"{images['partitions']:,}"),
        ("Not readable", f"{images['bad_count']:,}"),
        ("Other files in the tars", f"{images['others']:,}"),
        ("Loading", duration(images["load_seconds"])),
        ("Shuffling", duration(images["shuffle_seconds"])),
    ]
    return Section("Images", "report/table.html", {"head": ("Quantity", "Value"), "rows": rows})


def _bad(images: dict[str, Any]) -> Section:
    more = images["bad_count"] - len(images["bad"])
    rows = [*images["bad"], *([(f"and {plural(more, 'other')}", "")] if more else [])]
    return Section("Images that cannot be read", "report/table.html", {"head": ("Image", "Why"), "rows": rows})
