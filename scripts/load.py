"""Load a service on this machine: requests a second, latency, CPU and memory.

    python scripts/load.py --items 20000 --workers 1 --seconds 10

It makes an index of random embeddings, serves it, and asks with wrk (Debian's package
of that name) over the loopback. CPU a request is what the service's processes used,
which tells more than requests a second where others share the machine.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pandas as pd
import psutil
import torch

from pyg_mmrec import Branch, Index
from pyg_mmrec.training import checkpoint

USERS = 10_000
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  local body = string.format('{"user": %d, "k": %d}', math.random(0, {users} - 1), {k})
  return wrk.format(nil, "/recommend", nil, body)
end
"""


def make(folder: Path, items: int, dim: int) -> None:
    """An index of random embeddings, 20 interactions a user."""
    generator = torch.Generator().manual_seed(0)
    rows = Branch(
        torch.randn(USERS, dim, generator=generator),
        torch.randn(items, dim, generator=generator),
    )
    user = torch.arange(USERS).repeat_interleave(20)
    item = torch.randint(items, (len(user),), generator=generator)
    ids = pd.RangeIndex(USERS), pd.RangeIndex(items)
    index = Index(rows, torch.stack([user, item]), *ids)
    checkpoint.save(folder / "checkpoint.pt", {"index": index.to_tensors()})


def processes(parent: int) -> list[psutil.Process]:
    first = psutil.Process(parent)
    return [first, *first.children(recursive=True)]


def cpu(parent: int) -> float:
    times = [p.cpu_times() for p in processes(parent)]
    return sum(t.user + t.system for t in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--items", type=int, default=20_000)
    add("--dim", type=int, default=64)
    add("--workers", type=int, default=1)
    add("--connections", type=int, default=8)
    add("--seconds", type=int, default=10)
    add("-k", type=int, default=20)
    add("--search", default="exact", choices=["exact", "faiss"])
    add("--probes", type=int, default=32)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, args.items, args.dim)
        script = folder / "ask.lua"
        text = SCRIPT.replace("{users}", str(USERS)).replace("{k}", str(args.k))
        script.write_text(text)
        line = [
            sys.executable, "-m", "pyg_mmrec", "serve", name, "--index-only",
            "--port", "0", "--workers", str(args.workers),
            "--search", args.search, "--probes", str(args.probes),
        ]  # fmt: skip
        server = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        try:
            print(load(server, script, args))
        finally:
            server.terminate()
            server.wait()


def load(server: subprocess.Popen[str], script: Path, args: argparse.Namespace) -> str:
    assert server.stdout is not None
    found = re.search(r"http://\S+:\d+", server.stdout.readline())
    if found is None:  # which the service has told the reason of
        sys.exit(server.wait() or 1)
    address, up = found[0], set()
    health: dict = {}
    while len(up) < args.workers:  # until each has answered once
        health = httpx.get(f"{address}/health", timeout=600).json()
        up.add(health["process"])
    before = cpu(server.pid)
    wrk = ["wrk", "-t1", f"-c{args.connections}", f"-d{args.seconds}s", "--latency"]
    out = subprocess.run(
        [*wrk, "--timeout", "30s", "-s", str(script), address],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    used = cpu(server.pid) - before
    told = dict(re.findall(r"(50|99)% +(\S+)", out))
    requests = int(re.search(r"(\d+) requests in", out)[1])  # type: ignore[index]
    rate = re.search(r"Requests/sec: +(\S+)", out)[1]  # type: ignore[index]
    bad = re.search(r"Non-2xx.*?(\d+)|Socket errors: .*", out)
    memory = sum(p.memory_full_info().pss for p in processes(server.pid)) / 2**20
    each = 1000 * used / max(requests, 1)
    return (
        f"| {args.items:,} | {args.search} | {health['recall']:.3f} | {args.workers} | "
        f"{rate} | {told['50']} | {told['99']} | {each:.2f} ms | {memory:.0f} MB | "
        f"{bad[0] if bad else 'none'} |"
    )


if __name__ == "__main__":
    main()
