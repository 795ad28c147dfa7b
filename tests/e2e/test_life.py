"""The life of a release on a real cluster: it ends by itself, with the job's exit code, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from release import Bucket, Claim, CommandError, Kubectl
from watched import Watched, slow_values

from jobs.cli import main

ROOT = Path(__file__).parents[2]


def _local(folder: Path, *options: str) -> np.ndarray:
    """Return the optimum that a local run with the same options finds."""
    assert main(["minimize", "--data", "digits", "--workers", "0", "--run", str(folder), *options]) == 0
    return np.load(folder / "x.npy")


def test_digits_have_the_bits_of_a_local_run(watched: Watched, helm: Kubectl, claim: Claim, tmp_path: Path) -> None:
    """Install, wait, fetch: code 0, the optimum of a local run to the bit, no pod left; `helm test` agrees."""
    watched.install("fit", "job.data=digits", "job.l2=1", f"run.claim.name={claim}")
    code, told = watched.tell("wait", "fit")
    assert code == 0, told
    assert "converged" in told
    watched.no_pods_in(60)
    code, told = watched.tell("fetch", "fit", str(tmp_path / "fetched"))
    assert code == 0, told
    assert np.array_equal(np.load(tmp_path / "fetched/x.npy"), _local(tmp_path / "local", "--l2", "1"))
    assert json.loads((tmp_path / "fetched/result.json").read_text())["success"]
    assert "Succeeded" in helm("test", "fit")


def test_user_code_that_fails(watched: Watched) -> None:
    """An exception in the user's code: Failed with 1, one driver pod only, its log with the traceback stays."""
    watched.install("fit", values=slow_values("Failing"))
    assert watched.exit_code("fit") == 1
    watched.no_pods_in(60)
    assert len(watched.pods("fit", "driver", ("Failed",))) == 1
    assert "LookupError: no such row" in watched.logs("fit", "driver")
    assert watched.tell("wait", "fit")[0] == 1


def test_bad_options(watched: Watched) -> None:
    """A mistyped or wrong option fails `helm install`, naming it; forced past the schema, the driver ends with 2."""
    for wrong in ("job.methd=BFGS", "job.max_iterations=0", "wrkers.count=3"):
        with pytest.raises(CommandError, match=wrong.partition("=")[0].rpartition(".")[2].split(".")[0]):
            watched.install("fit", wrong)
    watched.install("fit", "job.max_iterations=0", "--skip-schema-validation")
    assert watched.exit_code("fit") == 2
    watched.no_pods_in(60)
    assert len(watched.pods("fit", "driver", ("Failed",))) == 1


def test_upgrade(watched: Watched) -> None:
    """`helm upgrade`: the same values change nothing, others are a new run and end the old one."""
    values = slow_values()
    watched.install("fit", values=values)
    watched.until_event("fit", "progress")
    before = watched.jobs("fit")
    watched.install("fit", values=values)
    assert watched.jobs("fit") == before
    watched.install("fit", "job.tol=1e-3", values=values)
    assert not {name for name, *_ in watched.jobs("fit")} & {name for name, *_ in before}
    assert watched.exit_code("fit") == 0
    watched.no_pods_in(60)


def test_more_memory_goes_on_in_the_same_folder(watched: Watched, claim: Claim) -> None:
    """`helm upgrade` with more memory in mid-run: new pods, which go on where the old ones were stopped."""
    values = slow_values()
    watched.install("fit", f"run.claim.name={claim}", values=values)
    watched.until_event("fit", "progress", count=2)
    watched.install("fit", f"run.claim.name={claim}", "workers.memory=900Mi", values=values)
    assert watched.exit_code("fit") == 0
    assert json.loads(claim.read(next(name for name in claim.files() if name.endswith("result.json"))))["attempt"] == 2


def test_uninstall_in_mid_run_leaves_nothing(watched: Watched, helm: Kubectl) -> None:
    """`helm uninstall` while the job runs: no object of the release is left within a minute."""
    watched.install("fit", values=slow_values())
    watched.until_event("fit", "progress")
    helm("uninstall", "fit")
    watched.nothing_in(60)


def test_two_releases_do_not_see_each_other(watched: Watched) -> None:
    """Two releases in one namespace at the same time: each has its own two workers, and its own end."""
    for name in ("one", "two"):
        watched.install(name, values=slow_values(SLOW_SECONDS="0.05"))
    assert [watched.exit_code(name) for name in ("one", "two")] == [0, 0]
    for name in ("one", "two"):
        assert watched.events(name, "attempt")[-1]["workers"] == 2
        joined = [event["scheduler"] for event in watched.events(name, "joined", "worker")]
        assert joined
        assert all(address.startswith(f"tcp://{name}-driver-") for address in joined)


def test_cancel_saves_and_the_run_goes_on(watched: Watched, claim: Claim, kubectl: Kubectl) -> None:
    """`cancel` stops a release with all saved, code 4; unsuspended it goes on in a further attempt and ends with 0."""
    watched.install("fit", f"run.claim.name={claim}", values=slow_values())
    watched.until_event("fit", "progress")
    code, told = watched.tell("cancel", "fit")
    assert code == 0, told
    watched.no_pods_in(60)
    assert watched.tell("wait", "fit")[0] == 4
    for name, *_ in watched.jobs("fit"):
        kubectl("patch", "job", name, "--type=merge", "-p", '{"spec":{"suspend":false}}')
    assert watched.exit_code("fit") == 0
    assert watched.events("fit", "attempt")[-1]["attempt"] == 2


def test_deadline(watched: Watched) -> None:
    """A job past `deadlines.job` is stopped: Failed, no pod left, and `wait` says 4."""
    watched.install("fit", "deadlines.job=15", values=slow_values(SLOW_SECONDS="1"))
    code, told = watched.tell("wait", "fit")
    assert code == 4, told
    watched.no_pods_in(90)


def test_manifest(watched: Watched, kubectl: Kubectl, image: str) -> None:
    """`kubectl apply -f k8s/minimize.yaml` runs the job to its end; only the image's name is the test's."""
    text = (ROOT / "k8s/minimize.yaml").read_text()
    assert "localhost/dask-jobs:0.1.0" in text
    kubectl("apply", "-f", "-", input=text.replace("localhost/dask-jobs:0.1.0", image))
    assert watched.exit_code("minimize") == 0
    watched.no_pods_in(60)


def test_s3(watched: Watched, s3_endpoint: Bucket, helm: Kubectl, tmp_path: Path) -> None:
    """A run folder in S3, by a Secret: done, fetched with the local bits, and no credential is to be seen anywhere."""
    watched.install("fit", "job.data=digits", values=s3_endpoint.values())
    assert watched.exit_code("fit") == 0
    code, told = watched.tell("fetch", "fit", str(tmp_path / "fetched"))
    assert code == 0, told
    assert np.array_equal(np.load(tmp_path / "fetched/x.npy"), _local(tmp_path / "local"))
    key = s3_endpoint.client._request_signer._credentials.secret_key
    seen = helm("get", "manifest", "fit") + watched.logs("fit", "driver") + watched.logs("fit", "worker") + told
    assert s3_endpoint.secret in seen
    assert key not in seen
    assert not [
        path for path in (tmp_path / "fetched").rglob("*") if path.is_file() and key.encode() in path.read_bytes()
    ]
