"""One vector out of a model of transformers, whatever it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from pyg_mmrec.encoding.base import Encoder, loading, weights_digest
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.extras import from_extra

# What stands for hidden parts in training alone, and what is no weight.
_UNUSED = ("mask_token", "masked_spec_embed", "position_ids")


class Pooled(Encoder):
    """A model of transformers with the processor of its inputs.

    The vector is, where there is one, the shared one of a contrastive model (CLIP,
    CLAP), else the pooled one, else the mean over all places or frames. A pooler whose
    weights the files lack holds random numbers, and is not asked.
    """

    library = "transformers"
    package = "transformers"
    processor_class: ClassVar[str]

    def __init__(self, model: str, device: torch.device) -> None:
        super().__init__(model, device)
        name = f"{self.library}:{model}"
        library = from_extra(
            "transformers", "encode", f"the {self.kind} encoder {name!r}", self.package
        )
        try:
            processors = getattr(library, self.processor_class)
            self.processor = processors.from_pretrained(model)
            network, told = library.AutoModel.from_pretrained(
                model, output_loading_info=True, dtype=torch.float32
            )
        except Exception as error:
            raise loading(name, error) from error
        missing = [str(key) for key in told["missing_keys"]]
        others = [k for k in missing if "pooler" not in k and not k.endswith(_UNUSED)]
        if others:
            raise MMRecError(
                f"the encoder {name!r} has no weights for {len(others)} of its parts, "
                f"such as {others[0]}: random numbers would stand there, so name "
                f"another"
            )
        self._has_pooler = not any("pooler" in key for key in missing)
        self.network = network.to(device).eval()

    def pooled(self, inputs: Mapping[str, Tensor], kind: str) -> Tensor:
        """Vectors of a batch.

        Args:
            inputs: Keyword arguments of the model, with ``n`` rows each.
            kind: ``"image"`` or ``"audio"``.

        **Shapes:**
            - output: :math:`(n, d)`
        """
        shared = getattr(self.network, f"get_{kind}_features", None)
        if shared is not None:
            found = shared(**inputs)
            return found if isinstance(found, Tensor) else found.pooler_output
        network: Any = self.network
        if getattr(network.config, "is_encoder_decoder", False):
            network = network.get_encoder()
        out = network(**inputs)
        pooler = getattr(out, "pooler_output", None)
        if pooler is not None and self._has_pooler:
            return pooler.flatten(1)
        hidden = out.last_hidden_state
        # Convolutions give [n, d, h, w], transformers [n, places, d].
        return hidden.flatten(2).mean(2) if hidden.dim() == 4 else hidden.mean(1)

    def parts(self) -> list[str]:
        """Weights and what prepares the inputs."""
        return [weights_digest(self.network), self.processor.to_json_string()]
