"""Causes of a Pending pod: image, no node, volumes, secrets, crashes of a sidecar."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jobs.formatting import one_line
from jobs.release.api.objects import Object, Objects, containers, name
from jobs.release.diagnosis.finding import Finding, oom, role_values

NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError",
            "RegistryUnavailable", "SignatureValidationFailed")  # fmt: skip
NO_CONFIG = ("CreateContainerConfigError",)
NO_START = ("CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun")
PREEMPTION = re.compile(r"\.? (?:no new claims to deallocate|not found$|not found[.,] preemption|preemption:)")
"""Begin of the second part of the scheduler's message: after why a pod has no node, what preemption would do."""
MOUNTS = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")


def pending_pod(role: str, pod: Object, objects: Objects) -> Iterator[Finding]:
    """Yield the causes that keep a pod of a role (driver, worker) from running; nothing for one that runs or starts."""
    where = f"{role} pod {name(pod)}"
    for item in pod.get("status", {}).get("conditions", ()):
        if item["type"] == "PodScheduled" and item["status"] == "False":
            yield _unscheduled(role, where, item, objects)
    for status in containers(pod):
        waiting = status.get("state", {}).get("waiting", {})
        if waiting:
            yield from _waiting(role, where, status, waiting, objects)
    if any("waiting" in status.get("state", {}) for status in containers(pod)):
        yield from _not_mounted(where, pod, objects)


def _unscheduled(role: str, where: str, item: Object, objects: Objects) -> Finding:
    reason = PREEMPTION.split(str(item.get("message", "")))[0].strip()
    if item.get("reason") == "SchedulingGated":
        return Finding("gated", where, "a scheduling gate holds it back", "what has set the gate must remove it")
    for sign, remedy in _place(role).items():
        if sign in reason:
            return Finding("unschedulable", where, f"no node for it: {reason}{_claims(sign, objects)}", remedy)
    remedy = f"give the cluster such a node, or change {role_values(role)}.nodeSelector, .tolerations or .affinity"
    return Finding("unschedulable", where, f"no node for it: {reason}", remedy)


def _place(role: str) -> dict[str, str]:
    """Return the remedy for a part of the scheduler's message; the first match counts."""
    values = role_values(role)
    return {
        "persistentvolumeclaim": "make the claim, or let the chart make it: run.claim.create=true",
        "PersistentVolumeClaim": "give the claim a volume: name a storage class (run.claim.storageClass) that the "
        "cluster has, or make a PersistentVolume that fits",
        "volume node affinity": "its volume is on other nodes than those that have room for the pod",
        "Insufficient nvidia.com/gpu": "no node has a free nvidia.com/gpu: add GPU nodes (with their device plugin), "
        "wait for one, or lower workers.gpu",
        "Insufficient memory": f"lower {values}.memory, or add larger nodes",
        "Insufficient cpu": f"lower {values}.cpu, or add nodes",
        "Insufficient ephemeral-storage": f"lower {values}.scratchRequest, or add nodes with larger disks",
        "Insufficient": f"the nodes lack what {values} asks for: lower it, or add nodes",
        "untolerated taint": f"add the taint to {values}.tolerations, or remove it from the nodes",
        "didn't match Pod's node affinity/selector": f"no node has the labels of {values}.nodeSelector or .affinity",
        "Too many pods": "the nodes are full: add nodes",
        "were unschedulable": "a node that is cordoned, as while it is drained, takes no new pods: kubectl uncordon "
        "NODE, or wait until it is back; the run then goes on",
    }


def _claims(sign: str, objects: Objects) -> str:
    """Return the state of unbound claims."""
    if not sign.lower().startswith("persistentvolumeclaim"):
        return ""
    pending = [claim for claim in objects.claims if claim.get("status", {}).get("phase") == "Pending"]
    texts = (
        f"; claim {name(claim)} is Pending with storage class {claim['spec'].get('storageClassName')!r}"
        for claim in pending
    )
    return "".join(texts)


def _waiting(role: str, where: str, status: Object, waiting: Object, objects: Objects) -> Iterator[Finding]:
    reason, message = str(waiting.get("reason", "")), one_line(waiting.get("message", ""))
    called = f"container {status['name']}"
    if reason in NO_IMAGE:
        yield Finding("image", where, _image(reason, str(status["image"]), message), _image_remedy(reason))
    elif reason in NO_CONFIG:
        remedy = "make what is missing in this namespace, or correct its name in the values"
        yield Finding("config", where, f"{called} cannot be made: {message}", remedy)
    elif reason in NO_START:
        remedy = f"is the image the right one? ({status['image']})"
        yield Finding("start", where, f"{called} cannot be started: {message}", remedy)
    elif reason == "CrashLoopBackOff":
        last = status.get("lastState", {}).get("terminated", {})
        code, count = last.get("exitCode"), status.get("restartCount", 0)
        if last.get("reason") == "OOMKilled":
            cause, remedy = oom(role, status["name"], objects, where)
            yield Finding("oom", where, cause, remedy)
            return
        cause = f"{called} ends again and again (exit code {code}, {count} restarts)"
        text = objects.logs.get((where.rpartition(" ")[2], status["name"]), "")
        yield Finding("crash", where, cause, "its last lines say why", log="\n".join(text.splitlines()[-5:]))


def _image(reason: str, image: str, message: str) -> str:
    if reason == "InvalidImageName":
        return f"{image!r} is no image name"
    if reason == "ErrImageNeverPull":
        return f"image {image} is not on the node, and image.pullPolicy is Never"
    cause = re.sub(r"^Back-off pulling image \S+: |^ErrImagePull: |.*desc = ", "", message)
    cause = re.sub(r"ErrImagePull: |.*desc = |failed to pull and unpack image \S+ ", "", cause)
    return f"image {image} cannot be pulled ({cause or reason})"


def _image_remedy(reason: str) -> str:
    if reason == "InvalidImageName":
        return "correct image.registry, image.repository and image.tag"
    if reason == "ErrImageNeverPull":
        return "load the image on every node, or set image.pullPolicy=IfNotPresent"
    return "check image.repository and image.tag; a private registry needs image.pullSecrets"


def _not_mounted(where: str, pod: Object, objects: Objects) -> Iterator[Finding]:
    for event in reversed(objects.events):
        if event["involvedObject"].get("name") == name(pod) and event["reason"] in MOUNTS:
            text = one_line(event["message"])
            remedy = "make the volume, secret or ConfigMap that it names in this namespace, or correct the values"
            yield Finding("mount", where, text, remedy)
            return
