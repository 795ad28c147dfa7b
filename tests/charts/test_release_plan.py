"""`dask-jobs plan`: what a release would request, as helm renders its chart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chart_tools import ROOT

from jobs.errors import InputError
from jobs.release.commands import plan
from jobs.release.plan.chart import Rendered, render
from jobs.release.plan.plan import headline, job_rows, plan_of, resource_rows

GPU = "nvidia.com/gpu"


def planned(values: dict[str, Any] | None = None, chart: str = "minimize") -> Rendered:
    """Return a chart as `plan` renders it with values."""
    given = [text for name, value in (values or {}).items() for text in ("--set-json", f"{name}={json.dumps(value)}")]
    return render(str(ROOT / "charts" / chart), given)


def test_the_defaults() -> None:
    """The chart's defaults are three pods; their requests are added up exactly."""
    plan = plan_of(planned())
    assert headline(plan) == "3 pods, 1.35 cores, 3.5 GiB memory, no GPU"
    assert (plan.least, plan.threads) == (2, 1)
    assert dict(resource_rows(planned(), plan))["disk"].startswith("1.125 GiB for the driver's pod, 1.062 GiB for each")


def test_elastic_workers_with_gpus() -> None:
    """The most workers are asked for, the least let the job start; threads are the whole cores."""
    plan = plan_of(planned({"workers": {"min": 1, "max": 5, "cpu": "2500m", "gpu": 2}}))
    assert (plan.workers.count, plan.least, plan.threads) == (5, 1, 2)
    assert headline(plan) == f"6 pods, 12.85 cores, 6.5 GiB memory, 10 {GPU}"
    assert "starts with 1" in dict(resource_rows(planned({"workers": {"min": 1, "max": 5}}), plan))["workers"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "scratch space"),
        ({"s3": "s3://bucket/runs"}, "s3://bucket/runs/RELEASE-HASH"),
        ({"claim": {"name": "runs"}, "name": "seven"}, "/runs/seven on claim runs"),
        ({"claim": {"create": True, "size": "5Gi"}}, "/runs/RELEASE-HASH on a new claim of 5Gi"),
    ],
)
def test_run_folder(given: dict[str, Any], text: str) -> None:
    """The plan says where the run folder will be."""
    rendered = planned({"run": given})
    assert text in dict(resource_rows(rendered, plan_of(rendered)))["run folder"]


def test_bytes_of_an_evaluation() -> None:
    """8 bytes for each of 650 parameters and for the loss, for each worker; of the shipped digits."""
    rendered = planned()
    rows = dict(job_rows(rendered, plan_of(rendered)))
    assert rows["problem"].startswith("650 parameters, 1,797 rows")
    assert rows["evaluation"].startswith("10.4 kB each way (5.2 kB for each of 2 workers)")
    assert "), straight" in rows["evaluation"]


def test_a_users_problem_that_needs_a_tree() -> None:
    """A module given by `code` is made; many parameters go by a tree."""
    code = "import numpy as np\nclass Wide:\n    rows = 10**6\n    x0 = lambda s: np.zeros(10**6)\n"
    code += "    load = value_and_grad = lambda *_: None\n"
    rendered = planned({"workers": {"count": 4}, "code": {"wide_plan.py": code}, "job": {"problem": "wide_plan:Wide"}})
    rows = dict(job_rows(rendered, plan_of(rendered)))
    assert rows["evaluation"].startswith("32.0 MB each way (8.0 MB for each of 4 workers)")
    assert "by a tree of the workers, each with up to 2 below it" in rows["evaluation"]


def test_a_problem_that_cannot_be_made_here() -> None:
    """Data that only the cluster has are no error: the plan says why it does not know."""
    rendered = planned({"job": {"data": "npz:/only/there.npz"}})
    assert "/only/there.npz does not exist" in dict(job_rows(rendered, plan_of(rendered)))["problem"]


@pytest.mark.parametrize(
    ("file", "hidden"),
    [
        ("random.py", "the module random of Python's standard library"),
        ("numpy.py", "the package numpy, which dask-jobs needs"),
        ("click.pyc", "the package click"),
        ("yaml.cpython-311-x86_64-linux-gnu.so", "the package yaml"),
        ("dateutil.py", "the package dateutil"),
    ],
)
def test_code_that_would_hide_a_module(file: str, hidden: str) -> None:
    """A file in `code` with the name of a module that all pods import is refused before anything of it runs."""
    rendered = planned({"code": {file: "raise SystemExit('it ran')"}})
    with pytest.raises(InputError, match=f"code has the file '{file}', which would hide {hidden}.*choose another name"):
        list(job_rows(rendered, plan_of(rendered)))


def test_code_may_be_named_like_what_is_not_imported() -> None:
    """Files that are no modules, and names that only a tool of this machine has, hide nothing."""
    rendered = planned({"code": {"random.yaml": "", "pytest.py": "", "pandas.py": ""}})
    assert dict(job_rows(rendered, plan_of(rendered)))["problem"].startswith("650 parameters")


OBJECTIVE = "def train(parameters):\n    return 0.0\n"


def test_trials_at_once() -> None:
    """A study's plan tells how many trials run at once, by threads and GPUs, and what is searched."""
    job = {"objective": "search_plan:train", "space": "/code/space.yaml", "threads_per_trial": 2, "gpus_per_trial": 0.5}
    code = {"search_plan.py": OBJECTIVE, "space.yaml": "rate: {log: [1.0e-6, 1]}\nwidth: {integer: [1, 9]}\n"}
    rendered = planned({"workers": {"count": 20, "cpu": 5, "gpu": 1}, "code": code, "job": job}, "tune")
    rows = dict(job_rows(rendered, plan_of(rendered)))
    assert rows["at once"] == "40 trials, 2 on each of 20 workers"
    assert rows["search"] == "100 trials of search_plan:train, random, pruner asha"
    assert rows["space"] == "rate, width"


def test_more_places_than_trials() -> None:
    """Workers that would have nothing to do are told of, also where the objective is not known here."""
    rendered = planned({"workers": {"count": 5}, "job": {"trials": 4, "objective": "only_there:train"}}, "tune")
    rows = dict(job_rows(rendered, plan_of(rendered)))
    assert rows[""] == "more places than trials (4): some workers will have no work"
    assert "not known here: --objective only_there:train: cannot import it" in rows["search"]


def test_wrong_job_options() -> None:
    """What the schema cannot refuse of the job's options is refused as the job does it."""
    rendered = planned({"job": {"problem": "mine:problem", "data": "digits"}})
    with pytest.raises(InputError, match="job: --data digits and --problem mine:problem exclude each other"):
        list(job_rows(rendered, plan_of(rendered)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": {"cout": 3}}, "at '/workers': additional properties 'cout' not allowed"),
        ({"wrkers": {}}, "at '': additional properties 'wrkers' not allowed"),
        ({"workers": {"count": 0}}, "at '/workers/count': exclusiveMinimum: got 0, want 0"),
        ({"workers": {"count": 2**31}}, "at '/workers/count': maximum: got "),
        ({"workers": {"cpu": "1e400"}}, "at '/workers/cpu': '1e400' does not match pattern"),
        ({"code": {"..": "x"}}, 'code has the file "..", but no file of a ConfigMap'),
        ({"workers": {"memory": "1X"}}, "at '/workers/memory': '1X' does not match pattern"),
        ({"workers": {"min": 3, "max": 2}}, "helm: workers.min is 3 and workers.max is 2"),
        ({"job": {"workers": 3}}, "at '/job': additional properties 'workers' not allowed"),
    ],
)
def test_wrong_values(given: dict[str, Any], message: str) -> None:
    """A wrong value is refused by helm, and its words are one line without what is not part of the error."""
    with pytest.raises(InputError) as error:
        planned(given)
    assert str(error.value).startswith("helm: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(text in str(error.value) for text in ("Error:", "symbolic link", "--debug", "execution error"))


def test_files_and_settings_go_to_helm_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Later files and settings win, maps are merged, lists and escaped dots are helm's."""
    for name, text in {"a": "workers: {count: 3, cpu: 1}", "b": "workers: {count: 4}", "model.py": "x = 1\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    values = ["-f", str(tmp_path / "a"), "--values", str(tmp_path / "b"), "--set", "workers.gpu=1,run.claim.name=x"]
    values += ["--set-string", "run.name=7", "--set", "workers.tolerations[0].operator=Exists"]
    values += ["--set-file", rf"code.model\.py={tmp_path / 'model.py'}", "--kubeconfig", str(tmp_path / "none")]
    plan([*values])
    lines = capsys.readouterr().out
    assert "workers     4 pods, each: 1 core, 1 GiB, 1 nvidia.com/gpu, 1 thread" in lines
    assert "run folder  /runs/7 on claim x" in lines


def test_what_a_rendered_release_has(tmp_path: Path) -> None:
    """Node selectors, tolerations and code are those of the rendered pods, options those that the driver reads."""
    workers = {"nodeSelector": {"pool": "a"}, "tolerations": [{"operator": "Exists"}]}
    rendered = planned({"workers": workers, "code": {"model.py": "x = 1\n"}, "job": {"l2": 1.0e-6}})
    pods = plan_of(rendered).workers
    assert (pods.selector, pods.tolerations) == ({"pool": "a"}, [{"operator": "Exists"}])
    assert plan_of(rendered).driver.selector == {}
    assert rendered.code == {"model.py": "x = 1\n"}
    assert (rendered.options["job"], rendered.options["l2"]) == ("minimize", 1e-6)
    assert not {"run", "scheduler", "workers", "workers_timeout"} & set(rendered.options)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("space: {n: {integer: [1, 9]}}", 'job.space has the name "false"'),
        ("fixed: {y: 4}", 'job.fixed has the name "true"'),
        ("fixed: {sizes: [{on: 1}]}", 'job.fixed.sizes has the name "true"'),
        ("sampler_options: {No: 5}", 'job.sampler_options has the name "false"'),
    ],
)
def test_names_that_helm_takes_for_a_boolean(text: str, named: str, tmp_path: Path) -> None:
    """A bare n or y in a values file would reach the function as "false" or "true": it is refused, quoted it passes."""
    values = tmp_path / "values.yaml"
    values.write_text(f"job: {{{text}}}", encoding="utf-8")
    with pytest.raises(InputError, match=f"{named}.*quote"):
        render(str(ROOT / "charts/tune"), ["-f", str(values)])
    values.write_text('job: {space: {"n": {integer: [1, 9]}, "y": {uniform: [0, 1]}}}', encoding="utf-8")
    assert list(render(str(ROOT / "charts/tune"), ["-f", str(values)]).options["space"]) == ["n", "y"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["--set", "workers.count"], 'helm: failed parsing --set data: key "count" has no value'),
        (["-f", "no.yaml"], "helm: open no.yaml: no such file"),
        (["-f", "bad.yaml"], "helm: failed to parse bad.yaml"),
        (["--set-file", "code.a=gone.py"], "helm: failed parsing --set-file data: open gone.py"),
        (["./none"], "helm: "),
    ],
)
def test_what_helm_cannot_read(
    values: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A setting, file or chart that helm cannot read is its error, on one line."""
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(InputError) as error:
        plan([*values])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_another_chart(tmp_path: Path) -> None:
    """A chart that makes no release of dask-jobs is refused by its path."""
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: other, version: 1.0.0}", encoding="utf-8")
    with pytest.raises(InputError, match=f"{tmp_path} is not a chart of dask-jobs"):
        plan([str(tmp_path)])


def test_without_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no cluster can be reached all but the comparison is still printed."""
    plan(["--kubeconfig", str(tmp_path / "none")])
    told = capsys.readouterr().out
    assert "minimize: 3 pods" in told
    assert "not compared: there is no kubeconfig" in told
