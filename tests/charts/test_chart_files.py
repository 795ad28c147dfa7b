"""Files beside the charts: what is generated has not drifted, and the charts lint, package and explain themselves."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from chart_tools import CHART, CHARTS, ROOT, helm

from jobs import registry
from jobs.options import validated
from jobs.release.plan.values import Values

GENERATED = [
    f"charts/{chart}/{name}" for chart in CHARTS for name in ("values.yaml", "values.schema.json", "README.md")
]
EXAMPLES = sorted(path.stem for path in (ROOT / "k8s/examples").glob("*.yaml"))
MANIFESTS = [*(f"k8s/{chart}.yaml" for chart in CHARTS), *(f"k8s/examples/{name}.yaml" for name in EXAMPLES)]
every_chart = pytest.mark.parametrize("chart", CHARTS)


def folder(chart: str) -> Path:
    return ROOT / "charts" / chart


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "charts/generate.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=240)


def test_generated_files_are_as_they_are_written() -> None:
    """`charts/generate.py --check` finds nothing in the checkout."""
    done = check(ROOT)
    assert (done.returncode, done.stderr) == (0, "")


OWN_DEFAULTS = {"alexnet": {"workers": {"memory": "8Gi", "scratch": "100Gi"}}}


def test_drift_is_named(tmp_path: Path) -> None:
    """Each file that is not as it would be written is named, and the check fails."""
    for folder in ("charts", "k8s"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True)
    changed = [name for name in (*GENERATED, *MANIFESTS) if not name.endswith("values.yaml")]
    for name in changed:
        (tmp_path / name).write_text((tmp_path / name).read_text() + "\n")
    done = check(tmp_path)
    assert done.returncode == 1
    assert sorted(line.split()[0] for line in done.stderr.splitlines()) == sorted(changed)


@every_chart
def test_values_file_and_model_have_the_same_defaults(chart: str) -> None:
    """values.yaml read by the model gives its defaults but for the chart's own, and the section job the job's."""
    values = yaml.safe_load((folder(chart) / "values.yaml").read_text())
    options = registry.find(chart).load_options()
    assert validated(options, values.pop("job")) == options()
    assert Values.model_validate(values) == Values.model_validate(OWN_DEFAULTS.get(chart, {}))


@every_chart
def test_every_value_is_described(chart: str) -> None:
    """Each line of values.yaml that sets a value has a `# --` comment above it."""
    lines = (folder(chart) / "values.yaml").read_text().splitlines()
    sections = [line for line in lines if line.endswith(":")]
    comment = ""
    for line in lines:
        if re.match(r" *#", line):
            comment = comment if re.match(r" *# (?!--)", line) and comment else line
        elif line:
            assert comment.strip().startswith("#" if line in sections else "# --"), line
            comment = ""


@every_chart
def test_schema_is_draft_7(chart: str) -> None:
    """Helm's older versions know no later draft; nothing in the schema refers to another place."""
    text = (folder(chart) / "values.schema.json").read_text()
    jsonschema.Draft7Validator.check_schema(yaml.safe_load(text))
    assert "$ref" not in text
    assert "prefixItems" not in text


def test_charts_lint() -> None:
    """`helm lint --strict` finds nothing."""
    done = helm("lint", "--strict", *(str(folder(chart)) for chart in (*CHARTS, "dask-job")))
    assert done.returncode == 0, done.stdout + done.stderr


@every_chart
def test_package_holds_the_library(chart: str, tmp_path: Path) -> None:
    """`helm package` follows the symbolic link, so that the package installs by itself."""
    assert helm("package", str(folder(chart)), "--destination", str(tmp_path)).returncode == 0
    package = tmp_path / f"{chart}-0.1.0.tgz"
    with tarfile.open(package) as files:
        assert f"{chart}/charts/dask-job/templates/_driver.tpl" in files.getnames()
    fromfolder, frompackage = (helm("template", "fit", str(source)).stdout for source in (folder(chart), package))
    assert "kind: Job" in frompackage
    assert frompackage == fromfolder


@pytest.mark.parametrize("name", MANIFESTS)
def test_manifest_is_plain_kubernetes(name: str) -> None:
    """A manifest says on top how it is used, and has nothing of Helm, no namespace, no hook."""
    text = (ROOT / name).read_text()
    assert text.startswith("# ")
    assert f"kubectl apply -f {name}" in text.partition("\n---")[0]
    for one in yaml.safe_load_all(text):
        assert {"helm.sh", "Helm", "namespace"}.isdisjoint(re.split(r"[/ :{}']", str(one["metadata"])))


def test_examples_show_what_they_are_named_after() -> None:
    """Queue, GPU, certificates and S3 stand in the Jobs of their examples."""
    texts = {name: (ROOT / f"k8s/examples/{name}.yaml").read_text() for name in EXAMPLES}
    assert texts["kueue"].count('kueue.x-k8s.io/queue-name: "jobs"') == 2
    assert '"nvidia.com/gpu": "1"' in texts["gpu"]
    assert '"nvidia.com/gpu": "1"' in texts["tune-gpu"]
    assert "gpus_per_trial: 1" in texts["tune-gpu"]
    assert (ROOT / "examples/my_network.py").read_text().splitlines()[-1] in texts["gpu"]
    given = yaml.safe_load((ROOT / "k8s/sources/tune.values.yaml").read_text())
    assert given["code"]["my_search.py"] == (ROOT / "examples/my_search.py").read_text()
    assert given["job"]["space"] == yaml.safe_load((ROOT / "examples/space.yaml").read_text())
    assert "run: s3://runs/minimize/minimize-s3-" in texts["s3"]
    assert 'secretName: "dask-jobs-tls"' in texts["tls"]


def notes(*arguments: str, chart: str = "minimize") -> str:
    done = helm("install", "fit", str(CHART.with_name(chart)), "--dry-run=client", "--namespace", "lab", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def test_notes_say_that_scratch_is_lost() -> None:
    """Where nothing keeps the run folder, the notes say so, offer no fetch, and name what brings the result."""
    text = notes()
    assert "lost with the driver's pod" in text
    assert "(result.json, and x.npy of up to 1,000 numbers)" in text
    assert "(result.json)" in notes(chart="tune")
    assert (
        "brings the result to ./fit-result, and exits with the job's own code:\n  dask-jobs wait fit -n lab\n" in text
    )
    assert "dask-jobs fetch" not in text


@pytest.mark.parametrize("run", ["run.claim.create=true", "run.s3=s3://runs"])
def test_notes_have_the_commands(run: str) -> None:
    """Follow, wait, dashboard, fetch, stop and clean up, each with the release's own names."""
    text = notes("--set", run)
    assert "lost with" not in text
    assert ("brings the result to ./fit-result" in text) == ("claim" in run)
    for verb in ("status", "logs", "wait", "fetch", "cancel"):
        assert f"  dask-jobs {verb} fit -n lab\n" in text
    assert re.search(r"kubectl -n lab port-forward job/fit-driver-[0-9a-f]{8} 8787\n", text)
    assert re.search(r"kubectl -n lab logs -f job/fit-driver-[0-9a-f]{8} -c driver\n", text)
    assert "helm uninstall fit -n lab" in text
    assert "helm test fit -n lab" in text


def test_commands_of_the_notes_are_safe_to_copy() -> None:
    """What a shell would take apart or run stands in quotes, and is one argument of the command."""
    odd = "s3://bucket/it's $(touch run) `touch run`; x"
    text = notes("--set", f"run.s3={odd}", "--set", "run.name=a,s3.endpoint=http://host:1")
    (line,) = (line for line in text.splitlines() if "aws s3 cp" in line)
    assert shlex.split(line) == [
        "aws", "s3", "cp", "--recursive", f"{odd}/a", "a", "--endpoint-url", "http://host:1",
    ]  # fmt: skip
    text = notes("--set", "run.claim.name=runs")
    (line,) = (line for line in text.splitlines() if "--overrides=" in line)
    (given,) = (word for word in shlex.split(line) if word.startswith("--overrides="))
    container = json.loads(given.removeprefix("--overrides="))["spec"]["containers"][0]
    assert container["args"][:2] == ["sh", "-c"]


def about(chart: str) -> dict[str, Any]:
    return yaml.safe_load((folder(chart) / "Chart.yaml").read_text())


def test_each_job_has_a_chart() -> None:
    """What is installed with dask-jobs as a job is a chart too, of the same name, and nothing else is."""
    assert registry.names() == CHARTS


@every_chart
def test_charts_have_the_packages_version(chart: str) -> None:
    """Charts, the image's default tag and the Python package go together; those of train and tune have TensorFlow."""
    given = [about(chart)["version"], about(chart)["dependencies"][0]["version"], about("dask-job")["version"]]
    assert given == [version("dask-jobs")] * 3
    image = about(chart)["appVersion"].removeprefix(version("dask-jobs"))
    assert image in (
        ("-cpu",) if chart in ("alexnet", "train", "tune") else ("",) if chart == "minimize" else ("", "-cpu", "-gpu")
    )
