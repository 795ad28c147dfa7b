"""The job alexnet, as `jobs.registry` finds it."""

from jobs.job import Job

JOB = Job(
    name="alexnet",
    summary="train AlexNet on labelled images in tar files, from S3 or a folder",
    steps="steps",
    options="jobs.alexnet.options:Options",
    run="jobs.alexnet.job:run",
    show="jobs.alexnet.display.summary:show",
    content="jobs.alexnet.display.report:content",
    predict="jobs.alexnet.predictions:predictor",
    predict_files="jobs.alexnet.predictions:show",
    results=("val_loss=history.val_loss.-1", "*=history.*.-1", "epochs=epochs", "steps=steps", "images=images.count"),
    exact=("weights.npz",),
    curve="jobs.train.report.content:curve",
    files=("index.npz", "history.csv", "model.keras", "weights.npz", "tensorboard/", "checkpoints/"),
    resume_only=("index.npz", "checkpoints/"),
    beside_result="model, weights, history",
)
