from __future__ import annotations

import warnings

import pytest
import torch

from pyg_mmrec.datasets import Synthetic, load
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM


def small(tmp_path, **options):
    options = {"num_users": 200, "num_items": 120, **options}
    return Synthetic(root=tmp_path, **options)


def advantage(dataset, part):
    """How much a part's utility of what is taken exceeds that of random items."""
    user, item = dataset[0][INTERACTS].edge_index
    latents = dataset.latents
    left = latents["user"][part][user]
    right = latents["item"][part]
    other = torch.randint(
        len(right), item.shape, generator=torch.Generator().manual_seed(9)
    )
    taken, random = (left * right[item]).sum(1), (left * right[other]).sum(1)
    return ((taken.mean() - random.mean()) / random.std()).item()


def test_same_seed_same_data(tmp_path):
    state = torch.random.get_rng_state()
    a, b, c = (small(tmp_path, seed=s, missing=0.2)[0] for s in (0, 0, 1))
    for key in ("edge_index", "val_label_index", "test_label_index"):
        assert torch.equal(a[INTERACTS][key], b[INTERACTS][key])
    assert torch.equal(a[ITEM].x_image, b[ITEM].x_image)
    assert torch.equal(a[ITEM].mask_text, b[ITEM].mask_text)
    assert not torch.equal(a[ITEM].x_image, c[ITEM].x_image)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_any_number_of_modalities(tmp_path, count):
    dataset = small(tmp_path, modalities=count)
    assert dataset.modalities == [f"m{i}" for i in range(count)]
    assert len(dataset.item_titles) == 120


def test_modalities_have_their_own_widths(tmp_path):
    items = small(tmp_path, dim={"image": 7, "text": 3})[0][ITEM]
    assert (items.x_image.size(1), items.x_text.size(1)) == (7, 3)


def test_no_interaction_is_repeated(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of repeated interactions
        dataset = small(tmp_path, num_items=70, degree=30)
    store = dataset[0][INTERACTS]
    parts = [store.edge_index, store.val_label_index, store.test_label_index]
    edges = torch.cat(parts, 1)
    assert edges.unique(dim=1).size(1) == edges.size(1)
    assert edges[1].unique().numel() == 70
    counts = torch.bincount(edges[0])
    assert counts.min() >= 5
    assert counts.float().mean().item() == pytest.approx(30, abs=1.5)


def test_each_part_is_planted_where_its_weight_is(tmp_path):
    dataset = small(
        tmp_path, shared=1.0, unique={"text": 1.0}, synergy=1.0, num_users=400
    )
    for part in ("shared", "unique_text", "synergy"):
        assert advantage(dataset, part) > 0.5
    assert abs(advantage(dataset, "unique_image")) < 0.1


def test_synergy_shows_in_no_single_modality(tmp_path):
    dataset = small(tmp_path, num_items=5000, synergy=1.0)
    item = dataset.latents["item"]
    x, other = (dataset[0][ITEM][f"x_{m}"] for m in ("image", "text"))

    def explained(columns):
        columns = torch.cat([columns, torch.ones(len(columns), 1)], 1)
        fitted = columns @ torch.linalg.lstsq(columns, item["synergy"]).solution
        return 1 - (item["synergy"] - fitted).var() / item["synergy"].var()

    assert explained(torch.cat([x, other], 1)) < 0.05
    signs = item["sign_image"] * item["sign_text"]
    assert torch.equal(signs, item["synergy"])


def test_features_see_their_own_parts_only(tmp_path):
    dataset = small(tmp_path, num_items=2000, noise=0.01)
    item = dataset.latents["item"]
    x = dataset[0][ITEM].x_image

    def explained(target):
        fitted = x @ torch.linalg.lstsq(x, target).solution
        return (1 - (target - fitted).var() / target.var()).item()

    for part in ("shared", "unique_image", "sign_image"):
        assert explained(item[part]) > 0.95
    for part in ("unique_text", "sign_text"):
        assert explained(item[part]) < 0.1


def test_utility_ranks_what_was_taken(tmp_path):
    dataset = small(tmp_path, temperature=0.0)
    user, item = dataset[0][INTERACTS].edge_index
    other = (item + 17) % 120
    assert (
        dataset.utility(user, item) > dataset.utility(user, other)
    ).float().mean() > 0.8
    pairs = dataset.utility(user[:7], torch.stack([item[:7], other[:7]], 1))
    assert torch.allclose(pairs[:, 0], dataset.utility(user[:7], item[:7]), atol=1e-5)


def test_chunks_do_not_show(tmp_path, monkeypatch):
    kept = small(tmp_path, temperature=0.0, candidates=120)[0][INTERACTS].edge_index
    monkeypatch.setattr("pyg_mmrec.datasets.synthetic._ELEMENTS", 120 * 24 * 7)
    again = small(tmp_path, temperature=0.0, candidates=120)[0][INTERACTS].edge_index
    # With every item a candidate and no noise, the draw decides nothing.
    assert torch.equal(kept.sort(1).values, again.sort(1).values)


def test_missing_rows_are_masked(tmp_path):
    data = small(tmp_path, missing=0.3)[0]
    mask = data[ITEM].mask_image
    assert 0.5 < mask.float().mean() < 0.9
    assert torch.equal(data[ITEM].x_image.any(1), mask)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": 1.0}, r"missing=1.0: choose in \[0, 1\)"),
        ({"num_users": 0}, "num_users=0"),
        ({"degree": 2}, "degree=2: choose 5 or more"),
        ({"unique": {"txt": 1.0}}, "did you mean 'text'"),
        ({"synergy": 1.0, "modalities": 1}, "needs two modalities"),
        ({"dim": 0}, "dim=0: choose 1 or more"),
        ({"dim": {"image": 4, "txt": 2}}, "did you mean 'text'"),
        ({"dim": {"image": 4}}, "no dim of 'text'"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(MMRecError, match=message):
        small(tmp_path, **options)


def test_registry_and_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert load("synthetic", tmp_path, num_users=50).name == "synthetic"
    dataset = Synthetic(num_users=50)
    assert dataset.processed_dir == str(tmp_path / "pyg_mmrec" / "synthetic")


@pytest.mark.parametrize("name", ["keys", "image.v2", "", "a b"])
def test_a_modality_of_a_name_that_cannot_be(name) -> None:
    with pytest.raises(MMRecError, match="gives the modality"):
        Synthetic(50, 40, modalities=[name])


def test_what_is_hidden_still_shapes_what_users_take(tmp_path) -> None:
    whole = small(tmp_path)
    part = small(tmp_path, hidden=["image"])
    assert part.modalities == ["text"]
    assert torch.equal(part[0][INTERACTS].edge_index, whole[0][INTERACTS].edge_index)
    assert torch.equal(part[0]["item"].x_text, whole[0]["item"].x_text)
    alone = small(tmp_path, modalities=["text"])[0][INTERACTS].edge_index
    assert not torch.equal(alone, whole[0][INTERACTS].edge_index)
    with pytest.raises(MMRecError, match="unknown modality to hide 'imgae'"):
        small(tmp_path, hidden="imgae")


def test_opened_by_name_modalities_are_those_to_read(tmp_path) -> None:
    whole = load("synthetic", tmp_path, num_users=50)
    part = load("synthetic", tmp_path, num_users=50, modalities=["text"])
    assert (whole.modalities, part.modalities) == (["image", "text"], ["text"])
    assert torch.equal(part[0][INTERACTS].edge_index, whole[0][INTERACTS].edge_index)
    assert load("synthetic", tmp_path, modalities=["sound"]).modalities == ["sound"]
