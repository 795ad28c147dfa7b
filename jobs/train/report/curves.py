"""The curves of a training: loss and metrics, learning rate and samples per second, by epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.models import BasicTickFormatter, FixedTicker, NumeralTickFormatter, PrintfTickFormatter
from bokeh.plotting import figure

from jobs.report.page import Plot, Section
from jobs.report.plots import half_plot
from jobs.report.theme import BLUE, GREEN, ORANGE, log_ticks
from jobs.train.event_files import LEARNING_RATE, SAMPLES_PER_SECOND

TRAINED, HELD_OUT, RATE = BLUE, ORANGE, GREEN
RATES = {LEARNING_RATE: "learning rate", SAMPLES_PER_SECOND: "samples per second"}
DECADES = 20.0
"""A loss that falls to less than one part in so many is drawn on a logarithmic axis: else its end is a flat line."""
THOUSANDS = 1000
"""From here on numbers are written with commas; Bokeh would write 1.000e+4, and 3.000e-3 for small ones."""
FLAT = 0.2
"""Height of a plot of equal values, in their units: an accuracy of 1 is not drawn between 0 and 2."""
MANY = 1e5
"""From this ratio of the largest to the smallest on numbers are written with exponents."""
History = Mapping[str, Sequence[float]]


def label(name: str) -> str:
    """Return a metric's name for people."""
    return f"{name.removeprefix('val_')} of the validation data" if name.startswith("val_") else name


def curves(history: History, rates: History) -> list[Section]:
    """Return the section of all curves; none before the first epoch has ended.

    Args:
        history: of loss and metrics, name -> value of each epoch.
        rates: likewise, what `EventFiles.rates` has; one that never changes is not drawn.
    """
    names = [name for name in history if not name.startswith("val_")]
    if not names or not history[names[0]]:
        return []
    plots = [Plot(name, _metric(history, name)) for name in names]
    plots += [Plot(text, _rate(rates[name])) for name, text in RATES.items() if len(set(rates.get(name, ()))) > 1]
    validated = any(name.startswith("val_") for name in history)
    dots = [(TRAINED, "training"), *([(HELD_OUT, "validation")] if validated else [])]
    return [Section("Curves", "report/plots.html", {"notes": [], "key": {"dots": dots}}, plots)]


def _metric(history: History, name: str) -> figure:
    lines = {key: [float(value) for value in history.get(key, ())] for key in (name, f"val_{name}")}
    every = [value for line in lines.values() for value in line]
    plot = _log(name, every) if name == "loss" and _spans_decades(every) else _empty(name)
    for values, colour in zip(lines.values(), (TRAINED, HELD_OUT), strict=True):
        _draw(plot, values, colour)
    return plot


def _rate(values: Sequence[float]) -> figure:
    decades = _spans_decades(values)
    plot = _log("value", values) if decades else _empty("value")
    if max(values) >= THOUSANDS:
        plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    elif not decades:
        plot.yaxis.formatter = PrintfTickFormatter(format="%g")
    _draw(plot, values, RATE)
    return plot


def _spans_decades(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) > DECADES


def _log(name: str, values: Sequence[float]) -> figure:
    """Return an empty plot with a logarithmic axis; Bokeh's own ticks leave most of few decades without a label."""
    plot = _empty(name, y_axis_type="log")
    plot.yaxis.ticker = FixedTicker(ticks=log_ticks(min(values), max(values)))
    plot.ygrid.ticker = plot.yaxis[0].ticker
    plot.yaxis.formatter = BasicTickFormatter(use_scientific=max(values) / min(values) > MANY)
    return plot


def _empty(name: str, **axis: Any) -> figure:
    plot = half_plot("epoch", [("epoch", "@x"), (name, "@y{0.[000000]}")], whole=True, **axis)
    plot.y_range.default_span = FLAT
    return plot


def _draw(plot: figure, values: Sequence[float], colour: str) -> None:
    if values:
        epochs = list(range(1, len(values) + 1))
        plot.line(epochs, values, color=colour, line_width=1.5)
        plot.scatter(epochs, values, color=colour, size=5)
