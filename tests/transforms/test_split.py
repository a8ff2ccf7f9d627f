from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, REV_INTERACTS, interaction_graph
from pyg_mmrec.transforms import CoOccurrence, Split
from pyg_mmrec.transforms.split import METHODS

from ..conftest import make_graph


def whole(pairs, num_users=12, num_items=15):
    data = interaction_graph(num_users, num_items, torch.tensor(sorted(pairs)).T)
    count = len(pairs)
    data[INTERACTS].time = torch.arange(count) * 7 % 11  # with equal times
    data[INTERACTS].rating = torch.arange(count)
    return data


def times(pairs):
    return dict(zip(sorted(pairs), whole(pairs)[INTERACTS].time.tolist(), strict=True))


def parts(data):
    store = data[INTERACTS]
    names = ("edge_index", "val_label_index", "test_label_index")
    return [[tuple(p) for p in store[name].T.tolist()] for name in names]


interactions = st.sets(
    st.tuples(st.integers(0, 11), st.integers(0, 14)), min_size=15, max_size=90
)
ratios = st.sampled_from(
    [(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.9, 0.0, 0.1), (1, 0, 0)]
)


def attempt(pairs, *options):
    """The split, or None where a part has to stay empty."""
    try:
        return Split(*options)(whole(pairs))
    except MMRecError as error:
        if "part empty" not in str(error):
            raise
        return None


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(pairs=interactions, shares=ratios, seed=st.integers(0, 2**31))
def test_every_interaction_in_one_part_and_every_user_trains(
    method, pairs, shares, seed
) -> None:
    shares = None if method == "leave-one-out" else shares
    out = attempt(pairs, method, shares, seed)
    if out is None:
        return
    train, val, test = parts(out)
    assert sorted(train + val + test) == sorted(pairs)
    if method != "global-time":
        assert {u for u, _ in train} == {u for u, _ in pairs}
    assert torch.equal(out[REV_INTERACTS].edge_index, out[INTERACTS].edge_index.flip(0))
    ordered = sorted(pairs)
    assert [ordered[r] for r in out[INTERACTS].rating.tolist()] == train
    again = Split(method, shares, seed)(whole(pairs))
    assert parts(again) == [train, val, test]
    assert repr(eval(repr(Split(method, shares, seed)))) == repr(
        Split(method, shares, seed)
    )


def naive_counts(total, shares):
    test = min(max(1, int(shares[2] * total + 1e-9)), total - 1) if shares[2] else 0
    left = total - 1 - test
    val = min(max(1, int(shares[1] * total + 1e-9)), left) if shares[1] else 0
    return val, test


@settings(max_examples=60, deadline=None)
@given(pairs=interactions, shares=ratios)
def test_time_equals_naive_loop(pairs, shares) -> None:
    out = attempt(pairs, "time", shares)
    if out is None:
        return
    time = times(pairs)
    expected = [[], [], []]
    for user in {u for u, _ in pairs}:
        own = sorted((p for p in pairs if p[0] == user), key=lambda p: (time[p], p))
        val, test = naive_counts(len(own), shares)
        bounds = len(own) - val - test, len(own) - test
        expected[0] += own[: bounds[0]]
        expected[1] += own[bounds[0] : bounds[1]]
        expected[2] += own[bounds[1] :]
    assert parts(out) == [sorted(e) for e in expected]


@settings(max_examples=60, deadline=None)
@given(pairs=interactions, shares=ratios)
def test_global_time_equals_naive_loop(pairs, shares) -> None:
    out = attempt(pairs, "global-time", shares)
    if out is None:
        return
    time = times(pairs)
    ordered = sorted(time.values())
    val, test = naive_counts(len(ordered), shares)
    never = max(ordered) + 1
    from_test = ordered[len(ordered) - test] if test else never
    from_val = ordered[len(ordered) - test - val] if val else from_test
    expected = [[], [], []]
    for pair in sorted(pairs):
        later = (time[pair] >= from_val, time[pair] >= from_test)
        expected[2 if later[1] else int(later[0])].append(pair)
    assert parts(out) == expected
    moments = [[time[p] for p in part] for part in parts(out)]
    for before, after in itertools.combinations(filter(None, moments), 2):
        assert max(before) < min(after)


@settings(max_examples=60, deadline=None)
@given(pairs=interactions, timed=st.booleans(), seed=st.integers(0, 9))
def test_leave_one_out_equals_naive_loop(pairs, timed, seed) -> None:
    data, time = whole(pairs), times(pairs)
    if not timed:
        del data[INTERACTS].time
        drawn = torch.randperm(
            len(pairs), generator=torch.Generator().manual_seed(seed)
        )
        time = dict(zip(sorted(pairs), drawn.tolist(), strict=True))
    if max(Counter(u for u, _ in pairs).values()) < 3:
        with pytest.raises(MMRecError, match="part empty"):
            Split("leave-one-out", seed=seed)(data)
        return
    out = Split("leave-one-out", seed=seed)(data)
    expected = [[], [], []]
    for user in {u for u, _ in pairs}:
        own = sorted((p for p in pairs if p[0] == user), key=lambda p: (time[p], p))
        expected[2] += own[-1:] if len(own) > 1 else []
        expected[1] += own[-2:-1] if len(own) > 2 else []
        expected[0] += own[:-2] if len(own) > 2 else own[:1]
    assert parts(out) == [sorted(e) for e in expected]


@settings(max_examples=60, deadline=None)
@given(pairs=interactions, shares=ratios, seed=st.integers(0, 9))
def test_random_holds_out_the_same_numbers(pairs, shares, seed) -> None:
    out = attempt(pairs, "random", shares, seed)
    if out is None:
        return
    _, val, test = (Counter(u for u, _ in part) for part in parts(out))
    for user, total in Counter(u for u, _ in pairs).items():
        assert (val[user], test[user]) == naive_counts(total, shares)


@settings(max_examples=60, deadline=None)
@given(pairs=interactions, seed=st.integers(0, 9))
def test_cold_items_have_no_train_interaction(pairs, seed) -> None:
    out = attempt(pairs, "cold", (0.6, 0.2, 0.2), seed)
    if out is None:
        return
    train, val, test = ({i for _, i in part} for part in parts(out))
    assert not train & val
    assert not train & test
    assert not val & test
    used = len({i for _, i in pairs})
    held_val, held_test = naive_counts(used, (0.6, 0.2, 0.2))
    assert len(val) <= held_val
    assert len(test) <= held_test


def test_random_is_random() -> None:
    pairs = {(u, i) for u in range(12) for i in range(15)}
    splits = [Split(seed=s)(whole(pairs)) for s in range(40)]
    assert parts(splits[0]) != parts(splits[1])
    tested = Counter(i for s in splits for _, i in parts(s)[2])
    assert min(tested.values()) > 10  # 480 test interactions, 32 expected per item
    before = torch.random.get_rng_state()
    Split(seed=3)(whole(pairs))
    assert torch.equal(before, torch.random.get_rng_state())


def test_leaves_the_input_alone() -> None:
    data = whole({(u, i) for u in range(12) for i in range(10)})
    data[INTERACTS].edge_weight = torch.ones(120)
    before = data[INTERACTS].edge_index.clone()
    out = Split()(data)
    assert torch.equal(data[INTERACTS].edge_index, before)
    assert "val_label_index" not in data[INTERACTS]
    assert "edge_weight" not in out[INTERACTS]
    assert out[INTERACTS].time.size(0) == out[INTERACTS].edge_index.size(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "rand"}, "did you mean 'random'"),
        ({"ratios": (0.8, 0.1)}, "three shares"),
        (
            {"method": "leave-one-out", "ratios": (0.8, 0.1, 0.1)},
            "of no use .*leave --ratios",
        ),
        ({"ratios": (0.8, 0.1, 0.2)}, "of sum 1"),
        ({"ratios": (1.2, -0.1, -0.1)}, "three shares"),
        ({"ratios": (0.0, 0.5, 0.5)}, "positive train share"),
    ],
)
def test_refuses_options(options, message) -> None:
    with pytest.raises(MMRecError, match=message):
        Split(**options)


def test_refuses_graphs() -> None:
    with pytest.raises(MMRecError, match="val_label_index, test_label_index"):
        Split()(make_graph())
    data = whole({(u, i) for u in range(3) for i in range(5)})
    with pytest.raises(MMRecError, match="before CoOccurrence"):
        Split()(CoOccurrence(2)(data))
    data[INTERACTS].time = torch.full((15,), torch.nan)
    for method in ("time", "global-time", "leave-one-out"):
        with pytest.raises(MMRecError, match="NaN or infinite values in the time"):
            Split(method)(data)
    data[INTERACTS].time = torch.ones(15)
    with pytest.raises(MMRecError, match="left the train part empty"):
        Split("global-time")(data)
    del data[INTERACTS].time
    for method in ("time", "global-time"):
        with pytest.raises(
            MMRecError, match=rf"'{method}'\) needs .*\.time with one number"
        ):
            Split(method)(data)
    data[INTERACTS].edge_index = torch.tensor([[0, 0, 0], [1, 1, 2]])
    with pytest.raises(MMRecError, match="1 of 3 interactions repeated"):
        Split()(data)
    data[INTERACTS].edge_index = torch.tensor([[0, 1], [1, 1]])
    with pytest.raises(MMRecError, match="left the validation part empty"):
        Split()(data)
