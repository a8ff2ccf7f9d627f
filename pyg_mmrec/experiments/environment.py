"""Where a run was made: what the last bits of its figures depend on."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_geometric

import pyg_mmrec


def environment(device: torch.device) -> dict[str, Any]:
    """Threads, device, versions, commit and day, as JSON values.

    Args:
        device: The device of the run.
    """
    return {
        "threads": torch.get_num_threads(),
        "device": _device_name(device),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torch_geometric": torch_geometric.__version__,
            "numpy": np.__version__,
            "pyg_mmrec": pyg_mmrec.__version__,
        },
        "commit": commit(),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.processor() or platform.machine()})"


def commit(root: Path = Path(pyg_mmrec.__file__).parents[1]) -> str | None:
    """Commit of the checkout that the package runs from, with ``-dirty`` if changed.

    Args:
        root: Folder of the package.

    Returns:
        ``None`` where the package was installed, or there is no git.
    """
    if not (root / ".git").exists():
        return None  # a repository further up is somebody else's
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def short_commit(commit: str | None) -> str:
    """Ten digits of a commit for people, and ``-dirty`` if it has that."""
    name, changed, _ = (commit or "unknown").partition("-dirty")
    return name[:10] + changed


def made(environments: Iterable[Mapping[str, Any]]) -> str:
    """Commits, devices and versions of several runs, each once, as a sentence.

    Args:
        environments: What :func:`environment` told of each.
    """
    told = list(environments)
    commits = sorted({short_commit(t["commit"]) for t in told})
    on = sorted({f"{t['device']}, {t['threads']} thread(s)" for t in told})
    versions = sorted({t["versions"]["torch"] for t in told})
    return f"Commit {', '.join(commits)}; {'; '.join(on)}; torch {', '.join(versions)}."
