"""Encoders of pictures, each on a small model that its library saved."""

from __future__ import annotations

import numpy as np
import pytest

from pyg_mmrec import encode
from pyg_mmrec.encoding import encoder
from pyg_mmrec.encoding.images import open_image
from pyg_mmrec.errors import MMRecError
from tests.encoding import models

Image = pytest.importorskip("PIL.Image")


def test_colours_tell_pictures_apart(tmp_path) -> None:
    paths = []
    for name, colour in (("a", "red"), ("b", (250, 10, 10)), ("c", "navy")):
        Image.new("RGB", (40, 60), colour).save(tmp_path / f"{name}.png")
        paths.append(tmp_path / f"{name}.png")
    x = encode(paths, "colours", kind="image")
    assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    assert x[0] @ x[1] > x[0] @ x[2] + 0.1
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::8] = 255
    for name, x in (("down", stripes), ("across", stripes.transpose(1, 0, 2))):
        Image.fromarray(x).save(tmp_path / f"{name}.png")
    lines = [tmp_path / f"{name}.png" for name in ("down", "across")]
    x = encode(lines, "colours", kind="image")
    assert x[0] @ x[1] < 0.9


@pytest.mark.parametrize("library", ["vit", "clip", "timm", "open_clip"])
def test_small_models_of_each_library(tmp_path, library) -> None:
    folder = getattr(models, library)(tmp_path / "model")
    paths = models.pictures(tmp_path / "images")
    x = encode(paths, str(folder), kind="image", cache=tmp_path / "kept", batch_size=3)
    assert x.shape[0] == 7
    assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    assert len(np.unique(x.round(4), axis=0)) == 7
    again = encode(paths[::-1], str(folder), kind="image", batch_size=1)
    assert np.allclose(x, again[::-1], atol=1e-5)
    made = encoder("image", str(folder))
    assert made.identity() == encoder("image", f"{made.library}:{folder}").identity()


def test_a_pooler_without_weights_is_not_asked(tmp_path) -> None:
    folder = models.vit(tmp_path / "model", pooler=False)
    paths = models.pictures(tmp_path / "images")
    name = f"transformers:{folder}"
    twice = [encode(paths, name, kind="image") for _ in range(2)]
    assert np.array_equal(*twice)


def test_a_model_that_lacks_weights_is_refused(tmp_path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = models.vit(tmp_path / "model")
    deeper = transformers.ViTConfig.from_pretrained(folder)
    deeper.num_hidden_layers = 2
    deeper.save_pretrained(folder)
    with pytest.raises(MMRecError, match="has no weights for .* of its parts"):
        encoder("image", f"transformers:{folder}")


def test_broken_pictures_are_left_out(tmp_path) -> None:
    paths = models.pictures(tmp_path, 4)
    whole = paths[0].read_bytes()
    damaged = {
        "cut.jpg": whole[: len(whole) // 2],
        "empty.png": b"",
        "text.jpg": b"<html>not found</html>",
        "huge.png": _huge(),
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        paths.append(tmp_path / name)
    with pytest.warns(
        UserWarning, match="4 of 8 files give no features, such as .*cut"
    ):
        x = encode(paths, "colours", kind="image")
    assert x.any(axis=1).tolist() == [True] * 4 + [False] * 4


def _huge() -> bytes:
    """A small file that claims 10^10 pixels."""
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(
            ">I", zlib.crc32(body)
        )  # fmt: skip

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IEND", b"")


def test_pictures_are_turned_and_set_on_white(tmp_path) -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    assert open_image(tmp_path / "clear.png", "").getpixel((0, 0)) == (255, 255, 255)
    tall = Image.new("RGB", (4, 8), "red")
    exif = tall.getexif()
    exif[0x0112] = 6  # turned by a quarter
    tall.save(tmp_path / "tall.jpg", exif=exif)
    assert open_image(tmp_path / "tall.jpg", "").size == (8, 4)
    Image.new("CMYK", (4, 4)).save(tmp_path / "print.jpg")
    assert open_image(tmp_path / "print.jpg", "").mode == "RGB"
