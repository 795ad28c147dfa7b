"""The charts' values: one model with all defaults, descriptions and types.

values.yaml, values.schema.json and README.md of each chart are written from it by charts/generate.py; `job`, the job's
own options, is described by the job's `Options`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints

from jobs.release.plan.values_parts import (
    Bytes,
    Cpu,
    CpuLimit,
    Duration,
    Egress,
    Metadata,
    Name,
    NoneOrBytes,
    Peer,
    Placement,
    Section,
    Texts,
    Volume,
    VolumeMount,
)

Grace = Annotated[int, Field(ge=10)]
FileName = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$")]


class Image(Section):
    """The image of all pods."""

    registry: str = Field(default="", description="registry, such as ghcr.io; empty: the repository names it")
    repository: str = Field(default="localhost/dask-jobs", min_length=1, description="the image's name")
    tag: str = Field(default="", description="the image's tag; empty: the chart's appVersion")
    digest: Annotated[str, StringConstraints(pattern="^(sha256:[0-9a-f]{64})?$")] = Field(
        default="", description="sha256:... pins the image exactly; the tag is then ignored"
    )
    pullPolicy: Literal["Always", "IfNotPresent", "Never"] = Field(  # noqa: N815
        default="IfNotPresent", description="when the image is pulled"
    )
    pullSecrets: list[Name] = Field(default=[], description="names of secrets to pull it with")  # noqa: N815


class Workers(Placement):
    """The workers: one Indexed Job."""

    count: PositiveInt = Field(default=2, description="number of workers; may be changed while the job runs")
    min: PositiveInt | None = Field(default=None, description="minimum workers with which the job starts (null: count)")
    max: PositiveInt | None = Field(default=None, description="maximum workers, which the Job requests (null: count)")
    cpu: Cpu = Field(default="500m", description="requested cores of one worker")
    cpuLimit: CpuLimit = Field(default="", description="its limit of cores; empty: what the node has free")  # noqa: N815
    memory: Bytes = Field(default="1Gi", description="memory of one worker, request and limit")
    gpu: NonNegativeInt = Field(default=0, description="GPUs of one worker")
    gpuResource: str = Field(  # noqa: N815
        default="nvidia.com/gpu", min_length=1, description="what the cluster calls a GPU"
    )
    runtimeClassName: Name = Field(  # noqa: N815
        default="", description="RuntimeClass of the pods, such as nvidia; empty: the nodes' default runtime"
    )
    sharedMemory: NoneOrBytes = Field(  # noqa: N815
        default="", description="size of /dev/shm, which counts as memory of the worker; empty: the runtime's, 64 MB"
    )
    threads: PositiveInt | None = Field(
        default=None, description="compute threads of one worker (null: whole cores of cpu, at least 1)"
    )
    scratch: Bytes = Field(default="1Gi", description="maximum temporary disk space of one worker")
    backoffLimit: NonNegativeInt = Field(  # noqa: N815
        default=1000,
        description="maximum failures of all workers together; then none is restarted; disruptions do not count",
    )
    gracePeriod: Grace = Field(  # noqa: N815
        default=30, description="seconds that a worker has after SIGTERM to hand over its tasks"
    )


class Scheduler(Section):
    """Dask's scheduler, a sidecar of the driver."""

    cpu: Cpu = Field(default="100m", description="requested cores of the scheduler")
    memory: Bytes = Field(default="512Mi", description="memory of the scheduler, request and limit")


class Driver(Placement):
    """The driver: one Job with one pod."""

    cpu: Cpu = Field(default="250m", description="requested cores of the driver")
    cpuLimit: CpuLimit = Field(default="", description="its limit of cores; empty: what the node has free")  # noqa: N815
    memory: Bytes = Field(default="1Gi", description="memory of the driver, request and limit")
    scratch: Bytes = Field(default="1Gi", description="maximum temporary disk space of the driver")
    backoffLimit: NonNegativeInt = Field(  # noqa: N815
        default=6, description="retries of the driver after it was killed or lost its cluster"
    )
    gracePeriod: Grace = Field(  # noqa: N815
        default=30, description="seconds that the driver has after SIGTERM to save its state"
    )
    podDisruptionBudget: bool = Field(  # noqa: N815
        default=True, description="keep node drains from evicting the driver; it can still be deleted"
    )
    scheduler: Scheduler = Scheduler()


class Claim(Section):
    """A persistent volume for the run folder."""

    create: bool = Field(default=False, description="create a PersistentVolumeClaim for the run folder")
    name: Name = Field(default="", description="name of an existing claim to use instead")
    size: Bytes = Field(default="1Gi", description="size of the claim that is created")
    storageClass: str | None = Field(  # noqa: N815
        default=None, description="its StorageClass (null: the cluster's default)"
    )
    accessModes: list[  # noqa: N815
        Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]
    ] = Field(
        default=["ReadWriteOnce"],
        min_length=1,
        description="its access modes; only the driver's pod mounts it, and with ReadWriteMany the workers too if they "
        "write there",
    )
    keep: bool = Field(default=False, description="keep the claim when the release is uninstalled")


class Run(Section):
    """The run folder: S3, a claim, or else scratch space that is lost with the driver's pod."""

    s3: Annotated[str, StringConstraints(pattern=r"^(s3://[a-z0-9][a-z0-9.-]+(/.*)?)?$")] = Field(
        default="", description="s3://bucket/prefix under which the run folder is"
    )
    name: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$")] = Field(
        default="",
        description="the run folder's name; empty: the release's name and a hash of job and code, so that other "
        "options begin a new one",
    )
    claim: Claim = Claim()


class S3(Section):
    """How S3 is reached, for the run folder and for data."""

    endpoint: Annotated[str, StringConstraints(pattern=r"^(https?://[^/@]+/?)?$")] = Field(
        default="", description="http(s)://host:port of an S3 server; empty: AWS"
    )
    region: str = Field(default="", description="region of the buckets")
    credentialsSecret: Name = Field(  # noqa: N815
        default="",
        description="secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if need be, AWS_SESSION_TOKEN; empty: "
        "what the service account's annotations give",
    )


class ServiceAccount(Section):
    """The pods' service account; no pod gets its token."""

    create: bool = Field(default=True, description="create a service account")
    name: Name = Field(default="", description="its name; empty: the release's name, or default if none is created")
    annotations: Texts = Field(default={}, description="its annotations, such as the cloud role to assume")


class Tls(Section):
    """Encryption of all Dask traffic."""

    enabled: bool = Field(default=False, description="encrypt, and refuse peers without a certificate of the same CA")
    secret: Name = Field(default="", description="secret with ca.crt, tls.crt and tls.key, as cert-manager makes it")


class NetworkPolicy(Section):
    """Which peers reach the pods, and what the pods reach."""

    enabled: bool = Field(
        default=True, description="allow only the release's own pods, DNS, S3 where it is used, and what follows here"
    )
    dashboardFrom: list[Peer] = Field(default=[], description="peers that may reach the dashboard (8787)")  # noqa: N815
    schedulerFrom: list[Peer] = Field(  # noqa: N815
        default=[], description="peers that may reach the scheduler (8786): they can run code in the workers"
    )
    egress: list[Egress] = Field(default=[], description="more rules on what the pods may reach, such as a database")


class Deadlines(Section):
    """Deadlines of all waits, in seconds."""

    start: PositiveInt = Field(
        default=900,
        description="for the workers to join, also after all were lost; then the job fails with code 3. Kubernetes may "
        "wait 600 before it restarts a failed pod",
    )
    schedulerLost: PositiveInt = Field(  # noqa: N815
        default=600, description="for a worker without a scheduler; then its process ends"
    )
    job: PositiveInt = Field(default=604800, description="for the whole job; then it is stopped with its state saved")


class Metrics(Section):
    """Prometheus metrics of the scheduler, at /metrics of the dashboard's port."""

    podMonitor: bool = Field(  # noqa: N815
        default=False, description="create a PodMonitor; needs the Prometheus operator, and networkPolicy.dashboardFrom"
    )
    interval: Duration = Field(default="30s", description="interval of the scrapes")


class Values(Section):
    """All values of a chart."""

    image: Image = Image()
    workers: Workers = Workers()
    driver: Driver = Driver()
    job: dict[str, Any] = Field(default={}, description="the job's options, as on the command line")
    code: dict[FileName, str] = Field(
        default={},
        description="your own modules, on the Python path; file name -> text: "
        r"--set-file code.my_model\.py=my_model.py",
        json_schema_extra={"additionalProperties": False},
    )
    run: Run = Run()
    volumes: list[Volume] = Field(default=[], description="more volumes of all pods, such as a claim with data")
    volumeMounts: list[VolumeMount] = Field(default=[], description="where they are mounted")  # noqa: N815
    s3: S3 = S3()
    serviceAccount: ServiceAccount = ServiceAccount()  # noqa: N815
    tls: Tls = Tls()
    networkPolicy: NetworkPolicy = NetworkPolicy()  # noqa: N815
    deadlines: Deadlines = Deadlines()
    ttlSecondsAfterFinished: NonNegativeInt | None = Field(  # noqa: N815
        default=None, description="seconds after which the finished Jobs and their logs are deleted (null: never)"
    )
    suspend: bool = Field(default=False, description="create the Jobs, but no pods until it is false")
    queue: Name = Field(default="", description="LocalQueue of Kueue that admits the Jobs")
    podAnnotations: Metadata = Field(default={}, description="more annotations of all pods")  # noqa: N815
    podLabels: Metadata = Field(default={}, description="more labels of all pods")  # noqa: N815
    metrics: Metrics = Metrics()
