"""The application: what each path answers."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import torch
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from pyg_mmrec import __version__
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.service import messages as m
from pyg_mmrec.service.config import Place, ServiceConfig
from pyg_mmrec.service.guard import Guard
from pyg_mmrec.service.holder import Holder
from pyg_mmrec.service.metrics import CONTENT_TYPE, Metrics
from pyg_mmrec.service.snapshot import (
    Conflict,
    NotOffered,
    Row,
    Snapshot,
    UnknownId,
)

_LOG = logging.getLogger("pyg_mmrec.service")
_STATUS: dict[type[MMRecError], int] = {UnknownId: 404, Conflict: 409, NotOffered: 501}
_PROBLEMS: dict[int | str, Any] = {
    code: {"model": m.Problem} for code in (400, 404, 413, 422)
}
_MORE: dict[int | str, Any] = {code: {"model": m.Problem} for code in (409, 501)}


def from_environment() -> FastAPI:
    """The application of a worker, by what the process that started it told."""
    return create_app(Place.from_environment())


def create_app(place: Place, holder: Holder | None = None) -> FastAPI:
    """The application that serves a run.

    Args:
        place: The run, where added items are kept, and the options.
        holder: What holds the run, if it is loaded already.

    Raises:
        MMRecError: If there is no finished run.
    """
    torch.set_num_threads(place.config.threads)
    metrics = Metrics()
    holder = Holder(place) if holder is None else holder
    holder.changed = metrics.serving
    metrics.serving(holder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        holder.watch()
        yield
        holder.close()

    app = FastAPI(
        title="pyg_mmrec", version=__version__, lifespan=lifespan,
        description="Recommendations of a finished run, by raw ids.",
    )  # fmt: skip
    app.state.holder = holder
    app.add_middleware(Guard, max_body=place.config.max_body, metrics=metrics)
    _add_errors(app)
    _add_questions(app, holder, place.config)
    _add_state(app, holder, metrics)
    if not place.config.read_only:
        _add_changes(app, holder, place.config)
    return app


def _add_questions(app: FastAPI, holder: Holder, config: ServiceConfig) -> None:
    # Functions that are not async: each runs in a thread, and a search of a million
    # items holds up no other request.
    @app.post("/recommend", responses={**_PROBLEMS, 501: {"model": m.Problem}})
    def recommend(asked: m.RecommendRequest) -> m.Answer:
        """The best items for a user, or for a history."""
        _check_k(asked.k, config)
        for name in ("history", "allow", "deny"):
            _check_count(name, getattr(asked, name) or (), config.max_ids)
        if (asked.user is None) == (asked.history is None):
            raise MMRecError("give a user or a history: one of them")
        if asked.history == []:
            raise MMRecError("a history needs an item at least")
        snapshot = holder.current
        if asked.history is None and asked.where is None and asked.diversity == 0:
            rows = snapshot.recommend(
                asked.user, asked.k, asked.exclude_seen, asked.allow, asked.deny
            )
        else:
            given = asked.model_dump(exclude={"user"})
            given["users"] = asked.user
            if asked.exclude_seen == "none":
                given["exclude_seen"] = False
            rows = snapshot.by_index(given)
        return _answer(rows, snapshot)

    @app.post("/similar", responses=_PROBLEMS)
    def similar(asked: m.SimilarRequest) -> m.Answer:
        """The items nearest to one."""
        _check_k(asked.k, config)
        snapshot = holder.current
        return _answer(snapshot.similar(asked.item, asked.k), snapshot)


def _add_state(app: FastAPI, holder: Holder, metrics: Metrics) -> None:
    @app.get("/health")
    async def health() -> m.Health:
        """What this worker serves, and whether its last reload failed."""
        snapshot, problem = holder.current, holder.problem
        return m.Health(
            status="ok" if problem is None else "stale",
            problem=problem,
            version=snapshot.version,
            users=len(snapshot.index.user_ids),
            items=len(snapshot.index.item_ids),
            added=snapshot.added,
            search=snapshot.search.name,
            recall=snapshot.recall,
            model=snapshot.index.extension is not None,
            process=os.getpid(),
        )

    @app.get("/metrics", response_class=Response)
    def figures() -> Response:
        """Counts and seconds of all workers, as Prometheus reads them."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _add_changes(app: FastAPI, holder: Holder, config: ServiceConfig) -> None:
    @app.post("/items", responses={**_PROBLEMS, **_MORE})
    def items(asked: m.AddRequest) -> m.Added:
        """Add items: here at once, and to the other workers at their next look."""
        _check_count("items", asked.items, config.max_items)
        snapshot = holder.add([item.model_dump() for item in asked.items])
        return m.Added(
            added=len(asked.items),
            items=len(snapshot.index.item_ids),
            version=snapshot.version,
        )

    @app.post("/reload", responses={503: {"model": m.Problem}})
    def reload() -> Any:
        """Load the run again if its file is another; other workers do by themselves."""
        try:
            loaded = holder.refresh()
        except MMRecError as error:  # the old version stays in service
            return _problem(503, str(error))
        return m.Reloaded(loaded=loaded, version=holder.current.version)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(MMRecError)
    async def mistake(_: Request, error: MMRecError) -> JSONResponse:
        return _problem(_STATUS.get(type(error), 422), str(error))

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return _problem(400, "the request is no JSON")
        place = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return _problem(422, f"{place[:100]}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> JSONResponse:
        _LOG.error("a request failed", exc_info=error)
        return _problem(500, "the service failed: its log tells why")


def _problem(status: int, reason: str) -> JSONResponse:
    # What was asked may hold text that no UTF-8 can.
    shown = reason.encode("utf-8", "backslashreplace").decode()
    return JSONResponse({"error": shown}, status)


def _answer(rows: Sequence[Row], snapshot: Snapshot) -> m.Answer:
    items = [m.Ranked(item=i, score=s, title=t) for i, s, t in rows]
    return m.Answer(items=items, version=snapshot.version)


def _check_k(k: int, config: ServiceConfig) -> None:
    if k > config.max_k:
        raise MMRecError(f"'k' is {config.max_k} at most (got {k})")


def _check_count(name: str, values: Sequence[Any], most: int) -> None:
    if len(values) > most:
        raise MMRecError(f"{name!r} has {most} values at most (got {len(values)})")
