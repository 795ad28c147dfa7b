"""A thin layer over the Kubernetes API: the requests of the release commands, with one-line errors."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream

from jobs.errors import ClusterError, InputError, JobError
from jobs.formatting import one_line
from jobs.release.api.lines import lines
from jobs.release.api.objects import Object

TIMEOUT = (5.0, 30.0)
"""Seconds to connect, and to wait for each answer."""
SILENCE_SECONDS = 60.0
"""Maximum silence of a followed log until it is requested anew: the connection may be dead."""
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
MANAGER = "dask-jobs"
KUEUE, KUEUE_VERSIONS = "kueue.x-k8s.io", ("v1beta2", "v1beta1")
"""Newest first: the first that the cluster serves is used."""


class Forbidden(InputError):
    """The user's role does not allow the request."""


class Cluster:
    """One namespace of a cluster; every method may raise InputError (forbidden, refused) or ClusterError (no answer).

    Args:
        namespace: default: the kubeconfig context's, or the pod's own.
        context: the kubeconfig's context (default: its current one).
        kubeconfig: path (default: $KUBECONFIG, ~/.kube/config, or the service account of the pod this runs in).

    `now` is the cluster's time at the last list of objects, seconds since 1970: this machine's clock may differ.

    Raises:
        InputError: no kubeconfig, or one that cannot be used.
    """

    def __init__(self, namespace: str | None = None, context: str | None = None, kubeconfig: str | None = None) -> None:
        # Each of the retries below would be a warning, beside the one line of the error.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        configuration: Any = client.Configuration()
        self.namespace = _configure(configuration, namespace, context, kubeconfig)
        # Only GET: a PATCH or POST whose answer was lost may have been done. No redirect takes the credentials along.
        configuration.retries = urllib3.Retry(total=2, backoff_factor=0.3, allowed_methods=["GET"], redirect=0)
        self.host = str(configuration.host)
        self.now = 0.0
        api = client.ApiClient(configuration)
        self._core: Any = client.CoreV1Api(api)
        self._batch: Any = client.BatchV1Api(api)
        self._custom: Any = client.CustomObjectsApi(api)

    def jobs(self, selector: str, *, everywhere: bool = False) -> tuple[Object, ...]:
        """Return the Jobs that match a label selector, of this namespace or of all."""
        if everywhere:
            return self._list(self._batch.list_job_for_all_namespaces, label_selector=selector)
        return self._list(self._batch.list_namespaced_job, self.namespace, label_selector=selector)

    def pods(self, selector: str) -> tuple[Object, ...]:
        """Return the namespace's pods that match a label selector."""
        return self._list(self._core.list_namespaced_pod, self.namespace, label_selector=selector)

    def all_pods(self) -> tuple[Object, ...]:
        """Return the pods of all namespaces that hold resources of a node."""
        done = "status.phase!=Succeeded,status.phase!=Failed"
        return self._list(self._core.list_pod_for_all_namespaces, field_selector=done)

    def nodes(self) -> tuple[Object, ...]:
        """Return the cluster's nodes."""
        return self._list(self._core.list_node)

    def warnings(self) -> tuple[Object, ...]:
        """Return the namespace's events other than those of type Normal."""
        return self._list(self._core.list_namespaced_event, self.namespace, field_selector="type!=Normal")

    def creations(self, job: str) -> tuple[Object, ...]:
        """Return the events by which a Job has made pods; the API keeps them for an hour."""
        selector = f"reason=SuccessfulCreate,involvedObject.kind=Job,involvedObject.name={job}"
        return self._list(self._core.list_namespaced_event, self.namespace, field_selector=selector)

    def claim(self, name: str) -> Object | None:
        """Return a PersistentVolumeClaim; None if there is none."""
        return self._read(self._core.read_namespaced_persistent_volume_claim, name, self.namespace)

    def pod(self, name: str) -> Object | None:
        """Return a pod; None if it is gone."""
        return self._read(self._core.read_namespaced_pod, name, self.namespace)

    def log(self, pod: str, container: str, **options: Any) -> str | None:
        """Return a container's log (options: tail_lines, limit_bytes, previous, timestamps); None if it has none."""
        with self._translate_errors():
            try:
                reply = self._core.read_namespaced_pod_log(
                    pod,
                    self.namespace,
                    container=container,
                    _preload_content=False,
                    _request_timeout=TIMEOUT,
                    **options,
                )
                return bytes(reply.data).decode(errors="replace")
            except ApiException as error:
                if error.status in (400, 404):  # 400: the container has not started; 404: its pod is gone
                    return None
                raise

    def follow(self, pod: str, container: str, **options: Any) -> Iterator[str]:
        """Yield the lines of a container's log as they come, with their ends, until it ends or the connection is lost.

        The last line may lack its end: the caller has to decide whether more of it is to come.
        """
        with self._translate_errors():
            reply = self._core.read_namespaced_pod_log(
                pod, self.namespace, container=container, follow=True, _preload_content=False,
                _request_timeout=(TIMEOUT[0], SILENCE_SECONDS), **options,
            )  # fmt: skip
            with contextlib.closing(reply):
                # Decoded line by line: a piece may end in the middle of a character.
                for line in lines(reply.stream(decode_content=False)):
                    yield line.decode(errors="replace")

    def change_job(self, name: str, change: Mapping[str, Any]) -> None:
        """Merge a change into a Job; nothing happens if it is gone."""
        with self._translate_errors():
            try:
                self._batch.patch_namespaced_job(
                    name, self.namespace, dict(change), field_manager=MANAGER, _request_timeout=TIMEOUT
                )
            except ApiException as error:
                if error.status != 404:
                    raise

    def release_from_queue(self, job: Object) -> None:
        """Deactivate a Job's workload in Kueue, if it is there: Kueue would undo a suspension that is not its own."""
        selector = f"{KUEUE}/job-uid={job['metadata'].get('uid', '')}"
        for version in KUEUE_VERSIONS:
            place = (KUEUE, version, self.namespace, "workloads")
            found = self._read(self._custom.list_namespaced_custom_object, *place, label_selector=selector)
            if found is None:  # 404: the cluster does not serve this version, or has no Kueue
                continue
            for workload in found["items"]:
                change = {"spec": {"active": False}}
                with self._translate_errors():
                    self._custom.patch_namespaced_custom_object(
                        *place, workload["metadata"]["name"], change, _request_timeout=TIMEOUT
                    )
            return

    def create_pod(self, pod: Mapping[str, Any]) -> str:
        """Create a pod and return its name."""
        with self._translate_errors():
            reply = self._core.create_namespaced_pod(
                self.namespace, dict(pod), field_manager=MANAGER, _preload_content=False, _request_timeout=TIMEOUT
            )
            return str(json.loads(reply.data)["metadata"]["name"])

    def delete_pod(self, name: str) -> None:
        """Delete a pod at once; nothing happens if it is gone."""
        with self._translate_errors():
            try:
                self._core.delete_namespaced_pod(
                    name, self.namespace, grace_period_seconds=0, _preload_content=False, _request_timeout=TIMEOUT
                )
            except ApiException as error:
                if error.status != 404:
                    raise

    def execute(self, pod: str, container: str, command: list[str]) -> Any:
        """Start a command in a container; returns the websocket of its channels, see `jobs.release.api.exec`."""
        with self._translate_errors():
            # binary: the output is a tar, which the client would decode as UTF-8.
            return stream(
                self._core.connect_get_namespaced_pod_exec, pod, self.namespace, container=container, command=command,
                stdin=False, stdout=True, stderr=True, tty=False, _preload_content=False, binary=True,
            )  # fmt: skip

    def _list(self, method: Any, *arguments: Any, **options: Any) -> tuple[Object, ...]:
        items: list[Object] = []
        with self._translate_errors():
            while True:
                reply = method(*arguments, limit=500, _preload_content=False, _request_timeout=TIMEOUT, **options)
                page = json.loads(reply.data)  # as JSON: the client's models refuse values of newer API versions
                # The server's clock, which the ages of events and pods are by; this machine's may be minutes off.
                self.now = parsedate_to_datetime(reply.headers["Date"]).timestamp()
                items += page["items"]
                options["_continue"] = page["metadata"].get("continue")
                if not options["_continue"]:
                    return tuple(items)

    def _read(self, method: Any, *arguments: Any, **options: Any) -> Object | None:
        with self._translate_errors():
            try:
                reply = method(*arguments, _preload_content=False, _request_timeout=TIMEOUT, **options)
            except ApiException as error:
                if error.status == 404:
                    return None
                raise
            return dict(json.loads(reply.data))

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Translate the client's errors into one line each."""
        try:
            yield
        except ApiException as error:
            raise explain(error.status or 0, _message(error), self.host) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterError(_unreachable(self.host, error)) from error


def explain(status: int, message: str, host: str) -> JobError:
    """Return the one-line error for an answer of the API: its HTTP status (0: none came) and its message."""
    if status == 401:
        return InputError(
            f"{host} does not accept the credentials of the kubeconfig (401): log in to the cluster again"
        )
    pattern = r'User "(.+?)" cannot (\w+) resource "([\w/]+)"(?: in API group "\S*")?(?: in the namespace "(\S+)")?'
    if status == 403 and (found := re.search(pattern, message)):
        user, verb, resource, namespace = found.groups()
        where = f"in namespace {namespace}" if namespace else "in the whole cluster"
        return Forbidden(
            f"{user} may not {verb} {resource} {where}: ask for a role with the verb {verb!r} on {resource!r} there"
        )
    if status in (0, 429) or status >= 500:
        return ClusterError(f"{host} could not answer ({status or 'connection lost'}: {message}); try again")
    return InputError(f"{host} refused the request ({status}): {message}")


def _message(error: ApiException) -> str:
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or "")
    try:
        text = str(json.loads(body)["message"])  # a Status object of the API; a proxy's answer may be anything
    except (ValueError, KeyError, TypeError):
        text = body or str(error.reason)
    return one_line(text)


def _unreachable(host: str, error: Exception) -> str:
    reason = one_line(getattr(error, "reason", None) or error)
    reason = re.sub(r"^<?\w*Connection.*?>?\)?: (?=\w)", "", reason)
    return f"the cluster at {host} cannot be reached ({reason}): is it up, is this the right kubeconfig and context?"


def _configure(configuration: Any, namespace: str | None, context: str | None, kubeconfig: str | None) -> str:
    """Fill in the client's configuration and return the namespace."""
    path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    # $KUBECONFIG may be several files, of which kubectl and the client merge those that exist.
    there = any(Path(part).expanduser().is_file() for part in path.split(os.pathsep) if part)
    load: Any = config
    try:
        # A kubeconfig, in a pod too, comes before the pod's account.
        if not there and kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            load.load_incluster_config(client_configuration=configuration)
            return namespace or SERVICE_ACCOUNT.read_text(encoding="utf-8").strip()
        if not there:
            raise InputError(
                f"there is no kubeconfig at {path}: name one by --kubeconfig or KUBECONFIG, "
                "or run where a service account is mounted"
            )
        # By default the client writes refreshed tokens into the user's kubeconfig.
        load.load_kube_config(path, context, client_configuration=configuration, persist_config=False)
        contexts, current = load.list_kube_config_contexts(path)
    except (config.ConfigException, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the kubeconfig {path} cannot be used: {' '.join(str(error).split())}") from error
    # An unknown context was refused above.
    chosen = next((entry for entry in contexts if entry["name"] == context), current)
    return namespace or str(chosen["context"].get("namespace") or "default")
