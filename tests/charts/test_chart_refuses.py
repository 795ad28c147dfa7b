"""What `helm install` refuses, before anything is installed."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from chart_tools import CHART, helm, merged, nested, refused

MISTYPED = [
    "workerz",
    "image.tagg",
    "workers.cout",
    "driver.memroy",
    "driver.scheduler.cpus",
    "job.metod",
    "run.s4",
    "run.claim.sise",
    "s3.endpint",
    "serviceAccount.anotations",
    "tls.enable",
    "networkPolicy.enable",
    "deadlines.begin",
    "metrics.podmonitor",
    "dask-job.workers",
]
WRONG: list[tuple[str, Any, str]] = [
    ("image.pullPolicy", "never", "/image/pullPolicy"),
    ("image.digest", "sha256:12", "/image/digest"),
    ("workers", None, "workers"),
    ("workers.count", 0, "/workers/count"),
    ("workers.count", "2", "/workers/count"),
    ("workers.cpu", None, "cpu"),
    ("workers.cpu", "half", "/workers/cpu"),
    ("workers.cpu", "0", "/workers/cpu"),
    ("workers.memory", "4", "/workers/memory"),
    ("workers.memory", 4, "/workers/memory"),
    ("workers.gracePeriod", 5, "/workers/gracePeriod"),
    ("workers.env", [{"nam": "a"}], "nam"),
    ("workers.tolerations", [{"kee": "a"}], "kee"),
    ("workers.affinity", {"nodeAfinity": {}}, "nodeAfinity"),
    (
        "workers.topologySpreadConstraints",
        [{"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "x"}],
        "whenUnsatisfiable",
    ),
    ("workers.podLabels", {"a": 1}, "/workers/podLabels/a"),
    ("podLabels", {"dask-jobs/run": "x"}, "dask-jobs/run"),
    ("podAnnotations", {"app.kubernetes.io/name": "x"}, "app.kubernetes.io/name"),
    ("driver.podDisruptionBudget", "yes", "/driver/podDisruptionBudget"),
    ("job.max_iterations", "many", "/job/max_iterations"),
    ("job.on_nan", "ignore", "/job/on_nan"),
    ("job.l2", -1, "/job/l2"),
    ("job.l2", "much", "/job/l2"),
    ("job.method", "BFGGS", "/job/method"),
    ("job.bounds", [["a", 1]], "/job/bounds/0"),
    ("job.run", "/somewhere", "run"),
    ("code", {"a/b.py": ""}, "a/b.py"),
    ("code", {"a.py": 1}, "/code/a.py"),
    ("run.s3", "bucket/prefix", "/run/s3"),
    ("run.name", "a/b", "/run/name"),
    ("run.claim.accessModes", [], "/run/claim/accessModes"),
    ("volumes", [{"emptyDir": {}}], "name"),
    ("volumeMounts", [{"name": "a", "mountPath": "data"}], "mountPath"),
    ("s3.endpoint", "s3-server:7070", "/s3/endpoint"),
    ("s3.endpoint", "https://user:password@s3-server:7070", "/s3/endpoint"),
    ("networkPolicy.dashboardFrom", [{"podSelektor": {}}], "podSelektor"),
    ("networkPolicy.egress", [{"too": []}], "too"),
    ("deadlines.start", 0, "/deadlines/start"),
    ("queue", "A queue", "/queue"),
    ("metrics.interval", "30", "/metrics/interval"),
]
COMBINED: list[tuple[dict[str, Any], str]] = [
    ({"workers": {"min": 3, "max": 2}}, "workers.min is 3 and workers.max is 2"),
    ({"workers": {"min": 3}}, "workers.min is 3 and workers.max is 2"),
    ({"run": {"s3": "s3://a0", "claim": {"create": True}}}, 'run.s3 is "s3://a0" and run.claim is given'),
    ({"run": {"s3": "s3://a0", "claim": {"name": "a"}}}, 'run.s3 is "s3://a0" and run.claim is given'),
    ({"run": {"claim": {"create": True, "name": "a"}}}, 'run.claim.create is true and run.claim.name is "a"'),
    ({"run": {"claim": {"keep": True}}}, "run.claim.keep is true"),
    ({"tls": {"enabled": True}}, "tls.enabled is true, but tls.secret names no secret"),
    ({"tls": {"secret": "a"}}, 'tls.secret is "a", but tls.enabled is false'),
    ({"serviceAccount": {"create": False, "annotations": {"a": "b"}}}, "serviceAccount.annotations are given"),
    ({"metrics": {"podMonitor": True}}, "metrics.podMonitor is true, but the NetworkPolicy lets nobody reach"),
]

TUNE: list[tuple[dict[str, Any], str]] = [
    ({"job": {"threads_per_trial": 2}}, "job.threads_per_trial is 2, but a worker has 1"),
    ({"job": {"threads_per_trial": 4}, "workers": {"cpu": "3500m"}}, "job.threads_per_trial is 4, but a worker has 3"),
    ({"job": {"gpus_per_trial": 1}}, "job.gpus_per_trial is 1, but workers.gpu is 0"),
    ({"job": {"gpus_per_trial": "1.5"}, "workers": {"gpu": 1}}, "job.gpus_per_trial is 1.5, but workers.gpu is 1"),
    (
        {"job": {"gpus_per_trial": 0.5}, "workers": {"gpu": 2}},
        "workers.gpu is 2, but job.gpus_per_trial is 0.5, and all",
    ),
    ({"job": {"space": "space.yaml"}}, 'job.space is "space.yaml", but must be a file that the pods see'),
    ({"job": {"space": "/code/a.yaml"}}, 'job.space is "/code/a.yaml", but code has no such file'),
]


def test_mistyped_keys_are_named() -> None:
    """A key that is not known is refused at every level, by its name; all of them at once."""
    complaints = refused(functools.reduce(merged, [nested(path, 1) for path in MISTYPED]))
    for path in MISTYPED:
        section, _, key = path.rpartition(".")
        where = section.replace(".", "/")
        assert f"- at '{where and '/'}{where}': additional properties '{key}' not allowed" in complaints


@pytest.mark.parametrize(("path", "value", "named"), WRONG, ids=[f"{path}={value}" for path, value, _ in WRONG])
def test_wrong_value_is_named(path: str, value: Any, named: str) -> None:
    """A value of the wrong type, or outside its bounds, is refused, and the message says where it stands."""
    assert named in refused(nested(path, value)).partition("minimize:\n")[2]


@pytest.mark.parametrize(("values", "complaint"), COMBINED, ids=[complaint for _, complaint in COMBINED])
def test_values_that_do_not_fit_together_are_one_clear_line(values: dict[str, Any], complaint: str) -> None:
    """What was given and the rule stand in one line."""
    assert complaint in refused(values)


@pytest.mark.parametrize(("values", "complaint"), TUNE, ids=[complaint for _, complaint in TUNE])
def test_trials_that_could_not_start_are_one_clear_line(values: dict[str, Any], complaint: str) -> None:
    """What no worker could run, or no pod could read, is refused before anything is installed."""
    assert complaint in refused(values, chart="tune")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("job.space", 3, "/job/space"),
        ("job.sampler", "tpee", "/job/sampler"),
        ("job.direction", "up", "/job/direction"),
    ],
)
def test_wrong_option_of_a_study_is_named(path: str, value: Any, named: str) -> None:
    """The schema is made from the job's own options."""
    assert named in refused(nested(path, value), chart="tune").partition("tune:\n")[2]


@pytest.mark.parametrize("release", ["1fit", "my.fit"])
def test_release_that_no_service_can_be_named_after_is_refused(release: str) -> None:
    """Helm allows dots and a digit in front, Services do not."""
    assert f'the release\'s name is "{release}", but must begin with a letter' in refused({}, release)


def test_forced_past_the_schema_the_driver_decides() -> None:
    """With --skip-schema-validation the options reach the driver as they are, which ends with code 2."""
    done = helm("template", "fit", str(CHART), "--skip-schema-validation", values={"job": {"metod": "CG"}})
    assert "metod: CG" in done.stdout
