"""The chart tune: what a study is given, what goes on with it, and what its workers have."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from chart_tools import CHARTS, ROOT, Rendered, helm, merged, render

from jobs.options import validated
from jobs.runs.identity import is_code
from jobs.tune import space
from jobs.tune.job import plan
from jobs.tune.options import Options

SPACE = {"rate": {"log": [1e-6, 10]}, "kind": {"choice": [1e-5, 0.5, 2, None, True, "1e-7"]}}
STUDY = {"job": {"objective": "my_model:train", "space": SPACE}, "code": {"my_model.py": "x = 1\n"}}


def tune(values: dict[str, Any] | None = None) -> Rendered:
    return render(values, chart="tune")


def volume(release: Rendered, name: str) -> dict[str, Any] | None:
    return next((one for one in release.worker_pod["spec"]["volumes"] if one["name"] == name), None)


def test_space_reaches_the_driver_as_it_was_given() -> None:
    """Helm reads and writes numbers its own way, 1e-06 without a dot, which PyYAML would take for a text."""
    options = tune(STUDY).options
    assert options["space"] == SPACE
    assert options["job"] == "tune"
    assert space.plain(space.parse(options["space"])) == space.plain(space.parse(SPACE))


ODD_TEXTS = {
    "lines": "x: 1e-06\ny: 2e-05\n\n",
    "list": "  - 1e-06\n- 3e-07",
    "long": "about forty letters before the number 1 - 1e-06 " * 9 + "- 1e-06",
    "like a number": "1e-06",
    "z: 1e-06\n": ["1e-06", [], {}, "", None, [[1e-06], {"a": 2e-05, "b": [True]}]],
    "bell \x07, escape \x1b, delete \x7f, next line \x85\n": "'\"\\ {{ $x }} # : - é \u2028",
    "z10": 1e22,
    "z2": -3e-09,
}


def test_texts_reach_the_driver_as_they_were_given() -> None:
    """A text that looks like a number of Helm's is not changed, on any of its lines; all numbers arrive as numbers."""
    assert tune(merged(STUDY, {"job": {"fixed": ODD_TEXTS}})).options["fixed"] == ODD_TEXTS


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--set", "job.direction=minimize"], "direction", ["minimize"]),
        (["--set", "job.metric=accuracy\\,cost,job.direction=maximize\\,minimize"], "metric", ["accuracy", "cost"]),
        (["--set", "job.fixed.epochs=2"], "fixed", {"epochs": 2}),
        (["--set", "job.gpus_per_trial=0.5,workers.gpu=1"], "gpus_per_trial", 0.5),
        (["--set-json", 'job.space={"x": {"uniform": [0, 1]}}'], "space", {"x": {"uniform": [0, 1]}}),
        (["--set-json", 'job.sampler_options={"points": 5}'], "sampler_options", {"points": 5}),
    ],
)
def test_options_may_be_set_on_the_command_line(words: list[str], name: str, value: Any) -> None:
    """`--set` and `--set-json` take what people write there, and the job's options read it."""
    done = helm("template", "fit", str(ROOT / "charts/tune"), *words)
    assert done.returncode == 0, done.stderr
    given = Rendered(done.stdout).options
    own = {key: given[key] for key in given.keys() & Options.model_fields.keys()}
    assert getattr(validated(Options, own), name) == value


def test_space_may_be_a_file_beside_the_code() -> None:
    """What `--set-file code.space\\.yaml=space.yaml` brings lies in /code of every role."""
    values = {"job": {"space": "/code/space.yaml"}, "code": {"space.yaml": "x: {uniform: [0, 1]}\n"}}
    assert tune(values).options["space"] == "/code/space.yaml"


@pytest.mark.parametrize(
    "job",
    [{"trials": 200}, {"sampler": "tpe"}, {"pruner": "median"}, {"max_seconds": 60}, {"threads_per_trial": 1}],
    ids=str,
)
def test_more_trials_go_on_in_the_same_folder(job: dict[str, Any]) -> None:
    """What may change while a study goes on changes the Jobs' names, so that they run, and keeps the run folder."""
    before, after = tune(STUDY), tune(merged(STUDY, {"job": job, "workers": {"count": 5}}))
    assert after.url == before.url
    assert (after.hash == before.hash) == (job == {"threads_per_trial": 1})


@pytest.mark.parametrize(
    "values",
    [
        {"job": {"objective": "my_model:other"}},
        {"job": {"space": {"rate": {"log": [1e-6, 1]}}}},
        {"job": {"fixed": {"epochs": 3}}},
        {"job": {"metric": ["accuracy"]}},
        {"job": {"direction": ["minimize"]}},
        {"job": {"constraints": ["cost"]}},
        {"job": {"seed": 1}},
        {"code": {"my_model.py": "x = 2\n"}},
    ],
    ids=str,
)
def test_another_study_begins_a_new_folder(values: dict[str, Any]) -> None:
    """What makes a study another one, which the driver would refuse in the same folder, has a folder of its own."""
    assert tune(merged(STUDY, values)).url != tune(STUDY).url


def test_chart_and_job_agree_on_what_a_study_is() -> None:
    """The chart's annotation names the options that make up the identity in the study's journal."""
    about = yaml.safe_load((ROOT / "charts/tune/Chart.yaml").read_text())
    identity = plan(Options(objective="os:getcwd", space={"x": {"uniform": [0, 1]}}), lambda x: x).identity
    named = {"directions": "direction"}
    assert set(about["annotations"]["dask-jobs/study"].split()) == {
        named.get(name, name) for name in identity if not is_code(name)
    }


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({}, {"name": "run", "emptyDir": {"sizeLimit": "1Gi"}}),
        ({"claim": {"name": "mine"}}, {"name": "run", "emptyDir": {"sizeLimit": "1Gi"}}),
        (
            {"claim": {"name": "mine", "accessModes": ["ReadWriteMany"]}},
            {"name": "run", "persistentVolumeClaim": {"claimName": "mine"}},
        ),
        ({"s3": "s3://runs"}, None),
    ],
    ids=["scratch", "one-node", "many-nodes", "s3"],
)
def test_workers_write_checkpoints(run: dict[str, Any], expected: dict[str, Any] | None) -> None:
    """Workers see the run folder where all nodes can, and else have a folder of their own at its place."""
    release = tune({"run": run})
    assert volume(release, "run") == expected
    mounts = [one["mountPath"] for one in release.container("worker")["volumeMounts"]]
    assert ("/runs" in mounts) == (expected is not None)


@pytest.mark.parametrize("chart", CHARTS)
def test_workers_declare_their_gpus(chart: str) -> None:
    """A worker with GPUs tells Dask how many, so that each trial takes its own; one without says nothing of it."""
    words = render({"workers": {"gpu": 2}}, chart=chart).container("worker")["args"]
    assert words[words.index("--gpus") + 1] == "2"
    assert "--gpus" not in render(chart=chart).container("worker")["args"]


def test_default_image_has_tensorflow() -> None:
    """The default objective needs it; a tag that is given wins."""
    assert tune().container("worker")["image"] == "localhost/dask-jobs:0.1.0-cpu"
    assert tune({"image": {"tag": "7"}}).container("worker")["image"] == "localhost/dask-jobs:7"
