"""The routes that every chute has: `/metrics`, its jobs, and the docs without a content delivery network."""

from pathlib import Path
from typing import TYPE_CHECKING

import fastapi_offline
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from chutes.chute.chute import definition_of
from chutes.serve.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from chutes.serve.app import ServedChute

__all__ = ["built_in_routes"]

_ASSETS = "/docs-assets"


def built_in_routes(served: "ServedChute") -> list[BaseRoute]:
    """The routes of ours; a user's own route on literally the same path takes the place of one."""

    async def metrics(_request: Request) -> Response:
        await served.background.measure()
        return Response(served.meters.text(), media_type=CONTENT_TYPE)

    return [Route("/metrics", metrics, include_in_schema=False), *_jobs(served), *_docs(served)]


def _jobs(served: "ServedChute") -> list[BaseRoute]:
    jobs = definition_of(served.chute).jobs
    if not jobs:
        return []
    # Most chutes have none, and need nothing of what they bring.
    from chutes.jobs.routes import job_routes

    return [*job_routes(served.jobs, jobs)]


def _docs(served: "ServedChute") -> list[BaseRoute]:
    app, options = served.app, served.chute.config.fastapi_options
    docs_url, redoc_url = options.get("docs_url", "/docs"), options.get("redoc_url", "/redoc")
    if not app.openapi_url or not (docs_url or redoc_url):
        return []
    redirect_url = app.swagger_ui_oauth2_redirect_url

    async def swagger(request: Request) -> HTMLResponse:
        root = _root(request)
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title} - API docs",
            oauth2_redirect_url=f"{root}{redirect_url}" if redirect_url else None,
            init_oauth=app.swagger_ui_init_oauth,
            swagger_ui_parameters=app.swagger_ui_parameters,
            swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
        )

    async def redoc(request: Request) -> HTMLResponse:
        root = _root(request)
        return get_redoc_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title} - API reference",
            redoc_js_url=f"{root}{_ASSETS}/redoc.standalone.js",
            redoc_favicon_url=f"{root}{_ASSETS}/favicon.png",
            with_google_fonts=False,
        )

    async def oauth2_redirect(_request: Request) -> HTMLResponse:
        return get_swagger_ui_oauth2_redirect_html()

    wanted = [(docs_url, swagger), (redoc_url, redoc), (docs_url and redirect_url, oauth2_redirect)]
    routes: list[BaseRoute] = [Route(path, page, include_in_schema=False) for path, page in wanted if path]
    assets = Path(fastapi_offline.__file__).parent / "static"
    return [*routes, Mount(_ASSETS, StaticFiles(directory=assets), name="docs-assets")]


def _root(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")
