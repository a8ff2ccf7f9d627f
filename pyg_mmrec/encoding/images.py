"""Encoders of pictures: colours and edges, timm, open_clip, transformers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyg_mmrec.encoding.base import Encoder, loading, unit, weights_digest
from pyg_mmrec.encoding.pooled import Pooled
from pyg_mmrec.extras import from_extra

_SIDE, _GRID, _ANGLES = 64, 4, 8  # of Colours


def open_image(path: Path, what: str) -> Any:
    """A picture as RGB, turned as its camera says, on white where it is transparent.

    Args:
        path: The file.
        what: What needs it, for messages.

    Raises:
        Exception: Of PIL, for a file that is broken.
    """
    pil = from_extra("PIL.Image", "encode", what, "pillow")
    ops = from_extra("PIL.ImageOps", "encode", what, "pillow")
    with pil.open(path) as file:
        picture = ops.exif_transpose(file)
        if "A" in picture.getbands() or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            white = pil.new("RGBA", picture.size, "white")
            picture = pil.alpha_composite(white, picture)
        return picture.convert("RGB")


class ImageEncoder(Encoder):
    """An encoder of pictures, given as paths."""

    kind = "image"

    def load(self, value: Path) -> Any:
        """The picture, prepared."""
        return self.prepare(open_image(value, f"the image encoder {self.library!r}"))

    @abstractmethod
    def prepare(self, picture: Any) -> Any:
        """What the network reads of one picture; pictures of a batch are stacked."""

    def _stack(self, batch: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(batch)).to(self.device)


class Colours(ImageEncoder):
    """Colours by place, colours in all, and edges by place and direction.

    It needs no weights, and sees the style of a picture rather than what it shows:
    mean colours of 4 x 4 fields, a histogram of hue, saturation and value, and
    gradients of the 4 x 4 fields by 8 directions (Dalal and Triggs, "Histograms of
    oriented gradients for human detection", CVPR 2005), each part of equal weight.
    """

    library = "colours"

    def prepare(self, picture: Any) -> np.ndarray:
        """The features themselves."""
        small = picture.resize((_SIDE, _SIDE))
        rgb = np.asarray(small, np.float32) / 255
        hsv = np.asarray(small.convert("HSV"), np.float32).reshape(-1, 3) / 256
        bins = ((0, 1),) * 3
        histogram = np.histogramdd(hsv, bins=(8, 3, 3), range=bins)[0].ravel()
        parts = (_fields(rgb).ravel(), np.sqrt(histogram), _edges(rgb.mean(axis=2)))
        return np.concatenate([unit(part[None])[0] for part in parts])

    def encode(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Rows of unit length.

        **Shapes:**
            - output: :math:`(n, 248)`
        """
        return unit(np.stack(list(batch)))


def _fields(values: np.ndarray) -> np.ndarray:
    """Means of 4 x 4 fields, ``[64, 64, c]`` to ``[4, 4, c]``."""
    step = _SIDE // _GRID
    return values.reshape(_GRID, step, _GRID, step, -1).mean(axis=(1, 3))


def _edges(grey: np.ndarray) -> np.ndarray:
    down, right = np.gradient(grey)
    angle = np.arctan2(down, right) % np.pi / np.pi * _ANGLES
    one_of = np.eye(_ANGLES, dtype=np.float32)[angle.astype(int) % _ANGLES]
    return np.sqrt(_fields(one_of * np.hypot(down, right)[..., None])).ravel()


class Timm(ImageEncoder):
    """A model of the library timm, without its classes."""

    library = "timm"
    package = "timm"

    def __init__(self, model: str, device: torch.device) -> None:
        super().__init__(model, device)
        name = f"{self.library}:{model}"
        timm = from_extra("timm", "encode", f"the image encoder {name!r}", self.package)
        place = model
        if Path(model).expanduser().is_dir():
            place = f"local-dir:{Path(model).expanduser()}"
        elif "/" in model and not model.startswith("hf-hub:"):
            place = f"hf-hub:{model}"
        try:
            network = timm.create_model(place, pretrained=True, num_classes=0)
            config = timm.data.resolve_model_data_config(network)
            self._transform = timm.data.create_transform(**config, is_training=False)
        except Exception as error:
            raise loading(name, error) from error
        self.network = network.to(device).eval()

    def prepare(self, picture: Any) -> Tensor:
        """The picture as the model's own transform gives it, ``[3, h, w]``."""
        return self._transform(picture)

    @torch.inference_mode()
    def encode(self, batch: Sequence[Tensor]) -> np.ndarray:
        """Rows of unit length.

        **Shapes:**
            - output: :math:`(n, d)`
        """
        return unit(self.network(self._stack(batch)))

    def parts(self) -> list[str]:
        """Weights and transform."""
        return [weights_digest(self.network), repr(self._transform)]


class OpenClip(ImageEncoder):
    """The image tower of a model of open_clip.

    Models are named as ``ViT-B-32/laion2b_s34b_b79k``, by hub id, or by folder.
    """

    library = "open_clip"
    package = "open_clip_torch"

    def __init__(self, model: str, device: torch.device) -> None:
        super().__init__(model, device)
        name = f"{self.library}:{model}"
        library = from_extra(
            "open_clip", "encode", f"the image encoder {name!r}", self.package
        )
        place, tag = model, None
        if Path(model).expanduser().is_dir():
            place = f"local-dir:{Path(model).expanduser()}"
        elif model.partition("/")[0] in library.list_models():
            place, _, tag = model.partition("/")
        elif "/" in model and not model.startswith("hf-hub:"):
            place = f"hf-hub:{model}"
        try:
            # Without weights it would be a network of random numbers.
            network, self._transform = library.create_model_from_pretrained(
                place, pretrained=tag or None, device=str(device)
            )
        except Exception as error:
            raise loading(name, error) from error
        self.network = network.eval()

    def prepare(self, picture: Any) -> Tensor:
        """The picture as the model's own transform gives it, ``[3, h, w]``."""
        return self._transform(picture)

    @torch.inference_mode()
    def encode(self, batch: Sequence[Tensor]) -> np.ndarray:
        """Rows of unit length.

        **Shapes:**
            - output: :math:`(n, d)`
        """
        return unit(self.network.encode_image(self._stack(batch)))

    def parts(self) -> list[str]:
        """Weights and transform."""
        return [weights_digest(self.network), repr(self._transform)]


class TransformersImage(Pooled, ImageEncoder):
    """A vision model of transformers: CLIP, SigLIP, DINOv2, ViT, ..."""

    processor_class = "AutoImageProcessor"

    def prepare(self, picture: Any) -> Any:
        """The picture as the model's own processor gives it, ``[3, h, w]``."""
        return self.processor(images=picture, return_tensors="pt")["pixel_values"][0]

    @torch.inference_mode()
    def encode(self, batch: Sequence[Tensor]) -> np.ndarray:
        """Rows of unit length.

        **Shapes:**
            - output: :math:`(n, d)`
        """
        return unit(self.pooled({"pixel_values": self._stack(batch)}, "image"))
