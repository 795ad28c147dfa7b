"""What a release is made of, beside what its values change: Jobs, names, hashes, security, network."""

from __future__ import annotations

import pytest
from chart_tools import CHART, Object, containers, helm, render

EVERYTHING = {
    "workers": {"count": 3, "gpu": 1, "env": [{"name": "A", "value": "b"}]},
    "code": {"a.py": "x = 1\n"},
    "run": {"claim": {"create": True}},
    "s3": {"endpoint": "https://s3.example", "credentialsSecret": "keys"},
    "tls": {"enabled": True, "secret": "certs"},
    "metrics": {"podMonitor": True},
    "networkPolicy": {"dashboardFrom": [{"namespaceSelector": {}}]},
    "queue": "q",
}
LONG = "a-release-with-a-name-of-fifty-three-characters-x-yyy"


def test_driver_job_reads_exit_codes() -> None:
    """Disruptions and code 4 are tried again without count, codes 1 to 3 fail the Job, the rest counts."""
    spec = render().driver["spec"]
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore", "FailJob", "Ignore"]
    disruption, failed, stopped = spec["podFailurePolicy"]["rules"]
    assert disruption["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert failed["onExitCodes"] == {"containerName": "driver", "operator": "In", "values": [1, 2, 3]}
    assert stopped["onExitCodes"] == {"containerName": "driver", "operator": "In", "values": [4]}
    assert (spec["completions"], spec["parallelism"], spec["podReplacementPolicy"]) == (1, 1, "Failed")
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_worker_job_is_elastic_and_ends_with_the_first_that_was_told() -> None:
    """It is indexed, forgives disruptions and workers that left, fails on code 5, and needs one success."""
    spec = render().workers["spec"]
    disruption, left, gave_up = spec["podFailurePolicy"]["rules"]
    assert (disruption["action"], disruption["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (left["action"], left["onExitCodes"]["values"]) == ("Ignore", [143])
    assert (gave_up["action"], gave_up["onExitCodes"]["values"]) == ("FailJob", [5])
    assert (spec["completionMode"], spec["podReplacementPolicy"]) == ("Indexed", "Failed")
    assert spec["successPolicy"] == {"rules": [{"succeededCount": 1}]}


@pytest.mark.parametrize("kubernetes", ["1.29.0", "1.30.4-eks-1"])
def test_old_kubernetes_gets_no_success_policy(kubernetes: str) -> None:
    """Before 1.31 Jobs had none; all else is the same."""
    old, new = render(kubernetes=kubernetes).workers["spec"], render(kubernetes="1.31.0-gke.1").workers["spec"]
    assert "successPolicy" in new
    assert old.keys() == new.keys() - {"successPolicy"}


def test_scheduler_is_a_sidecar_of_the_driver() -> None:
    """It starts before the driver and ends after it, with no probe that would cost seconds."""
    (scheduler,) = render().driver_pod["spec"]["initContainers"]
    assert (scheduler["name"], scheduler["restartPolicy"]) == ("scheduler", "Always")
    assert {port["name"]: port["containerPort"] for port in scheduler["ports"]} == {
        "scheduler": 8786,
        "dashboard": 8787,
    }
    assert not [key for key in scheduler if key.endswith("Probe")]


def test_roles_find_each_other_in_any_namespace() -> None:
    """Scheduler and workers are given one identity, workers the Service's name; no namespace is rendered."""
    release = render()
    identity = f"$(POD_NAMESPACE)/fit/{release.hash}"
    assert release.container("scheduler")["args"] == ["python", "-m", "jobs.pods.scheduler", "--id", identity]
    words = release.container("worker")["args"]
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert (given["--scheduler"], given["--id"]) == (f"tcp://fit-driver-{release.hash}:8786", identity)
    assert release.env("worker")["POD_NAMESPACE"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert not [one for one in release.objects if "namespace" in one["metadata"]]


def test_service_selects_one_runs_driver() -> None:
    """Its selector has the run's hash, so that it never stands over two schedulers."""
    release = render()
    spec = release.named("Service")["spec"]
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
    assert spec["selector"]["dask-jobs/run"] == release.hash
    assert spec["selector"].items() <= release.driver_pod["metadata"]["labels"].items()
    assert not spec["selector"].items() <= release.worker_pod["metadata"]["labels"].items()


def test_worker_knows_its_memory_in_bytes() -> None:
    """--memory-limit is the container's own limit, whatever unit it was given in."""
    release = render()
    words = release.container("worker")["args"]
    assert words[words.index("--memory-limit") + 1] == "$(MEMORY_LIMIT)"
    assert release.env("worker")["MEMORY_LIMIT"]["resourceFieldRef"]["resource"] == "limits.memory"


def test_same_values_twice_give_the_same_text() -> None:
    """`helm upgrade` with the same values changes nothing."""
    assert {helm("template", "fit", str(CHART), values=EVERYTHING).stdout for _ in range(3)} == {
        helm("template", "fit", str(CHART), values=EVERYTHING).stdout
    }


@pytest.mark.parametrize(
    "values",
    [
        {"workers": {"memory": "3Gi"}},
        {"driver": {"env": [{"name": "A", "value": "b"}]}},
        {"job": {"l2": 1}},
        {"code": {"a.py": "x = 1\n"}},
        {"run": {"name": "seven"}},
        {"run": {"s3": "s3://bucket"}},
    ],
    ids=str,
)
def test_what_a_running_job_cannot_take_over_begins_another(values: Object) -> None:
    """Pod templates, immutable fields, run folder, options and code change the hash, and so all of the run's names."""
    names = [one["metadata"]["name"] for one in render(values).objects if "dask-jobs/run" in one["metadata"]["labels"]]
    assert render(values).hash != render().hash
    assert not [name for name in names if render().hash in name]


@pytest.mark.parametrize(
    "values",
    [
        {"workers": {"count": 7}},
        {"workers": {"min": 1, "max": 7}},
        {"deadlines": {"job": 5, "start": 5}},
        {"ttlSecondsAfterFinished": 5},
        {"suspend": True},
        {"queue": "q"},
    ],
    ids=str,
)
def test_what_a_running_job_takes_over_keeps_its_names(values: Object) -> None:
    """Workers wanted, deadlines and what stands on the Jobs themselves patch the running Jobs."""
    assert render(values).hash == render().hash
    assert render(values).driver_pod == render().driver_pod
    assert render(values).worker_pod == render().worker_pod


def test_run_folder_stays_with_more_memory_and_not_with_other_options() -> None:
    """Its name has a hash of options and code alone, without those that only watch."""
    for values in ({"workers": {"memory": "3Gi"}}, {"job": {"log": ["mlflow"], "on_end": "true"}}):
        assert render(values).url == render().url
    for values in ({"job": {"l2": 1}}, {"code": {"a.py": "x = 1\n"}}):
        assert render(values).url != render().url
        assert render(values).url.startswith("/runs/fit-")


def test_option_that_is_null_is_none() -> None:
    """Null and absence are the same run: Helm keeps one and drops the other, by version."""
    assert render({"job": {"tol": None}}).hash == render().hash


def test_long_names_fit_and_differ() -> None:
    """With the longest name of a release, names with an index have at most 63 characters, and releases differ."""
    one, other = render(release=LONG), render(release=LONG[:-1] + "z")
    assert len(LONG) == 53
    assert len(one.workers["metadata"]["name"] + "-999") <= 63
    assert all(len(thing["metadata"]["name"]) <= 63 for thing in render(EVERYTHING, release=LONG).objects)
    names = [{(thing["kind"], thing["metadata"]["name"]) for thing in release.objects} for release in (one, other)]
    assert not names[0] & names[1]


@pytest.mark.parametrize("release", ["on", "null", "no"])
def test_names_that_yaml_would_misread_are_texts(release: str) -> None:
    """A release named like one of YAML's words has labels and names all the same."""
    for one in render(release=release).objects:
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == release
        assert one["metadata"]["name"].startswith(release)


def test_labels() -> None:
    """All objects carry the common labels; pods carry neither version nor chart, which would change the hash."""
    release = render(EVERYTHING)
    for one in release.objects:
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "minimize"
        assert labels["app.kubernetes.io/part-of"] == "dask-jobs"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["helm.sh/chart"] == "minimize-0.1.0"
    for pod, component in ((release.driver_pod, "driver"), (release.worker_pod, "worker")):
        assert pod["metadata"]["labels"] == {
            "app.kubernetes.io/name": "minimize",
            "app.kubernetes.io/instance": "fit",
            "app.kubernetes.io/part-of": "dask-jobs",
            "app.kubernetes.io/component": component,
            "dask-jobs/run": release.hash,
        }


def test_kueue_may_admit_fewer_workers() -> None:
    """Between min and max Kueue chooses, and keeps completions equal to parallelism."""
    notes = render({"queue": "q", "workers": {"min": 2, "max": 5}}).workers["metadata"]["annotations"]
    assert notes == {
        "kueue.x-k8s.io/job-min-parallelism": "2",
        "kueue.x-k8s.io/job-completions-equal-parallelism": "true",
    }
    assert "annotations" not in render({"queue": "q"}).workers["metadata"]


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_every_pod_is_restricted(values: Object) -> None:
    """Driver, worker and test pods keep Kubernetes's restricted profile, and more."""
    for pod in render(values).pods:
        spec = pod["spec"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (1000, 1000, 1000)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
    assert render(values).named("ServiceAccount")["automountServiceAccountToken"] is False


def test_every_container_computes_on_one_thread_and_writes_to_tmp() -> None:
    """Libraries' own threads are off, output is not buffered, and all that is written goes to the scratch volume."""
    expected = dict.fromkeys(("OMP", "OPENBLAS", "MKL", "NUMEXPR"), "1")
    for name in ("scheduler", "driver", "worker", "test"):
        env = render(EVERYTHING).env(name)
        assert {key: env[f"{key}_NUM_THREADS"] for key in expected} == expected
        assert (env["PYTHONUNBUFFERED"], env["TF_CPP_MIN_LOG_LEVEL"]) == ("1", "2")
        assert (env["HOME"], env["DASK_TEMPORARY_DIRECTORY"]) == ("/tmp", "/tmp")


def test_secrets_are_only_named() -> None:
    """Credentials come from secrets in the cluster: no argument, ConfigMap or plain variable holds one."""
    release = render(EVERYTHING)
    for name in ("driver", "worker", "test"):
        env = release.env(name)
        assert {
            env[key]["secretKeyRef"]["name"] for key in env if key.startswith("AWS_") and "ENDPOINT" not in key
        } == {"keys"}
        assert env["AWS_SESSION_TOKEN"]["secretKeyRef"]["optional"] is True
    assert not [key for key in release.env("scheduler") if key.startswith("AWS_")]
    assert "Secret" not in {one["kind"] for one in release.objects}


def test_tls_is_told_to_all_of_dask() -> None:
    """Encryption is required, and scheduler, worker, client and dashboard have certificate and key."""
    env = render(EVERYTHING).env("worker")
    assert env["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "True"
    for role in ("COMM__TLS__SCHEDULER", "COMM__TLS__WORKER", "COMM__TLS__CLIENT", "SCHEDULER__DASHBOARD__TLS"):
        assert env[f"DASK_DISTRIBUTED__{role}__CERT"] == "/etc/dask-jobs-tls/tls.crt"
        assert env[f"DASK_DISTRIBUTED__{role}__KEY"] == "/etc/dask-jobs-tls/tls.key"
    assert env["DASK_DISTRIBUTED__COMM__TLS__CA_FILE"] == "/etc/dask-jobs-tls/ca.crt"
    monitor = render(EVERYTHING).named("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    assert monitor["scheme"] == "https"


def test_suspend_is_left_to_others_unless_it_is_asked_for() -> None:
    """An upgrade that wrote `suspend: false` would start what Kueue holds back or a cancel has stopped."""
    for job in (render().driver, render({"queue": "q"}).workers):
        assert "suspend" not in job["spec"]
