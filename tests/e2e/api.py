"""Reading a namespace in the test's own process: each kubectl costs 0.2 s of CPU, and tests look twice a second."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

Object = dict[str, Any]


class Api:
    """One namespace, by the connection of KUBECONFIG.

    Attributes:
        namespace: its name.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    @cached_property
    def _client(self) -> Any:
        return config.new_client_from_config()

    def jobs(self, **labels: str) -> list[Object]:
        """Return the Jobs that have all labels (`instance=`, `component=`), the oldest first."""
        return self._items(client.BatchV1Api(self._client).list_namespaced_job, labels)

    def pods(self, **labels: str) -> list[Object]:
        """Return the pods that have all labels, the oldest first."""
        return self._items(client.CoreV1Api(self._client).list_namespaced_pod, labels)

    def log(self, pod: str, container: str) -> str:
        """Return what a container has written so far; '' if that cannot be read: it has not begun, say."""
        read = client.CoreV1Api(self._client).read_namespaced_pod_log
        try:
            answer = read(pod, self.namespace, container=container, _preload_content=False)
        except ApiException:
            return ""
        return str(answer.data.decode())

    def _items(self, read: Any, labels: dict[str, str]) -> list[Object]:
        selector = ",".join(f"app.kubernetes.io/{name}={value}" for name, value in labels.items())
        answer = read(self.namespace, label_selector=selector, _preload_content=False)
        found: list[Object] = json.loads(answer.data)["items"]
        return sorted(found, key=lambda item: item["metadata"]["creationTimestamp"])
