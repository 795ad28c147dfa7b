"""Write what is generated beside the charts: values.yaml, values.schema.json, README.md, and the manifests in k8s/.

    python charts/generate.py            write them
    python charts/generate.py --check    write nothing; name each file that is not as it would be written, and exit 1
    python charts/generate.py CHART      write those of a chart elsewhere, such as that of a job in a package of its own

The chart of a job, which has the job's name, is generated from the job's options and `jobs.release.plan.values.Values`.
A manifest is the hand-written `k8s/sources/NAME.head.yaml`, followed by what `helm template` makes of
`k8s/sources/NAME.values.yaml`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import yaml
from jobs import registry

import chart_files

ROOT = Path(__file__).resolve().parents[1]
KUBERNETES = "1.31.0"
"""The oldest version whose Jobs have a successPolicy; plain manifests cannot ask the cluster for its own."""
EXAMPLES_JOB = "minimize"
"""The chart of the examples whose names do not begin with another's."""
HELMS_OWN = ("app.kubernetes.io/managed-by:", "helm.sh/chart:", "# Source:")
"""Lines that would say that Helm looks after the objects."""


def main() -> int:
    """Write the files, or compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file has drifted")
    parser.add_argument("charts", metavar="CHART", nargs="*", type=Path, help="charts elsewhere")
    options = parser.parse_args()
    files = chain.from_iterable(map(_chart, options.charts)) if options.charts else _files()
    drifted = [path for path, text in files if not _same(path, text, check=options.check)]
    for path in drifted:
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        sys.stderr.write(f"{name} is not what charts/generate.py writes: run it\n")
    return 1 if drifted else 0


def _same(path: Path, text: str, *, check: bool) -> bool:
    """Return whether a file may stay as it is; without check, write it."""
    if not check:
        path.write_text(text, encoding="utf-8")
        return True
    return path.exists() and path.read_text(encoding="utf-8") == text


def _files() -> Iterator[tuple[Path, str]]:
    """Yield each generated file with its text; manifests come last, since they are rendered of the charts' files."""
    charts = [path.parents[1] for path in sorted((ROOT / "charts").glob("*/charts/dask-job"))]
    for chart in charts:
        yield from _chart(chart)
    for values in sorted((ROOT / "k8s/sources").glob("*.values.yaml")):
        name = values.name.removesuffix(".values.yaml")
        job = next((chart.name for chart in charts if f"{name}-".startswith(f"{chart.name}-")), EXAMPLES_JOB)
        yield ROOT / ("k8s" if name == job else "k8s/examples") / f"{name}.yaml", _manifest(job, name)


def _chart(chart: Path) -> list[tuple[Path, str]]:
    about = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    options = registry.find(about["name"]).load_options()
    return [
        (chart / "values.yaml", chart_files.values_yaml(options, about)),
        (chart / "values.schema.json", chart_files.values_schema(options, about)),
        (chart / "README.md", chart_files.readme(options, about)),
    ]


def _manifest(chart: str, name: str) -> str:
    """Return the head of a manifest, and the chart rendered with the manifest's values, as plain Kubernetes objects."""
    sources = ROOT / "k8s/sources"
    release = name if name.startswith(chart) else f"{chart}-{name}"
    command = ["helm", "template", release, str(ROOT / "charts" / chart), "--skip-tests"]
    command += ["--kube-version", KUBERNETES, "--values", str(sources / f"{name}.values.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  no shell, no user input
    if done.returncode:
        sys.exit(f"helm template, for k8s/sources/{name}.values.yaml: {done.stderr.strip()}")
    lines = [line for line in done.stdout.splitlines() if not line.strip().startswith(HELMS_OWN)]
    head = (sources / f"{name}.head.yaml").read_text(encoding="utf-8").rstrip()
    return "\n".join([head, *lines]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
