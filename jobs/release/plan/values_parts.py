"""Types of the charts' values, and the parts that several sections share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints

OWN_KEYS = r"^(app\.kubernetes\.io|dask-jobs)/"
"""Labels and annotations that the charts set; a value that replaced one would break a selector."""

_CPU = r"([1-9][0-9]*(\.[0-9]+)?|0\.[0-9]*[1-9][0-9]*)m?"
Cpu = Annotated[str, StringConstraints(pattern=f"^{_CPU}$")] | Annotated[float, Field(gt=0)]
"""Cores as Kubernetes writes them: "500m", "2", 2, 0.5."""
CpuLimit = Annotated[str, StringConstraints(pattern=f"^({_CPU})?$")] | Annotated[float, Field(gt=0)]
_BYTES = r"[1-9][0-9]*(\.[0-9]+)?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)"
Bytes = Annotated[str, StringConstraints(pattern=f"^{_BYTES}$")]
"""Bytes as Kubernetes writes them; the unit is required, since memory: 4 would be 4 bytes."""
NoneOrBytes = Annotated[str, StringConstraints(pattern=f"^({_BYTES})?$")]
Name = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$")]
"""A Kubernetes object's name, or empty."""
Duration = Annotated[str, StringConstraints(pattern=r"^([0-9]+(ms|s|m|h))+$")]
_KEYS: dict[str, Any] = {
    "pattern": r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
    "maxLength": 317,
}
"""Keys of labels and annotations: a name, before it at times a domain and a slash."""
_OTHER_KEYS = {"propertyNames": _KEYS | {"not": {"pattern": OWN_KEYS}}}
_LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
NodeLabels = Annotated[dict[str, _LabelValue], Field(json_schema_extra={"propertyNames": _KEYS})]
Annotations = Annotated[dict[str, str], Field(json_schema_extra={"propertyNames": _KEYS})]
PodLabels = Annotated[dict[str, _LabelValue], Field(json_schema_extra=_OTHER_KEYS)]
PodAnnotations = Annotated[dict[str, str], Field(json_schema_extra=_OTHER_KEYS)]
GpuResource = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
]
"""The name of an extended resource: a domain, a slash, a name; so none of Kubernetes' own, such as cpu."""
Given = dict[str, Any]
"""An object that is passed to Kubernetes unchanged."""


class Section(BaseModel):
    """A map of values; a key that it does not have is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Env(Section):
    """One environment variable."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    value: str | None = None
    valueFrom: Given | None = None  # noqa: N815  Kubernetes's name


class Toleration(Section):
    """One toleration of a pod."""

    key: str | None = None
    operator: Literal["Exists", "Equal", "Lt", "Gt"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = None  # noqa: N815


class Affinity(Section):
    """Affinity of pods to nodes and to other pods."""

    nodeAffinity: Given | None = None  # noqa: N815
    podAffinity: Given | None = None  # noqa: N815
    podAntiAffinity: Given | None = None  # noqa: N815


class Spread(Section):
    """One constraint on how pods are spread; without a labelSelector it counts the role's own pods of this run."""

    maxSkew: PositiveInt  # noqa: N815
    topologyKey: str  # noqa: N815
    whenUnsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]  # noqa: N815
    labelSelector: Given | None = None  # noqa: N815
    matchLabelKeys: list[str] | None = None  # noqa: N815
    minDomains: PositiveInt | None = None  # noqa: N815
    nodeAffinityPolicy: Literal["Honor", "Ignore"] | None = None  # noqa: N815
    nodeTaintsPolicy: Literal["Honor", "Ignore"] | None = None  # noqa: N815


class Volume(BaseModel):
    """One volume of a pod, of any of Kubernetes's kinds."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str


class VolumeMount(Section):
    """Where a volume is mounted."""

    name: str
    mountPath: Annotated[str, StringConstraints(pattern="^/")]  # noqa: N815
    subPath: str | None = None  # noqa: N815
    subPathExpr: str | None = None  # noqa: N815
    readOnly: bool | None = None  # noqa: N815
    mountPropagation: str | None = None  # noqa: N815
    recursiveReadOnly: str | None = None  # noqa: N815


class Peer(Section):
    """A peer of a NetworkPolicy: a source or a destination that it allows."""

    podSelector: Given | None = None  # noqa: N815
    namespaceSelector: Given | None = None  # noqa: N815
    ipBlock: Given | None = None  # noqa: N815


class Egress(Section):
    """One more rule on what the release's pods may reach."""

    to: list[Peer] | None = None
    ports: list[Given] | None = None


class Placement(Section):
    """The nodes of a role's pods, and additions to the pods."""

    nodeSelector: NodeLabels = Field(default={}, description="labels that a node must have")  # noqa: N815
    tolerations: list[Toleration] = Field(default=[], description="taints of nodes that the pods tolerate")
    affinity: Affinity = Field(default=Affinity(), description="nodes and pods to be placed near to, or far from")
    topologySpreadConstraints: list[Spread] = Field(  # noqa: N815
        default=[], description="how the pods are spread; a constraint without labelSelector counts this role's pods"
    )
    priorityClassName: Name = Field(default="", description="PriorityClass of the pods")  # noqa: N815
    env: list[Env] = Field(
        default=[], description="more environment variables; one of the chart's own names replaces the chart's"
    )
    podAnnotations: PodAnnotations = Field(default={}, description="more annotations of the pods")  # noqa: N815
    podLabels: PodLabels = Field(default={}, description="more labels of the pods")  # noqa: N815
