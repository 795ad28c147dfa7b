"""The chart of a job of somebody else's package: Chart.yaml and two templates of one line; the rest is generated."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from chart_tools import ROOT, Rendered, helm, merged
from toy import TOY, installed

from jobs.release.plan.values import Values


def test_it_is_generated_and_rendered(tmp_path: Path) -> None:
    """The generator writes values, schema and README of the job's own options, and helm takes and checks them."""
    chart = tmp_path / "pi"
    shutil.copytree(TOY / "charts/pi", chart)  # the library with it, which is a link
    command = [sys.executable, str(ROOT / "charts/generate.py"), str(chart)]
    environment = installed(tmp_path / "toy")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    again = subprocess.run([*command, "--check"], env=environment, check=False, timeout=60)
    assert again.returncode == 0
    values = yaml.safe_load((chart / "values.yaml").read_text())
    watchers = {"log": [], "observer": None, "on_end": None}
    assert values.pop("job") == {"steps": 100, "points": 1_000_000, "seed": 0, "cpu": "native", **watchers}
    assert Values.model_validate(values) == Values()
    assert "| `job.points` | `1000000` | points of each step |" in (chart / "README.md").read_text()
    assert helm("lint", "--strict", str(chart)).returncode == 0

    rendered = helm("template", "fit", str(chart), "--kube-version", "1.33.0", values={"job": {"steps": 7}})
    assert rendered.returncode == 0, rendered.stderr
    release = Rendered(rendered.stdout)
    assert release.container("driver")["args"][2:4] == ["jobs.pods.driver", "pi"]
    assert release.options == merged(release.options, {"job": "pi", "steps": 7, "points": 1_000_000})
    refused = helm("template", "fit", str(chart), values={"job": {"points": 0}})
    assert refused.returncode != 0
    assert "points" in refused.stderr
    assert json.loads((chart / "values.schema.json").read_text())["title"] == "Values of pi"
