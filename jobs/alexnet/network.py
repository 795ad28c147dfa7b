"""AlexNet in Keras: the factory of the model that is trained."""

from __future__ import annotations

from typing import Any, Literal

from jobs.errors import InputError, argument
from jobs.keras.runtime import import_tensorflow

CLASSES, IMAGE_SIZE, SOURCE_SIZE = 1000, 224, 256
SMALLEST_IMAGE = 57
"""Pixels of a side below which the third pooling has nothing left."""
MEAN = (123.7, 116.3, 103.5)
"""ImageNet's mean red, green and blue, which is subtracted."""
CONVOLUTIONS = ((64, 11, 4, 0, True), (192, 5, 1, 1, True), (384, 3, 1, 0, False), (256, 3, 1, 1, False),
                (256, 3, 1, 1, True))  # fmt: skip
"""Filters, kernel, stride, initial bias, and whether 3 x 3 max pooling of stride 2 follows."""
UNITS = (4096, 4096)
DROPOUT, MOMENTUM, WEIGHT_DECAY, DROP = 0.5, 0.9, 5e-4, 0.1
Precision = Literal["float32", "mixed_bfloat16"]


def create_model(
    classes: int = CLASSES,
    width: float = 1.0,
    image_size: int = IMAGE_SIZE,
    source_size: int = SOURCE_SIZE,
    *,
    init_scale: float = 0.01,
    learning_rate: float = 0.01,
    drop_steps: int | None = None,
    plain_sgd: bool = False,
    precision: Precision = "float32",
) -> Any:
    """Return AlexNet, compiled: 16 trainable arrays, at 1,000 classes 61,100,840 parameters.

    It is the single tower of Krizhevsky (2014, "One weird trick for parallelizing convolutional neural networks") with
    the paper's initialization and training of 2012. Images enter as uint8, (rows, source_size, source_size, 3); in
    training each one is cut at random to image_size and mirrored with probability 1/2, else its centre is taken. All
    layers are Keras's own, so `keras.models.load_model` opens a saved model without this package. Local response
    normalization is left out: it takes a tenth of a step, and is no layer of Keras's.

    Weights are normal with deviation init_scale / sqrt(width), so that activations of a narrow network have the same
    size; biases are 1 in convolutions 2, 4, 5 and hidden dense layers, else 0. The paper's weight decay, 5e-4 of each
    weight and bias within the gradient, is Keras's decoupled one at 5e-4 / (1 - momentum), which is what it sums up
    to: the loss stays the cross-entropy, and parts of a step do not each compute the norm of all weights.

    Args:
        classes: number of classes; labels are integers from 0.
        width: factor of filters and hidden units.
        image_size: pixels of a side of the crops, at least 57.
        source_size: pixels of a side of the images, at least image_size.
        init_scale: standard deviation of initial weights at width 1. At 0.1 the first loss is of the order of a
            million, and rates above 1e-6 were seen to end in NaN.
        learning_rate: of SGD, at the start.
        drop_steps: steps after which the learning rate is divided by 10, again and again; None: never.
        plain_sgd: without momentum and weight decay.
        precision: Keras's dtype policy; weights are float32 in any case.

    Raises:
        InputError: image_size is too small, or larger than source_size.
    """
    _check_sizes(image_size, source_size)
    _, keras = import_tensorflow()
    body = _convolutions(keras, width, init_scale, precision) + _dense(keras, classes, width, init_scale, precision)
    model = keras.Sequential(
        [keras.Input((source_size, source_size, 3), dtype="uint8"), *_crops(keras, image_size, source_size), *body],
        name="alexnet",
    )
    model.compile(
        optimizer=_optimizer(keras, learning_rate, drop_steps, plain=plain_sgd),
        loss="sparse_categorical_crossentropy",
        metrics=_metrics(keras, classes),
    )
    return model


def _metrics(keras: Any, classes: int) -> list[Any]:
    """Return top-1, and top-5 where there are more classes: of five it is 1, whatever the network does."""
    top_1 = keras.metrics.SparseCategoricalAccuracy(name="top_1")
    return [top_1, keras.metrics.SparseTopKCategoricalAccuracy(5, name="top_5")] if classes > 5 else [top_1]


def _check_sizes(image_size: int, source_size: int) -> None:
    if image_size < SMALLEST_IMAGE:
        raise InputError(f"{argument('image_size')} is {image_size}, but must be at least {SMALLEST_IMAGE}")
    if image_size > source_size:
        raise InputError(f"{argument('image_size')} is {image_size}, but images have {source_size} pixels a side")


def _crops(keras: Any, image_size: int, source_size: int) -> list[Any]:
    """Return the layers from uint8 images to centred crops; pixels stay whole numbers up to the last one."""
    layers = keras.layers
    # Shifted by whole pixels, then cut at the centre: RandomCrop would cut all images of a batch at the same place.
    shift = (source_size - image_size) / 2 / source_size
    return [
        layers.RandomTranslation(shift, shift, "constant", "nearest", dtype="uint8"),
        layers.CenterCrop(image_size, image_size, dtype="uint8"),
        layers.RandomFlip("horizontal", dtype="uint8"),
        layers.Rescaling(1.0, offset=[-mean for mean in MEAN], dtype="float32"),
    ]


def _convolutions(keras: Any, width: float, init_scale: float, precision: str) -> list[Any]:
    layers = []
    for filters, kernel, stride, bias, pooled in CONVOLUTIONS:
        start = _initializers(keras, width, init_scale, bias)
        layers.append(
            keras.layers.Conv2D(
                _scaled(filters, width), kernel, stride, "same", activation="relu", dtype=precision, **start
            )
        )
        if pooled:
            layers.append(keras.layers.MaxPooling2D(3, 2, dtype=precision))
    return layers


def _dense(keras: Any, classes: int, width: float, init_scale: float, precision: str) -> list[Any]:
    layers = [keras.layers.Flatten(dtype=precision)]
    for units in UNITS:
        start = _initializers(keras, width, init_scale, 1)
        layers.append(keras.layers.Dense(_scaled(units, width), activation="relu", dtype=precision, **start))
        layers.append(keras.layers.Dropout(DROPOUT, dtype=precision))
    start = _initializers(keras, width, init_scale, 0)
    return [*layers, keras.layers.Dense(classes, activation="softmax", dtype="float32", **start)]


def _scaled(count: int, width: float) -> int:
    return max(1, round(count * width))


def _initializers(keras: Any, width: float, init_scale: float, bias: int) -> dict[str, Any]:
    return {
        "kernel_initializer": keras.initializers.RandomNormal(stddev=init_scale / width**0.5),
        "bias_initializer": keras.initializers.Constant(bias),
    }


def _optimizer(keras: Any, learning_rate: float, drop_steps: int | None, *, plain: bool) -> Any:
    rate: Any = learning_rate
    if drop_steps is not None:
        rate = keras.optimizers.schedules.ExponentialDecay(learning_rate, drop_steps, DROP, staircase=True)
    if plain:
        return keras.optimizers.SGD(rate)
    return keras.optimizers.SGD(rate, MOMENTUM, weight_decay=WEIGHT_DECAY / (1 - MOMENTUM))
