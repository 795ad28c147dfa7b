"""The report of a search, from run folders that short real searches leave, and one made through the study itself."""

from __future__ import annotations

import json
import math
import re
from html import unescape

import optuna
import pytest
import yaml
from browser import look
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from jobs import connect
from jobs.commands import write_report
from jobs.errors import InputError
from jobs.runs.run import Run
from jobs.storage import open_storage
from jobs.tune import Study, space
from jobs.tune.job import open_recorder, plan
from jobs.tune.options import Options
from jobs.tune.records import journal
from jobs.tune.records.journal import Recorded
from jobs.tune.records.outcome import Outcome
from jobs.tune.records.table import load_study, rows
from jobs.tune.report.data import read_search
from jobs.tune.report.space import importances
from jobs.tune.report.workers import lanes

SPACE = {
    "rate": {"log": [1e-4, 10]},
    "size": {"integer": [20, 200], "log": True},
    "drop": {"uniform": [0, 1]},
    "kind": {"choice": ["relu", None, 3, "3", True]},
}
HOSTILE = "</script></style><script>intruder = 1</script><img src=x onerror='intruder = 2'>"


def objective(params, trial):
    """Fail, diverge or report eight steps towards a value that the rate decides; not called here but for one test."""
    if trial.number % 10 == 3:
        raise ValueError(HOSTILE)
    goal = math.exp(-((math.log10(params["rate"]) + 1) ** 2))
    for step in range(1, 9):
        trial.report(float("nan") if trial.number % 10 == 7 else goal * step / 8, step)
    return goal


def recorded(url, trials, outcome, **options):
    """Record so many trials in a run folder, as the driver does; `outcome` makes each one's end."""
    options = {"space": SPACE, "trials": max(1, trials)} | options
    given = Options(objective=f"{__name__}:objective", run=str(url), **options)
    checked, run = plan(given), Run(str(url), "tune", given)
    run.start()
    with open_recorder(checked, run, Recorded()) as recorder:
        for number in range(trials):
            ticket = recorder.ask()
            recorder.tell(number, outcome(recorder, ticket), at=float(number + 1))
    return run.storage


def good(ticket):
    """Return a value that the rate alone decides."""
    return math.exp(-((math.log10(ticket.params["rate"]) + 1) ** 2))


def complete(recorder, ticket):
    """Report twice and be complete, in 0.9 s on one of two workers."""
    for step in (1, 2):
        recorder.report(ticket.number, step, good(ticket) * step / 2)
    return Outcome("complete", (good(ticket),), seconds=1.8, worker=f"tcp://host:{ticket.number % 2}")


def text_of(storage):
    """Write a report and return what a person reads of it."""
    write_report(storage)
    report = storage.read("report.html").decode()
    report = re.sub(r"<(script|style).*?</\1>", "", report, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", "", report)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Return the storage of a real search of 40 trials, some of which fail, diverge or are pruned."""
    folder = tmp_path_factory.mktemp("searched")
    with connect(workers=2) as client:
        study = Study(
            client, objective, {name: _dimension(kind) for name, kind in SPACE.items()}, run=str(folder / "run")
        )
        study.run(trials=40)
    return open_storage(folder / "run")


def _dimension(kind):
    return space.parse({"x": kind})["x"]


def test_the_report_of_a_real_search(searched):
    """It names the best trial, its hyperparameters as YAML with all digits, how trials ended, and the failed ones."""
    result = json.loads(searched.read("result.json"))
    text = text_of(searched)
    best = result["best"]
    assert "All 40 trials are done: " in text
    assert f"The best (largest) value is {best['value']:.6g}, of trial {best['number']}." in text
    snippet = re.search(r"a click selects them all.\n(.*?)\n\n", text, re.DOTALL)[1]
    assert yaml.safe_load(snippet) == best["params"]
    assert "\nfailed4" in text
    assert "\ndiverged4" in text
    assert text.count(HOSTILE) == 4
    assert "4 failed trials" in text
    assert "Optuna's PED-ANOVA" in text


@pytest.mark.parametrize("name", ["trials.csv", "trials.json"])
def test_the_table_lies_beside_the_report(searched, name):
    """trials.csv and trials.json have a row for each trial; in JSON they are those of the study, NaN as null."""
    content = searched.read(name).decode()
    assert content.count("\n") >= 41
    if name == "trials.json":
        table = rows(load_study(searched))
        assert json.loads(content) == [
            {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
            for row in table
        ]


def test_the_page_in_a_browser(searched, tmp_path):
    """All plots are painted with no error, no request and no foreign script; the page holds all trials to be saved."""
    write_report(searched)
    report = searched.read("report.html").decode()
    seen = look(report, tmp_path / "browser")
    assert seen.errors == seen.requests == []
    assert seen.intruder is None
    assert [label for label, _ in seen.painted] == [
        "value (largest is best) against trial",
        "value (largest is best) against seconds of the study",
        "Reports by step",
        *(f"value against {name}" for name in importances(read_search(searched))),
        "Trials",
        "Timeline",
    ]
    assert min(colours for _, colours in seen.painted) > 10
    data = json.loads(re.search(r'id="trials">(.*?)</script>', report, re.DOTALL)[1])
    table = [dict(zip(data["columns"], row, strict=True)) for row in data["rows"]]
    assert table == json.loads(searched.read("trials.json"))


def test_a_search_that_has_not_begun(tmp_path):
    """Options alone make a report that says so."""
    storage = recorded(tmp_path / "run", 0, complete)
    assert "The search is running in attempt 1; no trial has begun." in text_of(storage)


def test_a_search_without_a_journal(tmp_path):
    """A driver that failed before its study was there has a report with its error."""
    storage = open_storage(tmp_path)
    options = {"job": "tune", **Options().model_dump(mode="json")}
    storage.write("options.yaml", yaml.safe_dump(options).encode())
    storage.write("status.json", json.dumps({"job": "tune", "state": "failed", "error": "no workers"}).encode())
    text = text_of(storage)
    assert "The search failed in attempt 1; no trial has begun." in text
    assert "no workers" in text


def test_one_trial(tmp_path):
    """A single trial is the best; importances are not told."""
    text = text_of(recorded(tmp_path / "run", 1, complete))
    assert "The search is running in attempt 1 after 1 trial. The best (largest) value is " in text
    assert "Not computed: it needs 20 trials" in text


def test_all_failed(tmp_path):
    """A search of failed trials shows their errors and no plot of values."""
    storage = recorded(tmp_path / "run", 60, lambda *_: Outcome("failed", error="ValueError: bad", worker="tcp://a:1"))
    text = text_of(storage)
    assert "No trial has come to a value." in text
    assert "60 failed trials" in text
    assert text.count("ValueError: bad") == 50
    assert "Values by hyperparameter" not in text


def test_all_pruned(tmp_path):
    """Where no trial is complete, the one with the best last report is shown, and called that."""

    def pruned(recorder, ticket):
        recorder.report(ticket.number, 1, good(ticket))
        return Outcome("pruned", seconds=0.5, worker="tcp://a:1")

    storage = recorded(tmp_path / "run", 25, pruned)
    search = read_search(storage)
    assert search.best is None
    assert search.best_reported.intermediate_values[1] == max(search.scores[:, 0])
    text = text_of(storage)
    last = f"{max(search.scores[:, 0]):.6g} at step 1, of trial {search.best_reported.number}."
    assert f"the best (largest) last report is {last}" in text
    assert f"Best trial so far, not complete: {search.best_reported.number}" in text
    assert "25 pruned trials count with their last report." in text


def test_a_trial_that_runs(tmp_path):
    """A trial that an attempt has left unfinished counts as running, and is nobody's best."""
    storage = recorded(tmp_path / "run", 2, complete)
    given = Options(objective=f"{__name__}:objective", space=SPACE, run=storage.url, trials=5)
    run = Run(storage.url, "tune", given)
    run.start()
    with open_recorder(plan(given), run, journal.read(storage)) as recorder:
        recorder.report(recorder.ask().number, 1, 99.0)
    search = read_search(storage)
    assert search.counts["running"] == 1
    assert search.best.number != 2
    assert "running133.3%not ended yet" in text_of(storage).replace("\n", "")


@pytest.mark.parametrize("metrics", [["a", "b"], ["a", "b", "c"]])
def test_several_objectives(metrics, tmp_path):
    """Instead of a history there is the Pareto front, of each pair of objectives."""

    def several(recorder, ticket):
        values = (good(ticket), float(ticket.params["size"]), ticket.params["drop"])[: len(metrics)]
        return Outcome("complete", values, seconds=0.5, worker="tcp://a:1")

    directions = ["maximize", "minimize", "minimize"][: len(metrics)]
    storage = recorded(tmp_path / "run", 30, several, metric=metrics, direction=directions)
    search = read_search(storage)
    text = text_of(storage)
    names, others = ("a and b", "other") if len(metrics) == 2 else ("a, b and c", "others")
    front = f"{len(search.pareto_front)} trials are non-dominated in {names}: none is better in one and as good in the"
    assert f"{front} {others}." in text
    assert text.count("b against a\n") == 1
    assert ("c against b\n" in text) == (len(metrics) == 3)
    assert "History" not in text


def test_constraints(tmp_path):
    """The best trial keeps the constraints, though another has a better value."""

    def constrained(recorder, ticket):
        return Outcome(
            "complete",
            (float(ticket.number),),
            {"score": float(ticket.number), "excess": ticket.number - 3.5},
            seconds=0.5,
            worker="tcp://a:1",
        )

    storage = recorded(tmp_path / "run", 6, constrained, metric=["score"], constraints=["excess"])
    assert read_search(storage).best.number == 3
    assert text_of(storage).count("breaks a constraint") == 2


def test_a_run_in_s3(s3):
    """A search in S3 gets its report there, from a journal in parts."""
    storage = recorded(f"{s3}/search", 3, complete)
    assert write_report(storage) == f"{s3}/search/report.html"
    assert "after 3 trials" in text_of(storage)


def test_a_study_in_parts_becomes_one_file_for_the_dashboard(s3, tmp_path):
    """The lines of a study's journal in S3, written into one file, are a study for Optuna's own backend."""
    storage = recorded(f"{s3}/search", 3, complete)
    (tmp_path / "study.log").write_bytes(b"".join(journal.read(storage).lines))
    copy = optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(str(tmp_path / "study.log"))))
    assert rows(copy) == rows(load_study(storage))


def test_a_damaged_journal_is_told(tmp_path):
    """A journal damaged in the middle is one line, and no report is written."""
    storage = recorded(tmp_path / "run", 2, complete)
    path = tmp_path / "run/journal/0001.log"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n{]\n", 1))
    with pytest.raises(InputError, match="is damaged: line 2"):
        write_report(storage)
    assert not storage.exists("report.html")


def test_a_large_search(tmp_path):
    """Of 1,000 trials 400 curves and 400 lines are drawn, which the text says, and the page is small."""
    storage = recorded(tmp_path / "run", 1000, complete, pruner="none")
    text = text_of(storage)
    assert "Shown are 400 of 1,000 trials that reported" in text
    assert "the 400 best of 1,000 trials" in text
    assert storage.size("report.html") < 2_500_000


def test_lanes_of_workers(tmp_path):
    """Each worker has a lane, trials that overlap have their own; the time between trials counts as not busy."""
    found = lanes(read_search(recorded(tmp_path / "run", 8, complete)))
    assert sorted(found.names) == ["tcp://host:0", "tcp://host:1"]
    assert found.busy() == pytest.approx(4 * 1.8 / 7.8, rel=0.05)


def test_importances_find_what_matters(tmp_path):
    """The hyperparameter that alone decides the value has the largest share; shares add up to 1."""
    shares = importances(read_search(recorded(tmp_path / "run", 200, complete, pruner="none")))
    assert next(iter(shares)) == "rate"
    assert sum(shares.values()) == pytest.approx(1)
