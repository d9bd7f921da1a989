"""The web application: Label Studio's ML backend protocol, and its webhooks.

`GET /health`, `POST /setup`, `POST /predict` and `POST /webhook`, under `/` or under the secret.
Only predictions wait for the model, and no longer than the server waits for them.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import HTTPException as AnyHTTPException
from fastapi.responses import JSONResponse

from sparsedet.errors import SparseDetError

from ..client.answers import NoJsonError, parse_json
from .model_host import NoModelError, live_version
from .secret import WRONG_SECRET, is_right
from .service import Service
from .work_queue import BusyError

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 80.0
"""Label Studio waits 100 s for a prediction; the rest is for network latency."""

_SIDE_BY_SIDE = 4
"""Tasks of a request processed at a time, so that large requests don't block others."""


def make_app(service: Service, *, answer_seconds: float = ANSWER_SECONDS) -> FastAPI:
    """Return the application.

    Args:
        service: the service, started and stopped with the application.
        answer_seconds: time limit for a prediction.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await asyncio.to_thread(service.stop)

    app = FastAPI(title="sparsedet", lifespan=lifespan, docs_url=None, openapi_url=None)
    app.add_exception_handler(AnyHTTPException, _refused)
    app.add_exception_handler(SparseDetError, _failed)
    app.add_exception_handler(Exception, _broken)
    check = Depends(_check_secret(service.secret))
    routes = _routes(service, answer_seconds)
    app.include_router(routes, dependencies=[check])
    app.include_router(routes, prefix="/{secret}", dependencies=[check])
    return app


def _routes(service: Service, answer_seconds: float) -> APIRouter:
    routes = APIRouter()

    @routes.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "sparsedet"}

    @routes.post("/setup")
    async def setup() -> dict[str, str]:
        # The request contains an access token, which we neither need nor read.
        return {"model_version": live_version(service.host.current.info.run_id)}

    @routes.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        deadline = time.monotonic() + answer_seconds
        content = await _json_object(request)
        tasks, config = content.get("tasks"), content.get("label_config")
        if not isinstance(tasks, list) or not isinstance(config, str) or not tasks:
            raise HTTPException(400, "expected tasks and the label_config of their project")
        # The project is given by number and creation date: 7.1732540000.
        project = str(content.get("project") or "").partition(".")[0]
        return {"results": await _answers(service, tasks, config, project, deadline)}

    @routes.post("/webhook")
    async def webhook(request: Request) -> dict[str, str]:
        return {"status": service.report(await _json_object(request))}

    return routes


async def _answers(
    service: Service,
    tasks: Sequence[Mapping[str, Any]],
    config: str,
    project: str,
    deadline: float,
) -> list[Any]:
    """Return a prediction for each task; an empty list for those without one.

    The server stores predictions, and requests the others again.

    Raises:
        SparseDetError: if there are none at all.
    """
    service.host.check()  # without a model, there is nothing to wait for
    side_by_side = asyncio.Semaphore(_SIDE_BY_SIDE)
    problems: list[SparseDetError] = []

    async def answer(task: Mapping[str, Any]) -> Any:
        async with side_by_side:
            if any(isinstance(problem, BusyError) for problem in problems):
                return []
            try:
                return await service.queue.run(
                    lambda: service.predictor.predict(task, config, project), deadline
                )
            except SparseDetError as error:
                problems.append(error)
                return []

    answers = await asyncio.gather(*(answer(task) for task in tasks))
    if problems:
        logger.warning("%d of %d tasks: %s", len(problems), len(tasks), problems[0])
        if not any(answers):
            raise problems[0]
    return list(answers)


def _check_secret(secret: str) -> Any:
    async def check(request: Request) -> None:
        header, in_path = request.headers.get("authorization"), request.path_params.get("secret")
        if not is_right(secret, header, in_path):
            raise HTTPException(401, WRONG_SECRET, {"WWW-Authenticate": "Basic"})

    return check


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        content = parse_json(await request.body())
    except NoJsonError:
        content = None
    if not isinstance(content, dict):
        raise HTTPException(400, "expected a JSON object")
    return content


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyHTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    waits = isinstance(error, BusyError | NoModelError)
    return JSONResponse({"error": " ".join(str(error).split())}, 503 if waits else 500)


async def _broken(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "internal error in sparsedet; see its terminal"}, 500)
