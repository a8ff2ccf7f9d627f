"""Small models as their own libraries save them, made on the spot."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

WORDS = ["[UNK]", "[PAD]", "red", "blue", "shoes", "boots", "lamp", "a", "the"]


def tokenizer():
    """Knows the words above."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({w: i for i, w in enumerate(WORDS)}, "[UNK]")
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return made


def model2vec(folder: Path, seed: int = 0) -> Path:
    library = pytest.importorskip("model2vec")
    x = np.random.default_rng(seed).normal(size=(len(WORDS), 8)).astype(np.float32)
    library.StaticModel(x, tokenizer()).save_pretrained(str(folder))
    return folder


def sentence_transformers(folder: Path) -> Path:
    library = pytest.importorskip("sentence_transformers")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16, max_position_embeddings=32,
        pad_token_id=1,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder / "bert")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(), unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(folder / "bert")
    from sentence_transformers.models import Pooling, Transformer

    words, pooling = Transformer(str(folder / "bert")), Pooling(16)
    library.SentenceTransformer(modules=[words, pooling], device="cpu").save(
        str(folder / "whole")
    )
    return folder / "whole"


def vit(folder: Path, pooler: bool = True) -> Path:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, image_size=32, patch_size=16,
    )  # fmt: skip
    transformers.ViTModel(config, add_pooling_layer=pooler).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessor(size=size).save_pretrained(folder)
    return folder


def clip(folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 16}  # fmt: skip
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": 9},
        vision_config={**small, "image_size": 32, "patch_size": 16},
        projection_dim=12,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder


def timm(folder: Path) -> Path:
    library = pytest.importorskip("timm")
    from timm.models import save_for_hf

    torch.manual_seed(0)
    save_for_hf(library.create_model("test_resnet", num_classes=3), folder)
    return folder


def open_clip(folder: Path) -> Path:
    library = pytest.importorskip("open_clip")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    config = {
        "embed_dim": 12,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 9, "width": 64, "heads": 1,
                     "layers": 1},
    }  # fmt: skip
    model = library.CLIP(**config)
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    told = {"model_cfg": config, "preprocess_cfg": {"size": [32, 32]}}
    (folder / "open_clip_config.json").write_text(json.dumps(told))
    return folder


def wav2vec2(folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, conv_dim=(8, 8), conv_stride=(5, 4), conv_kernel=(10, 8),
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(folder)
    return folder


def pictures(folder: Path, count: int = 7) -> list[Path]:
    """Plain pictures of different colours, sizes and formats."""
    image = pytest.importorskip("PIL.Image")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for n in range(count):
        path = folder / f"i{n}{('.jpg', '.png', '.webp')[n % 3]}"
        x = np.random.default_rng(n).integers(0, 256, (20 + n, 30, 3), np.uint8)
        image.fromarray(x).save(path)
        paths.append(path)
    return paths


def sound(path: Path, hertz: float, seconds: float = 0.5, rate: int = 16000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(int(seconds * rate)) / rate
    values = (np.sin(2 * np.pi * hertz * times) * 20000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(values.tobytes())
    return path
