"""Files beside the charts: what is generated has not drifted, and the charts lint, package and explain themselves."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import jsonschema
import pytest
import yaml
from chart_tools import CHART, ROOT, helm

from jobs.minimize.options import Options
from jobs.options import validated
from jobs.release.values import Values

GENERATED = ["charts/minimize/values.yaml", "charts/minimize/values.schema.json", "charts/minimize/README.md"]
MANIFESTS = ["k8s/minimize.yaml", *(f"k8s/examples/{name}.yaml" for name in ("gpu", "kueue", "s3", "tls"))]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "charts/generate.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)


def test_generated_files_are_as_they_are_written() -> None:
    """`charts/generate.py --check` finds nothing in the checkout."""
    done = check(ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_drift_is_named(tmp_path: Path) -> None:
    """Each file that is not as it would be written is named, and the check fails."""
    for folder in ("charts", "k8s"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True)
    for name in (*GENERATED[1:], *MANIFESTS):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "\n")
    done = check(tmp_path)
    assert done.returncode == 1
    assert sorted(line.split()[0] for line in done.stderr.splitlines()) == sorted([*GENERATED[1:], *MANIFESTS])


def test_values_file_and_model_have_the_same_defaults() -> None:
    """values.yaml read by the model gives the model's defaults, and its job section the job's."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert validated(Options, values.pop("job")) == Options()
    assert Values.model_validate(values) == Values()


def test_every_value_is_described() -> None:
    """Each line of values.yaml that sets a value has a `# --` comment above it."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    sections = [line for line in lines if line.endswith(":")]
    comment = ""
    for line in lines:
        if re.match(r" *#", line):
            comment = comment if re.match(r" *# (?!--)", line) and comment else line
        elif line:
            assert comment.strip().startswith("#" if line in sections else "# --"), line
            comment = ""


def test_schema_is_draft_7() -> None:
    """Helm's older versions know no later draft; nothing in the schema refers to another place."""
    text = (CHART / "values.schema.json").read_text()
    jsonschema.Draft7Validator.check_schema(yaml.safe_load(text))
    assert "$ref" not in text
    assert "prefixItems" not in text


def test_chart_lints() -> None:
    """`helm lint --strict` finds nothing."""
    done = helm("lint", "--strict", str(CHART), str(ROOT / "charts/dask-job"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_package_holds_the_library(tmp_path: Path) -> None:
    """`helm package` follows the symbolic link, so that the package installs by itself."""
    assert helm("package", str(CHART), "--destination", str(tmp_path)).returncode == 0
    package = tmp_path / "minimize-0.1.0.tgz"
    with tarfile.open(package) as files:
        assert "minimize/charts/dask-job/templates/_driver.tpl" in files.getnames()
    fromfolder, frompackage = (helm("template", "fit", str(chart)).stdout for chart in (CHART, package))
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
    texts = {name: (ROOT / f"k8s/examples/{name}.yaml").read_text() for name in ("gpu", "kueue", "s3", "tls")}
    assert texts["kueue"].count('kueue.x-k8s.io/queue-name: "jobs"') == 2
    assert 'nvidia.com/gpu: "1"' in texts["gpu"]
    assert (ROOT / "examples/my_network.py").read_text().splitlines()[-1] in texts["gpu"]
    assert "run: s3://runs/minimize/minimize-s3-" in texts["s3"]
    assert 'secretName: "dask-jobs-tls"' in texts["tls"]


def notes(*arguments: str) -> str:
    done = helm("install", "fit", str(CHART), "--dry-run=client", "--namespace", "lab", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def test_notes_say_that_scratch_is_lost() -> None:
    """Where nothing keeps the run folder, the notes say so, and do not offer to fetch it."""
    text = notes()
    assert "lost with the driver's pod" in text
    assert "dask-jobs fetch" not in text


@pytest.mark.parametrize("run", ["run.claim.create=true", "run.s3=s3://runs"])
def test_notes_have_the_commands(run: str) -> None:
    """Follow, wait, dashboard, fetch, stop and clean up, each with the release's own names."""
    text = notes("--set", run)
    assert "lost with" not in text
    for verb in ("status", "logs", "wait", "fetch", "cancel"):
        assert f"  dask-jobs {verb} fit -n lab\n" in text
    assert re.search(r"kubectl -n lab port-forward job/fit-driver-[0-9a-f]{8} 8787\n", text)
    assert re.search(r"kubectl -n lab logs -f job/fit-driver-[0-9a-f]{8} -c driver\n", text)
    assert "helm uninstall fit -n lab" in text
    assert "helm test fit -n lab" in text


def test_charts_have_the_packages_version() -> None:
    """Charts, the image's default tag and the Python package are released together."""
    about, library = (yaml.safe_load((chart / "Chart.yaml").read_text()) for chart in (CHART, ROOT / "charts/dask-job"))
    given = [about["version"], about["appVersion"], about["dependencies"][0]["version"], library["version"]]
    assert given == [version("dask-jobs")] * 4
