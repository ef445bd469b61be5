"""How an endpoint's answer becomes JSON.

FastAPI takes a second thread to check what an endpoint returned against its model, which mypy has
done, and makes the JSON of it on the event loop, where everybody waits. Both cost a short request
more than its answer does.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from fastapi import Response
from pydantic import TypeAdapter

from runyard.web.bodies import Route


class Answering(Route):
    """A route whose plain functions make the JSON of their answers in their own thread."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        status_code: int | None = None,
        **options: Any,
    ) -> None:
        if not inspect.iscoroutinefunction(endpoint):
            endpoint = _in_json(endpoint, status_code or 200)
        super().__init__(path, endpoint, status_code=status_code, **options)


def _in_json(endpoint: Callable[..., Any], status: int) -> Callable[..., Any]:
    kind = get_type_hints(endpoint)["return"]
    if kind is type(None) or (isinstance(kind, type) and issubclass(kind, Response)):
        return endpoint
    answer: TypeAdapter[Any] = TypeAdapter(kind)

    @functools.wraps(endpoint)
    def answering(*args: Any, **kwargs: Any) -> Response:
        found = answer.dump_json(endpoint(*args, **kwargs), by_alias=True)
        return Response(found, status, media_type="application/json")

    return answering
