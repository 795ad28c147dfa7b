"""Decoding: each format, colour space and orientation upright in RGB; what cannot be read is named, never grey."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pictures
import pytest
import simplejpeg
from pictures import BLUE, GREEN, RED, WHITE, corners, encoded, near, photo, quarters, turned
from PIL import Image

from jobs.alexnet.images import BadImageError, decode, decode_all, decoder_version
from jobs.alexnet.images.bad import MAX_PIXELS
from jobs.alexnet.images.jpeg import JpegDecoder

WANTED = [RED, GREEN, BLUE, WHITE]
RNG = np.random.default_rng(0)
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")


@pytest.mark.parametrize("kind", FORMATS)
def test_formats(kind):
    """The bytes decide the format; the result is square, uint8 and RGB."""
    pixels = decode(encoded(quarters(), kind))
    assert pixels.shape == (256, 256, 3)
    assert pixels.dtype == np.uint8
    assert near(corners(pixels), WANTED)


def _frames(kind: str) -> bytes:
    return encoded(quarters(), kind, save_all=True, append_images=[Image.new("RGB", (120, 80))], duration=100)


def _cmyk_of_photoshop() -> bytes:
    """YCCK, with Adobe's marker, inverted, colours at half the resolution."""
    cmyk = 255 - np.array(quarters().convert("CMYK"))
    return simplejpeg.encode_jpeg(np.ascontiguousarray(cmyk), 98, "CMYK", "420")


def _without_adobe() -> bytes:
    """CMYK as it is meant where no Adobe marker says that it is inverted."""
    data = encoded(Image.fromarray(255 - np.array(quarters().convert("CMYK")), "CMYK"))
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


@pytest.mark.parametrize(
    "data",
    [
        _frames("GIF"),
        _frames("WEBP"),
        encoded(quarters().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        encoded(quarters(), progressive=True),
        encoded(quarters(), keep_rgb=True),
        encoded(quarters().convert("CMYK")),
        _cmyk_of_photoshop(),
        cv2.imencode(".png", np.array(quarters())[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes(),
        encoded(quarters()) + b"trailing bytes",
    ],
    ids=["gif", "webp", "palette", "progressive", "rgb", "cmyk", "ycck", "16-bit", "trailing"],
)
def test_kinds_of_colour(data):
    """Frames, palettes, colour spaces and depths end as the same RGB."""
    assert near(corners(decode(data)), WANTED)


def test_cmyk_that_is_not_inverted():
    """Without Adobe's marker CMYK is ink, not light."""
    assert near(corners(decode(_without_adobe())), WANTED)


@pytest.mark.parametrize("mode", ["L", "1", "I;16"])
def test_grey(mode):
    """Grey of 1, 8 and 16 bits has three equal channels of the right brightness."""
    ramp = np.repeat(np.linspace(0, 255, 64, dtype=np.uint8)[None], 64, axis=0)
    image = Image.fromarray(ramp.astype(np.uint16) * 257 if mode == "I;16" else ramp)
    pixels = decode(encoded(image.convert("1", dither=Image.Dither.NONE) if mode == "1" else image, "PNG"))
    assert (pixels == pixels[:, :, :1]).all()
    wanted = (0, 255) if mode == "1" else (31, 223)
    assert np.abs(pixels[0, [32, -32], 0].astype(int) - wanted).max() <= 2
    if mode == "L":
        assert np.abs(decode(encoded(image)).astype(int) - pixels).max() <= 3


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_white(mode):
    """What lies below them, here black, does not show."""
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((200, 200, 200, 255), (0, 0, 20, 40))
    pixels = decode(encoded(image.convert(mode), "PNG"))
    grey = (200, 200, 200)
    assert near(corners(pixels), [grey, WHITE, grey, WHITE], 1)


UPRIGHT = {
    1: [RED, GREEN, BLUE, WHITE],
    2: [GREEN, RED, WHITE, BLUE],
    3: [WHITE, BLUE, GREEN, RED],
    4: [BLUE, WHITE, RED, GREEN],
    5: [RED, BLUE, GREEN, WHITE],
    6: [BLUE, RED, WHITE, GREEN],
    7: [WHITE, GREEN, BLUE, RED],
    8: [GREEN, WHITE, RED, BLUE],
}
"""EXIF's orientation -> the quarters as they are seen."""


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientations(orientation):
    """Both byte orders, in a JPEG, a PNG and a WebP, with and without a crop."""
    for kind in ("JPEG", "PNG", "WEBP"):
        data = turned(quarters(), orientation, kind)
        assert near(corners(decode(data)), UPRIGHT[orientation]), kind
        assert near(corners(decode(data, resize="crop")), UPRIGHT[orientation]), kind
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)
    assert near(corners(decode(encoded(quarters(), exif=exif))), UPRIGHT[orientation])


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0", b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x09"],
)
def test_broken_exif_is_as_none(exif):
    """The image itself is whole."""
    assert near(corners(decode(encoded(quarters(), exif=exif))), WANTED)


def test_an_orientation_of_no_meaning_is_as_none():
    """Cameras write 0, and EXIF knows no 9."""
    assert near(corners(decode(turned(quarters(), 9))), WANTED)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("resize", ["squash", "crop"])
def test_one_pixel(kind, resize):
    """An image of one pixel fills the square."""
    pixels = decode(encoded(Image.new("RGB", (1, 1), RED), kind), resize=resize)
    assert np.abs(pixels.astype(int) - RED).max() <= 8


@pytest.mark.parametrize("kind", FORMATS)
def test_cut_short(kind):
    """A file that ends early is unreadable at any length."""
    data = encoded(Image.fromarray(photo(RNG, 60, 40)), kind)
    for length in {1, 4, 20, len(data) // 10, len(data) // 2, len(data) * 9 // 10, len(data) - 40}:
        with pytest.raises(BadImageError) as caught:
            decode(data[:length])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_jpeg_whose_middle_is_missing_or_zero(options):
    """Damage that leaves the end of the file is found too: most decoders only warn of it and fill with grey."""
    data = encoded(Image.fromarray(photo(RNG, 300, 200)), **options)
    half = len(data) // 2
    for damaged in (data[:half] + b"\xff\xd9", data[:half] + bytes(40) + data[half + 40 :], data[:half] + data[-40:]):
        with pytest.raises(BadImageError, match="is a damaged JPEG: "):
            decode(damaged)


def test_jpeg_of_unknown_subsampling():
    """Sampling factors that libjpeg-turbo has no name for, such as 1 x 4, are a damaged image, not a failed worker."""
    data = bytearray(encoded(quarters()))
    data[data.index(b"\xff\xc0") + 11] = 0x14
    with pytest.raises(BadImageError, match="is a damaged JPEG: its colour space or subsampling is unknown"):
        decode(bytes(data))


def test_what_is_no_image_is_named_by_its_first_bytes():
    """So that a page of HTML under an image's name is seen as such."""
    with pytest.raises(BadImageError, match=r"is no JPEG, PNG, GIF, WebP or BMP: it begins with b'<!DOCTYP'"):
        decode(b"<!DOCTYPE html>")
    with pytest.raises(BadImageError, match="it is empty"):
        decode(b"")


def _png(width: int, height: int) -> bytes:
    """Return a PNG's header and no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + encoded(Image.new("RGB", (1, 1)), "PNG")[33:]


def _with_size(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) == 1
    return data.replace(old, new)


@pytest.mark.parametrize("width", [7072, 30_000], ids=["above", "far above"])
@pytest.mark.parametrize("kind", [*FORMATS, "WEBP lossless", "WEBP extended"])
def test_bombs(kind, width):
    """The header's size decides, before any memory is taken for pixels."""
    high = min(width, 16_383) if kind.startswith("WEBP") else width
    small = Image.new("RGB", (1237, 1239))
    if kind == "PNG":
        data = _png(high, high)
    elif kind == "JPEG":
        data = _with_size(encoded(small), struct.pack(">HH", 1239, 1237), struct.pack(">HH", high, high))
    elif kind == "GIF":
        data = encoded(small, kind)
        data = data[:6] + struct.pack("<HH", high, high) + data[10:]
    elif kind == "BMP":
        data = encoded(Image.new("RGB", (2, 2)), kind)
        data = data[:18] + struct.pack("<ii", high, high) + data[26:]
    elif kind == "WEBP lossless":
        data = encoded(small, "WEBP", lossless=True)
        data = data[:21] + struct.pack("<I", high - 1 | high - 1 << 14) + data[25:]
    elif kind == "WEBP extended":
        data = turned(small, 6, "WEBP")
        data = data[:24] + struct.pack("<I", high - 1)[:3] * 2 + data[30:]
    else:
        data = _with_size(encoded(small, kind), struct.pack("<HH", 1237, 1239), struct.pack("<HH", high, high))
    with pytest.raises(BadImageError, match=f"has {high:,} x {high:,} pixels, more than 50,000,000"):
        decode(data)
    assert high * high > MAX_PIXELS


def test_resizing_squashes_or_crops():
    """A wide image: squash keeps all of it, crop the square of its centre."""
    image = Image.new("RGB", (300, 100), RED)
    image.paste(GREEN, (100, 0, 200, 100))
    squashed, cropped = decode(encoded(image)), decode(encoded(image), resize="crop")
    assert near([tuple(squashed[128, at]) for at in (10, 128, 245)], [RED, GREEN, RED])
    assert near([tuple(cropped[128, at]) for at in (10, 128, 245)], [GREEN, GREEN, GREEN])


@pytest.mark.parametrize("resize", ["squash", "crop"])
@pytest.mark.parametrize("size", [(500, 375), (375, 500), (640, 480), (900, 700), (1600, 300), (90, 60)])
def test_as_close_to_a_careful_resize_as_opencv(size, resize):
    """Against Pillow's antialiased filter: as near as OpenCV's linear one, nearer where that leaves pixels out."""
    whole = photo(RNG, *size)
    data = encoded(Image.fromarray(whole), subsampling=2)
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if resize == "crop":
        side = min(size)
        top, left = (size[1] - side) // 2, (size[0] - side) // 2
        stored = stored[top : top + side, left : left + side]
    careful = np.asarray(Image.fromarray(stored).resize((256, 256), Image.Resampling.BICUBIC)).astype(float)
    mine, plain = decode(data, resize=resize), cv2.resize(stored, (256, 256))
    limit = 0.6 if max(stored.shape) > 512 else 1.02
    assert np.mean((mine - careful) ** 2) <= limit * np.mean((plain - careful) ** 2)


@pytest.mark.parametrize(
    ("size", "decoded"), [((511, 600), (600, 511)), ((1024, 513), (257, 512)), ((1025, 2047), (512, 257))]
)
def test_large_jpegs_are_decoded_at_a_part_of_their_size(size, decoded):
    """Halved as long as both sides have the pixels that are wanted."""
    pixels, _ = JpegDecoder().decode(encoded(Image.new("RGB", size)), 256)
    assert pixels.shape == (*decoded, 3)


def test_many_at_once_into_a_mapped_file(tmp_path):
    """Unreadable ones leave no gap and are named; the rest is what each one gives alone, in order, in the file."""
    good = [encoded(Image.fromarray(photo(RNG, width, 150))) for width in (100, 700, 130, 500)]
    good[2] = turned(quarters(), 6)
    items = [("a.JPEG", good[0]), ("b.JPEG", b"no"), *((f"{number}.JPEG", good[number]) for number in (1, 2, 3))]
    items.insert(4, ("cut.JPEG", good[3][:-9]))
    out = np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, (6, 64, 64, 3))
    images, kept, bad = decode_all(iter(items), out, "crop")
    assert kept.tolist() == [0, 2, 3, 5]
    assert [name for name, _ in bad] == ["b.JPEG", "cut.JPEG"]
    assert bad[1][1] == "is a damaged JPEG: Premature end of JPEG file"
    assert np.shares_memory(images, out)
    out.flush()
    stored = np.load(tmp_path / "images.npy")
    for number, data in enumerate(good):
        assert np.array_equal(stored[number], decode(data, 64, "crop"))


def test_more_images_than_rows():
    """They are an error, not lost."""
    data = encoded(quarters())
    with pytest.raises(IndexError):
        decode_all([("a", data), ("b", data)], np.empty((1, 8, 8, 3), np.uint8))


def test_versions_that_decide_the_bits():
    """A run's identity has them."""
    assert decoder_version().startswith(f"simplejpeg {simplejpeg.__version__}, OpenCV {cv2.__version__}, Pillow ")
    assert pictures.Image.__version__ in decoder_version()
