"""Tooltips of plots: Bokeh makes HTML of their templates, so no name of the user's may be part of one."""

from __future__ import annotations

import re

import pytest
from bokeh.models import HoverTool
from test_report_tune import recorded

from jobs.tune.records.outcome import Outcome
from jobs.tune.report.curves import curves
from jobs.tune.report.data import read_search
from jobs.tune.report.history import history
from jobs.tune.report.parallel import parallel
from jobs.tune.report.pareto_front import pareto_front
from jobs.tune.report.space import slices

NAMES = ("}<b>bold</b><form action=http://a.b>", "}{safe}", "y0", "number", "colour", "p0", "{0.0}@state")
TEMPLATE = re.compile(r"([@$][a-z]\w*(\{[0.\[\]]*\})?(, | s| %)?)+")


def _scores(recorder, ticket):
    """Report once, and be complete with two metrics of hostile names."""
    value = ticket.params[NAMES[0]]
    if len(recorder.study.directions) == 1:
        recorder.report(ticket.number, 1, value)
    metrics = {NAMES[0]: value, NAMES[1]: -value}
    values = (value, -value)[: len(recorder.study.directions)]
    return Outcome("complete", values, metrics, seconds=0.5, worker="w")


@pytest.mark.parametrize("metrics", [1, 2])
def test_names_are_no_part_of_a_template(metrics, tmp_path):
    """Hyperparameters and metrics of any name, also of a column's, have a column each, which their tooltips show."""
    space = {name: {"choice": [0.0, 1.0]} if at % 2 else {"uniform": [0, 1]} for at, name in enumerate(NAMES)}
    options = {"space": space, "metric": list(NAMES[:metrics]), "direction": ["maximize"] * metrics}
    search = read_search(recorded(tmp_path / "run", 6, _scores, pruner="none", **options))
    sections = [slices(search, {}), parallel(search)]
    sections += [history(search), curves(search)] if metrics == 1 else [pareto_front(search)]
    for plot in (plot.figure for section in sections for plot in section.plots):
        (hover,) = plot.select(HoverTool)
        columns = {name for renderer in plot.renderers for name in renderer.data_source.data}
        for _, template in hover.tooltips:
            assert TEMPLATE.fullmatch(template), template
            assert set(re.findall(r"@(\w+)", template)) <= columns
    for plot in slices(search, {}).plots:
        columns = plot.figure.select(HoverTool)[0].renderers[0].data_source.data
        assert columns["number"].tolist() == [0, 1, 2, 3, 4, 5]
        name, template = plot.figure.hover.tooltips[1]
        assert columns[template[1:]] == [str(trial.params[name]) for trial in search.trials]
