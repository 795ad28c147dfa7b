"""The job pi, as `jobs.registry` finds it."""

from jobs.job import Job

JOB = Job(
    name="pi",
    summary="estimate pi from random points",
    steps="steps",
    options="pi_job.job:Options",
    run="pi_job.job:run",
    show="pi_job.job:show",
    content="pi_job.job:content",
    estimate="pi_job.job:estimate",
    files=("steps.json",),
    beside_result="points of each step",
)
