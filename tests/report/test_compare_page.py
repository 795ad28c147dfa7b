"""The page of `dask-jobs compare --output html`, in a real browser without a network."""

from __future__ import annotations

from browser import look
from run_folders import done, running, write_run

from jobs.catalog.compare import read_runs
from jobs.catalog.page import comparison_page

HOSTILE = "<script>window.intruder = 'ran'</script>"


def test_curves_of_runs_lie_in_one_plot(tmp_path, monkeypatch):
    """One plot for all runs of a kind, a row per value; names are text, whatever they are."""
    monkeypatch.chdir(tmp_path)
    urls = ["done", "goes on", HOSTILE]
    write_run(tmp_path / urls[0], done())
    write_run(tmp_path / urls[1], running())
    write_run(tmp_path / "third", done())
    (tmp_path / "third").rename(tmp_path / HOSTILE.replace("/", ""))
    urls[2] = HOSTILE.replace("/", "")
    seen = look(comparison_page(read_runs(urls)), tmp_path / "browser")
    assert seen.errors == []
    assert seen.requests == []
    assert seen.intruder is None
    assert seen.title == "3 runs compared"
    assert [label for label, _ in seen.painted] == ["Lowest loss so far by evaluations"]
    assert min(colours for _, colours in seen.painted) > 10
    for text in ("Curves", "Runs", "Results", "Made of", "largest gradient entry", urls[2]):
        assert text in seen.text
