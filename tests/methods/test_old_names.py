"""Names of version 0.1 that methods of users have: they warn, and work."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.methods.bm3 import BM3
from pyg_mmrec.methods.lightgcn import LightGCN

INDEX = torch.tensor([2, 0])


@pytest.mark.parametrize("parent", [BM3, LightGCN])
def test_a_method_that_defines_readout_is_read_out_by_it(parent, graph) -> None:
    with pytest.warns(DeprecationWarning, match="Twice: readout is final_rows now"):

        class Twice(parent):
            def readout(self, out: Any, kind: str, index: torch.Tensor) -> torch.Tensor:
                return 2 * super().readout(out, kind, index)

    class Thrice(Twice):
        def final_rows(self, out: Any, kind: str, index: torch.Tensor) -> torch.Tensor:
            return super().final_rows(out, kind, index) * 1.5

    data = parent.graph(parent.Config(dim=4))(graph)
    model = Thrice(data, parent.Config(dim=4)).eval()
    out = model(data)
    for kind in (USER, ITEM):
        once = parent.final_rows(model, out, kind, INDEX)
        with pytest.warns(DeprecationWarning, match="final_rows"):
            assert torch.equal(Twice.final_rows(model, out, kind, INDEX), 2 * once)
        with pytest.warns(DeprecationWarning, match="final_rows"):
            assert torch.equal(model.final_rows(out, kind, INDEX), 3 * once)
        with pytest.warns(DeprecationWarning, match="final_rows"):
            assert torch.equal(model.readout(out, kind, INDEX), 3 * once)


@pytest.mark.parametrize("name", ["run", "published"])
def test_a_function_is_not_lost_to_the_old_module_of_its_name(name) -> None:
    code = (
        f"import warnings, pyg_mmrec\n"
        f"new = pyg_mmrec.{name}\n"
        f"with warnings.catch_warnings(record=True) as told:\n"
        f"    warnings.simplefilter('always')\n"
        f"    from pyg_mmrec.{name} import {name} as old\n"
        f"assert any('pyg_mmrec.{name} is' in str(t.message) for t in told), told\n"
        f"assert old is new and callable(pyg_mmrec.{name})\n"
        f"try: pyg_mmrec.{name}(1, 2, 3, 4)\n"
        f"except TypeError as error: assert '{name}()' in str(error), error\n"
        f"else: raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
