"""Reports in a real browser that has no network."""

from __future__ import annotations

import re
from html import unescape

import pytest
from browser import look
from run_folders import DIAGNOSTICS, OPTIONS, done, failed, history_csv, optimization, running, write_run

from jobs.commands import write_report

PLOTS = [
    f"{what} against {axis}"
    for what in ("Loss", "Loss above its lowest value", "Largest gradient entry")
    for axis in ("evaluations", "seconds")
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the HTML of a finished run's report, and what the browser sees."""
    folder = tmp_path_factory.mktemp("done")
    storage = write_run(folder / "run", done())
    write_report(storage)
    report = storage.read("report.html").decode()
    return report, look(report, folder / "browser")


def test_all_plots_are_drawn(finished):
    """Each curve and the weights are painted in more than a few colours, with no error and no warning of any script."""
    _, seen = finished
    assert seen.errors == []
    assert [label for label, _ in seen.painted] == [*PLOTS, "Weights by class, 28 by 28 pixels"]
    assert min(colours for _, colours in seen.painted) > 10


def test_nothing_is_asked_of_the_network(finished):
    """The browser makes no request, and no element, style or policy names another file."""
    report, seen = finished
    markup = re.sub(r"<script.*?</script>", "", report, flags=re.DOTALL)
    assert seen.requests == []
    assert not re.search(r"https?:|\ssrc=|\shref=|@import|url\(|<link", markup)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', unescape(markup))
    # default-src covers neither links' base nor where forms are sent.
    assert {"default-src 'none'", "base-uri 'none'", "form-action 'none'"} <= set(policy.split("; "))


def test_the_numbers_shown_are_those_of_the_result(finished):
    """Sentence and table hold the loss, the largest gradient entry, the counts and the times."""
    _, seen = finished
    outcome, rows = optimization()
    assert seen.title == "minimize · L-BFGS-B · digits · done"
    assert (
        f"converged to loss {outcome.fun:.6g} with largest gradient entry {rows[-1][3]:.3g} after {len(rows)} "
        in seen.text
    )
    assert "in 29.1 s on 4 workers, in 2 attempts: “CONVERGENCE: " in seen.text
    numbers = {"Loss at the optimum": outcome.fun, "Iterations": outcome.nit, "Rows of the data": "60,000"}
    for name, value in numbers.items():
        assert f"{name}\t{value}\n" in seen.text
    assert "Compute\t14.1 s\t67.0%" in seen.text
    assert DIAGNOSTICS["hint"] in seen.text
    assert "scipy\t1.17.0" in seen.text


def test_text_of_the_user_stays_text(tmp_path):
    """A script, a handler or a closing tag in an option, a message or an error is shown, and does not run."""
    hostile = "</script></style><script>intruder = 1</script><img src=x onerror='intruder = 2'>"
    files = done(message=hostile, success=False) | {"options.yaml": OPTIONS | {"data": hostile, "problem": hostile}}
    files["status.json"] |= {"error": hostile, "details": hostile}
    storage = write_run(tmp_path / "run", files)
    write_report(storage)
    seen = look(storage.read("report.html").decode(), tmp_path / "browser")
    assert seen.intruder is None
    assert seen.errors == seen.requests == []
    assert seen.text.count(hostile) >= 4


def test_a_running_job_shows_what_there_is(tmp_path):
    """Before its result a run shows its state, its progress and its curves, and no section of a result."""
    storage = write_run(tmp_path / "run", running())
    write_report(storage)
    seen = look(storage.read("report.html").decode(), tmp_path / "browser")
    assert seen.errors == []
    assert [label for label, _ in seen.painted] == PLOTS
    assert "L-BFGS-B is running in attempt 1 after 41 evaluations" in seen.text
    assert "41 of at most 200 iterations" in seen.text
    assert "as of 2026-03-04 10:20:30 UTC" in seen.text
    assert "Result in numbers" not in seen.text


def test_a_failed_job_shows_its_error(tmp_path):
    """A run that failed at once shows the error in full, the traceback folded away, and no plot."""
    error = "the loss on rows 0 to 1,023 is nan, but must be finite"
    storage = write_run(tmp_path / "run", failed(error, "Traceback: my_model.py, line 3"))
    write_report(storage)
    report = storage.read("report.html").decode()
    seen = look(report, tmp_path / "browser")
    assert seen.errors == seen.painted == []
    assert f"L-BFGS-B failed in attempt 1 after 0 evaluations.\n\n{error}" in seen.text
    assert "my_model.py, line 3" in report
    assert "No evaluation with a finite loss has been recorded." in seen.text


def test_a_long_run_without_gradient_is_thinned(tmp_path):
    """Of 100,000 evaluations some 2,000 are drawn and the report says so; inf and nan are counted."""
    rows = [(i + 1, 0.01 * i, 90_000 / (i + 1) - 50.0, None) for i in range(100_000)]
    rows[7], rows[70_000] = (8, 0.07, float("inf"), None), (70_001, 700.0, float("nan"), None)
    files = done(method="Nelder-Mead", gradient_norm=None, image_shape=None, nfev=len(rows))
    storage = write_run(tmp_path / "run", files | {"history.csv": history_csv(rows)})
    write_report(storage)
    report = storage.read("report.html")
    seen = look(report.decode(), tmp_path / "browser")
    assert len(report) < 2_500_000
    assert seen.errors == []
    assert [label for label, _ in seen.painted] == PLOTS[:4]
    assert min(colours for _, colours in seen.painted) > 10
    assert "Not drawn: 2 evaluations with a loss of inf or nan." in seen.text
    assert "Each plot draws about 2,000 of 100,000 evaluations" in seen.text
    assert "higher losses lie outside" in seen.text
