"""AlexNet: its arrays and their first values, crops and mirrors, the optimizer, and that it learns, on workers too."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import small
from clusters import clients
from serial_runs import bits, plan_of, trained

from jobs.alexnet.network import MEAN, WEIGHT_DECAY, create_model
from jobs.errors import InputError
from jobs.keras.runtime import import_tensorflow
from jobs.train import GradientAveraging, Replicas

tf, keras = import_tensorflow()
SHAPES = [
    (11, 11, 3, 64), (64,), (5, 5, 64, 192), (192,), (3, 3, 192, 384), (384,), (3, 3, 384, 256), (256,),
    (3, 3, 256, 256), (256,), (9216, 4096), (4096,), (4096, 4096), (4096,), (4096, 1000), (1000,),
]  # fmt: skip


def test_arrays_and_their_first_values():
    """16 trainable arrays of 61.1 million parameters; normal weights, biases 1 where the paper has them."""
    model = create_model()
    arrays = [variable.numpy() for variable in model.trainable_variables]
    assert [array.shape for array in arrays] == SHAPES
    assert sum(array.size for array in arrays) == 61_100_840
    assert [float(array.max()) for array in arrays[1::2]] == [0, 1, 0, 1, 1, 1, 1, 0]
    assert [float(array.min()) for array in arrays[1::2]] == [0, 1, 0, 1, 1, 1, 1, 0]
    for kernel in arrays[::2]:
        assert kernel.std() == pytest.approx(0.01, rel=0.02)
        assert abs(kernel.mean()) < 4e-4
    assert model.inputs[0].dtype == "uint8"
    assert model.input_shape == (None, 256, 256, 3)
    assert model.output_shape == (None, 1000)


def test_layers_are_kerass_own():
    """So a saved model is opened by Keras alone."""
    modules = {type(layer).__module__.partition(".")[0] for layer in small.narrow().layers}
    assert modules == {"keras"}


@pytest.mark.parametrize(("width", "scale"), [(1.0, 0.1), (0.25, 0.01)])
def test_width_and_first_scale(width, scale):
    """Filters and units by width; activations keep their size, as deviations grow with its root."""
    arrays = [one.numpy() for one in create_model(7, width, 64, 72, init_scale=scale).trainable_variables]
    assert arrays[2].shape == (5, 5, 64 * width, 192 * width)
    assert arrays[12].shape == (4096 * width, 4096 * width)
    assert arrays[14].shape == (4096 * width, 7)
    assert arrays[12].std() == pytest.approx(scale / width**0.5, rel=0.02)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [((56, 72), "image_size is 56, but must be at least 57"), ((80, 72), "image_size is 80, but images have 72")],
)
def test_sizes_that_do_not_fit(sizes, text):
    """They are found before the model is built."""
    with pytest.raises(InputError, match=text):
        create_model(5, 0.1, *sizes)


def test_smallest_crop():
    """57 pixels leave one after the last pooling."""
    assert create_model(5, 0.1, 57, 57).layers[-6].input.shape[1:3] == (1, 1)


def _crops(model):
    """Return the model's crops as uint8, a function of (images, training)."""
    cut = keras.Sequential([keras.Input((small.SOURCE, small.SOURCE, 3), dtype="uint8"), *model.layers[:4]])
    return lambda x, training: np.rint(cut(x, training=training).numpy() + np.array(MEAN)).astype(np.uint8)


def _found(image: np.ndarray, crop: np.ndarray) -> list[tuple[int, int, bool]]:
    """Return all (row, column, mirrored) where a crop lies in an image."""
    size, places = len(crop), range(len(image) - len(crop) + 1)
    return [
        (row, column, mirrored)
        for row in places
        for column in places
        for mirrored in (False, True)
        if np.array_equal(image[row : row + size, column : column + size][:, :: -1 if mirrored else 1], crop)
    ]


def test_crops_are_random_in_training_and_central_else():
    """Each image has a place of its own, unchanged pixels, and half of them are mirrored."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (300, small.SOURCE, small.SOURCE, 3), np.uint8)
    crops = _crops(small.narrow())
    places = [_found(image, crop) for image, crop in zip(x, crops(x, training=True), strict=True)]
    assert {len(found) for found in places} == {1}
    rows, columns, mirrored = (np.array(values) for values in zip(*(found[0] for found in places), strict=True))
    assert set(rows) == set(columns) == set(range(9))
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.2
    assert 0.4 < mirrored.mean() < 0.6
    assert np.array_equal(crops(x, training=False), x[:, 4:-4, 4:-4])


def _descended(optimizer, gradient: float, steps: int) -> float:
    """Return what is left of 1 after some steps down a constant gradient."""
    variable = keras.Variable(np.ones(1))
    optimizer.build([variable])
    for _ in range(steps):
        optimizer.apply([tf.constant([gradient])], [variable])
    return float(variable.numpy()[0])


def _papers(gradient: float, steps: int) -> float:
    """Return the same by the paper's rule, whose decay is in the velocity."""
    weight, velocity = 1.0, 0.0
    for _ in range(steps):
        velocity = 0.9 * velocity - 5e-4 * 0.01 * weight - 0.01 * gradient
        weight += velocity
    return weight


def test_momentum_and_decay_are_the_papers():
    """With a gradient, and without: what the decay takes is the paper's, but for its delay of nine steps."""
    build = small.narrow
    assert _descended(build().optimizer, 0.01, 20) == pytest.approx(_papers(0.01, 20), rel=1e-3)
    ours, papers = (1 - one for one in (_descended(build().optimizer, 0.0, 300), _papers(0.0, 309)))
    assert ours == pytest.approx(papers, rel=0.02)
    assert WEIGHT_DECAY == 5e-4


def test_plain_and_dropping_rates():
    """Plain is the gradient times the rate; a drop divides the rate by 10."""
    plain = small.narrow(plain_sgd=True, learning_rate=0.5).optimizer
    assert _descended(plain, 0.1, 3) == pytest.approx(0.85)
    dropping = small.narrow(plain_sgd=True, learning_rate=0.5, drop_steps=2).optimizer
    assert _descended(dropping, 0.1, 6) == pytest.approx(1 - 2 * (0.05 + 0.005 + 0.0005))


@pytest.mark.parametrize(("classes", "metrics"), [(5, ["top_1"]), (6, ["top_1", "top_5"])])
def test_top_5_of_more_classes(classes, metrics):
    """Of five classes all are among the likeliest five."""
    model = small.create_model(classes, 0.05, small.CROP, small.SOURCE)
    model.evaluate(np.zeros((1, small.SOURCE, small.SOURCE, 3), np.uint8), np.zeros(1), verbose=0)
    assert list(model.get_metrics_result()) == ["loss", *metrics]


def test_learns_on_workers_with_the_bits_of_one_process():
    """Two workers and none: equal weights, with random crops, mirrors and dropout; the loss falls."""
    data = small.images(128)
    slower = functools.partial(small.narrow, learning_rate=0.005)
    with clients() as client, Replicas(client(2), slower) as replicas:
        history = GradientAveraging(replicas, parts=2).fit(data, batch_size=16, epochs=12)
        on_workers = replicas.map(bits)
    assert list(history) == ["loss", "top_1"]
    assert history["loss"][0] > 1.5
    assert history["loss"][-1] < 1.0
    alone = trained(slower, plan_of(data, parts=2, batch_size=16), 96)
    assert on_workers == [bits(alone.replica.model)] * 2


def test_half_precision():
    """bfloat16 between the layers, float32 weights and probabilities, about the same result."""
    x, _ = small.images(8)
    models = [small.narrow(precision=precision) for precision in ("float32", "mixed_bfloat16")]
    models[1].set_weights(models[0].get_weights())
    full, half = (model(x, training=False).numpy() for model in models)
    assert {str(one.dtype) for one in models[1].trainable_variables} == {"float32"}
    assert half.dtype == np.float32
    assert 0 < np.abs(full - half).max() < 0.02
