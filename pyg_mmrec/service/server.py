"""A server of one process or several, until it is told to end."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.service.config import Place, ServiceConfig, check_installed

if TYPE_CHECKING:
    from pyg_mmrec.service.holder import Holder

_APP = "pyg_mmrec.service.app:from_environment"
_CONNECTIONS = 2048  # above which a worker answers 503
_ANSWERS_SECONDS = 60  # within which a worker shows that it is alive


def serve(
    run: str,
    host: str,
    port: int,
    workers: int,
    state: str | None,
    config: ServiceConfig,
) -> None:
    """Serve a run until Ctrl-C or SIGTERM.

    Args:
        run: Folder of a finished run, or its checkpoint.
        host: Address to listen at.
        port: Port to listen at; any that is free if 0.
        workers: Processes, each with the embeddings in its memory.
        state: Folder that keeps added items when the service ends; none if ``None``.
        config: The options.

    Raises:
        MMRecError: If the extra is missing, the port is taken, or there is no
            finished run.
    """
    check_installed()
    from pyg_mmrec.service.holder import Holder
    from pyg_mmrec.service.snapshot import check_run

    with ExitStack() as stack:
        taken = stack.enter_context(listening(host, port))
        own = stack.enter_context(tempfile.TemporaryDirectory(prefix="pyg_mmrec-"))
        place = Place(run, state or own, config)
        # What cannot be served says so here, once.
        holder = Holder(place) if workers == 1 else None
        if holder is None:
            check_run(place)
        if hasattr(signal, "SIGHUP"):  # else it would end what is not ready for it
            then = signal.SIG_IGN if holder is None else lambda *_: holder.touch()
            signal.signal(signal.SIGHUP, then)
        place.to_environment()
        shown = f"[{host}]" if ":" in host else host
        print(
            f"serving {run} at http://{shown}:{taken.getsockname()[1]} by {workers} "
            f"process{'es' * (workers > 1)}, described at /docs",
            flush=True,
        )
        if holder is None:
            _several(taken, workers, Path(own))
        else:
            _one(taken, holder)


def listening(host: str, port: int) -> socket.socket:
    """A socket at an address.

    Raises:
        MMRecError: If the port is taken, or there is no such address here.
    """
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Of a socket that does not say that it is TCP asyncio leaves Nagle's algorithm on,
    # and each answer waits 40 ms for the acknowledgement of its own head.
    found = socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        # Bound alone, two could share it until one listens.
        found.listen(2048)
    except (OSError, UnicodeError) as error:
        found.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise MMRecError(
            f"{host} port {port} cannot be listened at ({reason}): choose another "
            f"--port or --host"
        ) from error
    found.set_inheritable(True)
    return found


def _one(taken: socket.socket, holder: Holder) -> None:
    import uvicorn

    from pyg_mmrec.service.app import create_app

    app = create_app(holder.place, holder)
    settings = uvicorn.Config(app, **_settings())
    uvicorn.Server(settings).run(sockets=[taken])


def _several(taken: socket.socket, workers: int, own: Path) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from pyg_mmrec.service.metrics import FOLDER

    figures = own / "metrics"
    figures.mkdir()
    os.environ[FOLDER] = str(figures)
    settings = uvicorn.Config(
        _APP, factory=True, workers=workers,
        timeout_worker_healthcheck=_ANSWERS_SECONDS, **_settings(),
    )  # fmt: skip
    # Starts a new process in the place of one that died; on SIGHUP, one after another.
    Multiprocess(settings, sockets=[taken]).run()


def _settings() -> dict:
    return {
        "log_level": "warning",
        "access_log": False,
        "limit_concurrency": _CONNECTIONS,
        "timeout_keep_alive": 30,
        "server_header": False,
    }
