"""The report of a search whose run folder has its result alone, as one that was rebuilt from a driver's log."""

from __future__ import annotations

from typing import Any

import yaml

from jobs.formatting import number, plural
from jobs.report.page import Section
from jobs.runs.display.progress import EXTREMES


def best_trial(title: str, params: dict[str, Any], facts: list[tuple[str, Any]]) -> Section:
    """Return the section of the best trial: hyperparameters ready to be copied, and its other fields."""
    snippet = yaml.safe_dump(params, sort_keys=False, allow_unicode=True)
    return Section(title, "job/best.html", {"snippet": snippet, "facts": facts})


def found(result: dict[str, Any]) -> str:
    """Return the outcome of a search, as a sentence."""
    metrics = result["identity"]["metric"] or ["value"]
    if metrics[1:]:
        return non_dominated(len(result.get("front", [])), metrics)
    if (best := result["best"]) is None:
        return "No trial counts as best."
    return best_is(EXTREMES[result["direction"][0]], metrics[0], best["value"], best["number"])


def best_is(extreme: str, metric: str, value: float, trial: int) -> str:
    """Return which trial is the best of a single objective, as a sentence."""
    return f"The best ({extreme}) {metric} is {number(value)}, of trial {trial}."


def non_dominated(count: int, metrics: list[str]) -> str:
    """Return the number of trials on the front, and what that means, as a sentence."""
    if not count:
        return "No trial counts as best."
    names = f"{', '.join(metrics[:-1])} and {metrics[-1]}"
    others = "other" if len(metrics) == 2 else "others"
    verb = "is" if count == 1 else "are"
    return (
        f"{plural(count, 'trial')} {verb} non-dominated in {names}: none is better in one and as good in the {others}."
    )


def sections(result: dict[str, Any]) -> list[Section]:
    """Return the best trial of a result, or its front; nothing where there is none."""
    if best := result["best"]:
        name = (result["identity"]["metric"] or ["value"])[0]
        facts = [(name, best["value"]), *([("code", best["code"])] if "code" in best else [])]
        title = f"Best trial ({EXTREMES[result['direction'][0]]} {name}): {best['number']}"
        return [best_trial(title, best["params"], facts)]
    if front := result.get("front"):
        head = ["Trial", *front[0]["values"], *front[0]["params"]]
        rows = [
            [str(trial["number"]), *map(number, trial["values"].values()), *map(str, trial["params"].values())]
            for trial in front
        ]
        return [Section("Pareto front", "report/table.html", {"head": head, "rows": rows, "css": "numbers"})]
    return []
