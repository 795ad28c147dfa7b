"""The job minimize, as `jobs.registry` finds it."""

from jobs.job import Job

JOB = Job(
    name="minimize",
    summary="minimize a loss summed over much data, by any of SciPy's optimizers",
    steps="iterations",
    options="jobs.minimize.options:Options",
    run="jobs.minimize.job:run",
    show="jobs.minimize.display.summary:show",
    content="jobs.minimize.report.content:content",
    estimate="jobs.minimize.estimate:rows",
    predict="jobs.minimize.predictions:predictor",
    check="jobs.minimize.checking:check",
    logged="jobs.minimize.logged:logged",
    results=(
        "loss=fun",
        "accuracy=accuracy",
        "largest gradient entry=gradient_norm",
        "iterations=nit",
        "evaluations=nfev",
        "rows per second=diagnostics.rows_per_second",
    ),
    exact=("x.npy",),
    curve="jobs.minimize.report.history:curve",
    files=("history.csv", "x.npy", "warm.npy", "journal/", "journal-full"),
    resume_only=("journal/",),
    beside_result="history, journal",
)
