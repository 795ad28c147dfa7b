"""The job train, as `jobs.registry` finds it."""

from jobs.job import Job

JOB = Job(
    name="train",
    summary="train a Keras model data-parallel, with the same bits for any number of workers",
    steps="steps",
    options="jobs.train.options:Options",
    run="jobs.train.job:run",
    show="jobs.train.summary:show",
    content="jobs.train.report.content:content",
    estimate="jobs.train.estimate:rows",
    predict="jobs.train.predictions:predictor",
    results=("val_loss=history.val_loss.-1", "*=history.*.-1", "epochs=epochs", "steps=steps"),
    exact=("weights.npz",),
    curve="jobs.train.report.content:curve",
    files=("history.csv", "model.keras", "weights.npz", "tensorboard/", "checkpoints/"),
    resume_only=("checkpoints/",),
    beside_result="model, weights, history",
)
