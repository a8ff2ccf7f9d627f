"""Command lines that cannot be: one sentence, exit code 2, no data read or written."""

from __future__ import annotations

import runpy
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from pyg_mmrec.commands.guarded import guarded

ROOT = Path(__file__).parents[1]

# Options of a method's training, whatever the script.
TRAINING = """
--epochs 0 | --epochs -1 | --epochs two | --epochs 1.5 | --epochs nan | --epochs
--epochs 1000001 | --epochs inf | --epochs= | --epochs 99999999999999999999
--patience 0 | --patience -3 | --patience x | --patience 2000000
--batch-size 0 | --batch-size -64 | --batch-size 1e9 | --batch-size 99999999
--lr 0 | --lr -1 | --lr nan | --lr inf | --lr=-inf | --lr 1e9 | --lr fast | --lr
--lr-decay 0 | --lr-decay 1.1 | --lr-decay nan | --lr-decay -1
--weight-decay -1e-3 | --weight-decay nan | --weight-decay inf | --weight-decay 1e7
--optimizer sgd | --optimizer Adam | --optimizer= | --optimizer
--monitor recall | --monitor recall@ | --monitor recall@x | --monitor recall@0
--monitor recll@20 | --monitor recall@-1 | --monitor @20 | --monitor= | --monitor loss
--monitor recall@1e3 | --monitor recall@999999999 | --monitor "recall@20 " | --monitor
--eval-every 0 | --eval-every -1 | --eval-every never
--ks | --ks 0 | --ks -5 | --ks 5 5 | --ks 1000000000 | --ks x | --ks 5,0 | --ks 1.5
--exclude | --exclude trian | --exclude all | --exclude train train | --exclude test,x
--num-neighbors 0 | --num-neighbors 5 0 | --num-neighbors -2 | --num-neighbors x
--num-neighbors 1000000000
--seed -1 | --seed 9223372036854775808 | --seed 2147483648 | --seed x | --seed 1e3
--device meta | --device mps | --device xla | --device cuda:99 | --device=
--device gpu | --device cuda:x | --device cuda:-1 | --device cpu:0 | --device
--compile yes | --learning-rate 1 | --batch 5 | --epoch 3 | --wd 0 | --lrr 0.1
--no-resume | --optimiser adam | -x | -e 5 | stray
"""
METHOD = """
--method freedm | --method= | --method "" | --model bpr | --methd bpr
--dim 0 | --dim -1 | --dim 1000000000 | --dim nan | --dim 64.0 | --dim
--num-layers -1 | --num-layers 1000 | --layers 2 | --num-layer 2 | --embedding-dim 8
--user-k 0 | --item-k -1 | --item-k 99999999 | --rank 0 | --rank 100000 | --rank -2
--self-dropout -0.1 | --self-dropout 1.1 | --self-dropout nan | --cross-dropout inf
--tau 0 | --tau -1 | --tau inf | --tau 1e9 | --tau hot | --temperature 1
--cl-weight -1 | --cl-weight nan | --cl-weight inf | --cl-weight 1e30
--user-co-weight 2 | --user-co-weight -1 | --channel-norm 0 | --channel-norm nan
--user-weights image | --user-weights image=x | --user-weights =1
--user-weights image=-1 | --user-weights image=nan | --user-weights image=inf
--user-weights image=1 image=2 | --item-weights image=1e300 | --item-weights image:1
--meta maybe | --conv GINConv | --conv Gatconv | --conv= | --conv RGCNConv
--conv MixHopConv | --conv MessagePassing | --conv PointNetConv
--plug alignmnt | --plug alignment alignment | --plug "" | --ablate metta | --ablate ""
--method bpr --plug alignment | --method bpr --ablate x | --method bpr --k 3
--method mmssl --dim 7 | --method mmssl --num-heads 0 | --method freedom --drop-edges 1
--method freedom --modality-weights image=-1 | --method lightgcn --l2 nan
--method diffmm --steps 0 | --method diffmm --noise 1 | --method diffmm --inner-lr nan
--method mgdn --beta 0 | --method mig_gt --hidden -1 | --method sand --align soft
--modalities | --modalities a a | --modalities ""
--output "" | --root "" | --output | --root
"""
OWN = """
--min-rating nan | --min-rating inf | --min-rating good | --user-column ""
--time-column= | --user-colum who | --split-column | --text-encoder bert
--text-encoder timm:resnet50 | --text-encoder "" | --image-encoder tfidf
--text-columns | --text-columns a a | --text-columns ""
--image-encoder timm: | --audio-encoder wav
"""
STUDIES = {
    "movielens": """
    --text-encoder bert | --text-encoder "" | --compare bprr | --compare bpr --lr nan
    --min-rating 3
    """,
    "compare": """
    | movielens | bpr movielens | movielens bprr | moviolens bpr | movielens bpr+x
    movielens bpr-x | movielens rearm-metta | movielens bpr:lr | movielens bpr:lr=
    movielens bpr:lr=nan | movielens bpr:lr=-1 | movielens bpr:seed=3
    movielens bpr:dim=0 | movielens bpr:dimm=8 | movielens bpr+alignment
    movielens bpr bpr | movielens bpr --seeds | movielens bpr --seeds -1
    movielens bpr --seeds x | movielens bpr --seeds 9999999999999999999
    movielens bpr --seeds 1 1 | movielens bpr --ks | movielens bpr --monitor recall
    movielens bpr --device meta | movielens lightgcn:conv=GINConv
    movielens popularity bpr --epochs 0 | movielens bpr --lerning-rate 1
    movielens bpr: | movielens bpr+ | movielens bpr- | --seeds 1 | movielens --seeds 1
    movielens bpr:dim=8 bpr:dim=08 | movielens bpr bpr:dim=64 | movielens bpr --seed 1
    movielens bpr --plug alignment | movielens bpr --method freedom
    """,
    "ablate": """
    | rearm | rearm moviolens | rearmm movielens | bpr movielens
    rearm movielens --ablate metta | rearm movielens --dim 0 | rearm movielens --seeds
    rearm movielens --seeds 1.5 | rearm movielens --lr nan | rearm movielens --ks 0
    rearm movielens --seeds 2 2 | rearm movielens --conv GINConv | rearm --lr 1
    rearm movielens --seed 1 | rearm movielens --method freedom
    rearm movielens --device xla | rearm movielens --plug x | rearm movielens more
    """,
    "tune": """
    | bpr | bpr moviolens | bprr movielens | bpr movielens | bpr movielens --space
    bpr movielens --space lr | bpr movielens --space lr=1
    bpr movielens --space lr=2:1 | bpr movielens --space lr=0:1:log
    bpr movielens --space lr=-1:1 | bpr movielens --space lr=nan:1
    bpr movielens --space dim=0,8 | bpr movielens --space lrr=1,2
    bpr movielens --space seed=1,2 | bpr movielens --space lr=1e-3,1e-2 --lr 0.1
    bpr movielens --space optimizer=adam,sgd | bpr movielens --space dim=8:99999
    bpr movielens --space lr=0.1,0.2 --trials 0
    bpr movielens --space lr=0.1,0.2 --trials -1
    bpr movielens --space lr=0.1,0.2 --trials x
    bpr movielens --space lr=0.1,0.2 --warmup -1
    bpr movielens --space lr=0.1,0.2 --device meta
    bpr movielens --space lr=0.1,0.2 --plug alignment
    bpr movielens --space lr=0.1,0.2 --monitor recall
    bpr movielens --space lr=0.1,0.2 --trails 3
    bpr movielens --space lr=0.1,0.2 --method lightgcn
    """,
}


def lines(table: str) -> list[str]:
    return [
        case.strip() for row in table.strip().splitlines() for case in row.split("|")
    ]


CASES = [
    *(("sports", case) for case in lines(TRAINING)),
    *(("custom", case) for case in lines(METHOD) + lines(OWN)),
    *((name, case) for name, table in STUDIES.items() for case in lines(table)),
]
CASES = sorted(set(CASES))


@pytest.fixture(scope="module")
def mains() -> dict:
    names = {name for name, _ in CASES}
    return {n: runpy.run_path(str(ROOT / f"scripts/{n}.py")) for n in names}


def test_there_are_hundreds_of_them() -> None:
    assert len(CASES) >= 250


@pytest.mark.parametrize(("name", "line"), CASES)
def test_one_sentence_before_any_data(
    name, line, mains, monkeypatch, capfd, tmp_path
) -> None:
    def reached(*_, **__):
        raise AssertionError("the data were read")

    monkeypatch.setattr("pyg_mmrec.commands.cli.load", reached)
    monkeypatch.setattr("pyg_mmrec.commands.guarded.keep_freed_memory", lambda: None)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *shlex.split(line)])
    monkeypatch.chdir(tmp_path)
    script = mains[name]
    # Scripts of one data set have no main function of their own.
    own = script["main"] if name in STUDIES else lambda: script["main"](name)
    with pytest.raises(SystemExit) as stop:
        guarded(own)
    out, error = capfd.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert error.startswith(f"{name}.py: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert len(error) < 1500
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("sports", "--monitor recall@x"),
        ("custom", "--dim 0"),
        ("compare", "movielens lightgcn:conv=GINConv"),
        ("tune", "bpr movielens --space dim=0,8"),
    ],
)
def test_as_a_process(name, line, tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / f"scripts/{name}.py"), *shlex.split(line)],
        capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
