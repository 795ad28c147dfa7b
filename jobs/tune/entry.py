"""The job tune, as `jobs.registry` finds it."""

from jobs.job import Job

JOB = Job(
    name="tune",
    summary="find good hyperparameters: many trials on all workers, hopeless ones stopped early",
    steps="trials",
    options="jobs.tune.options:Options",
    run="jobs.tune.job:run",
    show="jobs.tune.summary:show",
    content="jobs.tune.report.content:content",
    predict="jobs.tune.network:predictor",
    estimate="jobs.tune.estimate:rows",
    results=(
        "best=best.value",
        "best trial=best.number",
        "hyperparameters=best.params",
        "complete=trials.complete",
        "pruned=trials.pruned",
        "failed=trials.failed",
    ),
    exact=("result.json:best", "result.json:front"),
    curve="jobs.tune.report.history:curve",
    files=("trials.json", "trials.csv", "model.keras", "journal/", "failures/", "checkpoints/"),
    beside_result="table of trials, journal, checkpoints",
)
