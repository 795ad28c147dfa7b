"""The likeliest classes of image files by a saved network."""

from __future__ import annotations

import csv
import io
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small

from jobs.alexnet.demo.images import ODD, demo_images
from jobs.alexnet.images import decode
from jobs.alexnet.predictions import predict, predictor, show
from jobs.cli import main
from jobs.datasets.prediction import open_rows, write_predictions
from jobs.errors import DataError, InputError
from jobs.keras.runtime import import_tensorflow
from jobs.runs.folder import RunFolder
from jobs.storage import Storage, open_storage

_, keras = import_tensorflow()
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras saves a model


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Storage:
    """Return a run folder with a network that was trained a little."""
    folder = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(1)
    model = small.narrow(learning_rate=0.005)
    model.fit(*small.images(300), batch_size=20, epochs=9, verbose=0)
    with warnings.catch_warnings():  # a mark does not reach fixtures of a module
        warnings.simplefilter("ignore", DeprecationWarning)
        model.save(folder / "model.keras")
    return open_storage(folder)


@pytest.fixture
def files(tmp_path) -> list[str]:
    """Return paths of images that the network has not seen."""
    items = list(demo_images(40, small.CLASSES, start=10_000))
    for item in items:
        (tmp_path / item.name).write_bytes(item.data)
    return [str(tmp_path / item.name) for item in items]


def test_predicts_what_was_learned(run, files):
    """Every image has its classes by falling probability, the right one first for nearly all; more than one batch."""
    found = predict(run, files, small.NAMES)
    assert [one.image for one in found] == files
    for one in found:
        names, probabilities = zip(*one.classes, strict=True)
        assert set(names) == set(small.NAMES)
        assert list(probabilities) == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    right = [Path(one.image).name.startswith(one.classes[0][0]) for one in found]
    assert np.mean(right) >= 0.8


def test_at_most_five_classes(tmp_path, files):
    """Of seven, the five likeliest; the resize is the run's."""
    small.create_model(7, 0.05, 64, 72).save(tmp_path / "model.keras")
    names = [f"class {number}" for number in range(7)]
    squashed, cropped = (predict(open_storage(tmp_path), files[:1], names, how) for how in ("squash", "crop"))
    assert len(squashed[0].classes) == 5
    assert squashed != cropped


@pytest.mark.parametrize(
    ("names", "path", "text"),
    [
        (small.NAMES[:4], "disc_10000.JPEG", "has 5 outputs, but 4 classes have names"),
        (small.NAMES, "missing.jpg", r"the image .*missing.jpg cannot be read: No such file or directory"),
        (small.NAMES, "text.jpg", r"the image .*text.jpg is no JPEG, PNG, GIF, WebP or BMP: it begins with b'text'"),
    ],
)
@pytest.mark.usefixtures("files")
def test_bad_input(run, tmp_path, names, path, text):
    """One line says which image, and why."""
    (tmp_path / "text.jpg").write_text("text")
    with pytest.raises(InputError, match=text):
        predict(run, [str(tmp_path / "ring_10003.JPEG"), str(tmp_path / path)], names)


def test_no_model(tmp_path, files):
    """A run that has not ended has none; a damaged one is named."""
    with pytest.raises(InputError, match=r"there is no .*model.keras: it is written when a run ends"):
        predict(open_storage(tmp_path), files, small.NAMES)
    (tmp_path / "model.keras").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"model.keras is damaged: it is no zip file"):
        predict(open_storage(tmp_path), files, small.NAMES)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(InputError, match=r"model.keras cannot be read: "):
        predict(open_storage(tmp_path), files, small.NAMES)


def test_shown(run, files, capsys):
    """A name of a class cannot control the terminal; a damaged result is an error of one line."""
    names = ["a\nb", "\x1b[31mred", *small.NAMES[2:]]
    shown = RunFolder(run.url, {}, {}, {"images": {"class_names": names}})
    show(shown, run, files[:1])
    text = capsys.readouterr().out
    assert len(text.splitlines()) == 1 + small.CLASSES
    assert "\x1b" not in text
    with pytest.raises(InputError, match=r"result.json of .* is damaged"):
        show(replace(shown, result={"job": "alexnet"}), run, files[:1])


def test_generated_images_depend_on_their_number_alone():
    """So validation images are not among those of training, and all odd formats occur."""
    first, later = list(demo_images(150, 8)), list(demo_images(10, 8, start=140))
    assert first[140:] == later
    assert [item.label for item in first[:9]] == [*range(8), 0]
    assert len({item.name for item in first}) == 150
    assert len({item.data[:3] for item in first}) == 5
    assert next(demo_images(1, 8, seed=1)).data != first[0].data
    turned = first[20 * ODD.index("TURNED")]
    assert b"Exif" in turned.data[:40]
    assert decode(turned.data).shape == (256, 256, 3)


def test_rows_of_arrays(run, tmp_path, capsys):
    """Images in arrays of the network's size are predicted as CSV, by the names of the classes; others are refused."""
    ended = RunFolder(run.url, {}, {}, {"images": {"class_names": small.NAMES}})
    x, y = small.images(20)
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    write_predictions(predictor(ended, run), open_rows(f"npz:{tmp_path}/rows.npz"), None)
    out = capsys.readouterr()
    header, *rows = csv.reader(io.StringIO(out.out))
    assert header == ["row", "predicted", *small.NAMES, "label"]
    assert [row[-1] for row in rows] == [small.NAMES[label] for label in y]
    right = sum(row[1] == row[-1] for row in rows)
    assert right >= 16
    assert out.err == f"dask-jobs: accuracy {right / 20:.2%}: {right} of 20 rows are predicted right\n"
    np.savez(tmp_path / "floats.npz", x=x / np.float32(255), y=y)
    for data, text in {
        "digits": "the network takes images of shape .*, but those of the data have .*: give image files",
        f"npz:{tmp_path}/floats.npz": "the model takes uint8, but the data are float32 that it does not hold",
    }.items():
        with pytest.raises(DataError, match=text):
            write_predictions(predictor(ended, run), open_rows(data), None)


def test_what_is_no_data_set(tmp_path, capsys):
    """A folder of tars, as the training takes, is none: the line says to give images."""
    (tmp_path / "options.yaml").write_text("job: alexnet")
    (tmp_path / "result.json").write_text('{"job": "alexnet"}')
    assert main(["predict", str(tmp_path), "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert f"or give images: dask-jobs predict {tmp_path} FILE..." in said
