"""The addresses below the token: the page and its files, what is known, changes, and jobs."""

import asyncio
import base64
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from vps_d2.inference.vos.plan import DIRECTIONS
from vps_d2.io.errors import UserError
from vps_d2.web.annotator import Annotator
from vps_d2.web.jobs import BusyError
from vps_d2.web.requests import Fields, parse_json
from vps_d2.web.transfer import Upload
from vps_d2.web.view import MissingError

__all__ = ["make_app"]

_logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"

_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_POLICY = (
    "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src 'self'; "
    "img-src 'self' blob: data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_FOREVER = {"cache-control": "private, max-age=31536000, immutable"}
_EVENT_PAUSE = 0.1  # seconds between two events
_HEARTBEAT = 15.0  # seconds without an event after which the connection is tried
_MAX_LISTENERS = 32
_MAX_DIGITS = 9


def make_app(annotator: Annotator) -> FastAPI:
    """Return the application, which is to stand behind a :class:`vps_d2.web.guard.Guard`.

    Args:
        annotator: does what the requests ask for.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.router.redirect_slashes = False
    _handle_errors(app)
    _add_page(app)
    _add_reads(app, annotator)
    _add_events(app, annotator)
    _add_changes(app, annotator)
    _add_jobs(app, annotator)
    return app


def _handle_errors(app: FastAPI) -> None:
    async def tell(_: Request, error: Exception) -> Response:
        status = 400
        if isinstance(error, HTTPException):
            status = error.status_code
        elif isinstance(error, MissingError):
            status = 404
        elif isinstance(error, BusyError):
            status = 409
        sentence = str(getattr(error, "detail", error))
        return JSONResponse({"error": sentence}, status)

    async def fail(request: Request, error: Exception) -> Response:
        _logger.error("%s failed", request.url.path, exc_info=error)
        name = type(error).__name__
        return JSONResponse({"error": f"the server failed ({name}); see the terminal."}, 500)

    app.add_exception_handler(UserError, tell)
    app.add_exception_handler(HTTPException, tell)
    app.add_exception_handler(Exception, fail)


def _add_page(app: FastAPI) -> None:
    @app.get("/")
    def page() -> Response:
        nonce = secrets.token_urlsafe(16)
        text = (STATIC / "index.html").read_text(encoding="utf-8").replace("{{nonce}}", nonce)
        policy = {"content-security-policy": _POLICY.format(nonce)}
        return Response(text, media_type="text/html", headers=policy)

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        files = {path.name: path for path in STATIC.iterdir() if path.suffix in _TYPES}
        if name not in files:  # never a path that was made of what was asked for
            raise HTTPException(404, "there is no such file.")
        return Response(files[name].read_bytes(), media_type=_TYPES[files[name].suffix])


def _add_reads(app: FastAPI, annotator: Annotator) -> None:
    @app.get("/api/state")
    def state() -> Response:
        return JSONResponse(annotator.state())

    @app.get("/api/timeline")
    def timeline() -> Response:
        return JSONResponse(annotator.rows())

    @app.get("/api/frames/{name}")
    def frame(name: str, request: Request) -> Response:
        data = annotator.frame(_index(name, ".jpg"), _rows(request))
        return Response(data, media_type="image/jpeg", headers=_FOREVER)

    @app.get("/api/masks/{name}")
    def mask(name: str, request: Request) -> Response:
        revision = annotator.revision
        data = annotator.mask(_index(name, ".png"), _rows(request))
        asked = request.query_params.get("revision")
        headers = _FOREVER if asked == str(revision) == str(annotator.revision) else None
        if data is None:
            return Response(status_code=204, headers=headers)
        return Response(data, media_type="image/png", headers=headers)

    @app.get("/api/strokes/{name}")
    def strokes(name: str) -> Response:
        return JSONResponse(annotator.strokes(_index(name, "")))

    @app.get("/api/exports/{form}")
    def download(form: str) -> Response:
        video = annotator.session.source.name
        known = {each["id"]: each["name"] for each in annotator.exports.list(video)}
        if form not in known:
            raise HTTPException(404, "there is no such export; make it first.")
        path = annotator.exports.path(form)
        return FileResponse(path, filename=known[form], media_type="application/octet-stream")


def _add_events(app: FastAPI, annotator: Annotator) -> None:
    listening = 0

    @app.get("/api/events")
    async def events() -> Response:
        nonlocal listening
        if listening >= _MAX_LISTENERS:
            raise HTTPException(409, "too many pages are open; close some.")
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the server has just been stopped
                loop.call_soon_threadsafe(changed.set)

        async def stream() -> AsyncIterator[str]:
            nonlocal listening
            listening += 1
            stop = annotator.listen(wake)
            try:
                while not annotator.is_closed:
                    changed.clear()
                    state = await run_in_threadpool(annotator.state)
                    yield f"event: state\ndata: {json.dumps(state)}\n\n"
                    await asyncio.sleep(_EVENT_PAUSE)
                    while not await _wait(changed, _HEARTBEAT):
                        yield ": still here\n\n"
            finally:
                listening -= 1
                stop()

        return StreamingResponse(stream(), media_type="text/event-stream")


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; return whether it came in time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True


def _add_changes(app: FastAPI, annotator: Annotator) -> None:
    def answer(**values: Any) -> Response:
        return JSONResponse({**values, "revision": annotator.revision})

    @app.post("/api/strokes")
    async def add_strokes(request: Request) -> Response:
        asked = (await _fields(request)).strokes()

        def run() -> Response:
            number = annotator.add_strokes(asked.frame, asked.strokes, asked.number)
            data = base64.b64encode(annotator.mask(asked.frame) or b"").decode()
            return answer(object=number, mask=data)

        return await run_in_threadpool(run)

    @app.post("/api/objects")
    async def add_object(request: Request) -> Response:
        name = (await _fields(request)).name()
        return answer(number=await run_in_threadpool(annotator.add_object, name))

    @app.patch("/api/objects/{number}")
    async def rename_object(number: str, request: Request) -> Response:
        name = (await _fields(request)).name()
        await run_in_threadpool(annotator.rename_object, _index(number, ""), name)
        return answer()

    @app.delete("/api/objects/{number}")
    async def remove_object(number: str) -> Response:
        await run_in_threadpool(annotator.remove_object, _index(number, ""))
        return answer()

    @app.post("/api/clear")
    async def clear(request: Request) -> Response:
        fields = await _fields(request)
        asked = fields.index("start", 0), fields.end(), fields.numbers()
        await run_in_threadpool(annotator.clear, *asked)
        return answer()

    @app.post("/api/undo")
    async def undo() -> Response:
        return answer(done=await run_in_threadpool(annotator.turn, "undo"))

    @app.post("/api/redo")
    async def redo() -> Response:
        return answer(done=await run_in_threadpool(annotator.turn, "redo"))


def _add_jobs(app: FastAPI, annotator: Annotator) -> None:
    @app.post("/api/propagate")
    async def propagate(request: Request) -> Response:
        fields = await _fields(request)
        direction = fields.word("direction", DIRECTIONS)
        asked = direction, fields.index("start", 0), fields.end(), fields.numbers()
        job = await run_in_threadpool(annotator.propagate, *asked)
        return JSONResponse(job.to_json())

    @app.post("/api/resume")
    async def resume() -> Response:
        return JSONResponse((await run_in_threadpool(annotator.resume)).to_json())

    @app.post("/api/cancel")
    async def cancel() -> Response:
        annotator.cancel()
        return JSONResponse({"revision": annotator.revision})

    @app.post("/api/export")
    async def export(request: Request) -> Response:
        form = (await _fields(request)).word("form", tuple(annotator.exports.forms))
        return JSONResponse((await run_in_threadpool(annotator.export, form)).to_json())

    @app.post("/api/import")
    async def import_masks(request: Request) -> Response:
        await run_in_threadpool(annotator.check_free)  # before a large file is uploaded
        form = await request.form(max_files=1, max_fields=4, max_part_size=1 << 10)
        upload, frame = form.get("file"), form.get("frame")
        if not isinstance(upload, UploadFile):
            raise UserError("the request has no file; choose one.")
        index = None
        if isinstance(frame, str) and frame:
            index = _index(frame, "")
        await upload.seek(0)
        taken = Upload(upload.file, index)
        return JSONResponse((await run_in_threadpool(annotator.import_masks, taken)).to_json())


async def _fields(request: Request) -> Fields:
    return parse_json(await request.body())


def _index(name: str, suffix: str) -> int:
    """Return the number in a name such as ``12.jpg``.

    Raises:
        MissingError: if it is no such name.
    """
    if re.fullmatch(rf"\d{{1,{_MAX_DIGITS}}}{re.escape(suffix)}", name, re.ASCII) is None:
        raise MissingError("there is nothing of this name; name it by a number.")
    return int(name[: len(name) - len(suffix)])


def _rows(request: Request) -> int | None:
    """Return the height that a request asks for; None if it asks for none."""
    text = request.query_params.get("rows")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS and int(text)):
        raise UserError("rows is not a whole number of 1 or more.")
    return int(text)
