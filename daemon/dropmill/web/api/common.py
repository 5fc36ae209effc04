"""What all routes of the API share: the shape of problems, ids, and targets that may be bytes."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import JSONResponse, Response

from dropmill.errors import DropmillError, NotFound
from dropmill.web.problem import PROBLEMS as PROBLEMS

Json = dict[str, Any]

# Beyond it, JavaScript and others that keep numbers as doubles take one id for another (RFC 8259, section 6).
LARGEST_ID: Final = (1 << 53) - 1
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]


class _IdConvertor(Convertor[str]):
    """Part of a path that is a number: others lead nowhere, and no number is too long to be read."""

    regex = "[0-9]{1,30}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _IdConvertor())


def _no_bool(value: Any) -> Any:
    # pydantic would take false for 0, and "5" for 5.
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


# Last of the marks of a number, so that its bounds stay known to the OpenAPI document.
NUMBER: Final = BeforeValidator(_no_bool)
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(min_length=1)]
Base64 = Annotated[
    str,
    Field(
        pattern=r"^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}(?:==)?|[A-Za-z0-9_-]{3}=?|[A-Za-z0-9_-]{4})$",
        description="URL-safe base64 of a path's bytes; padding may be left out.",
    ),
]


class Body(BaseModel):
    """What is sent: a field that is not known is an error, so that a misspelt one is not passed over."""

    model_config = ConfigDict(extra="forbid")


def given(name: str, **more: Any) -> dict[str, Any]:
    """JSON Schema of an object in which that field is there and not null."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}, **more}}}


class Told(BaseModel):
    """What is answered. Later versions may tell more."""

    model_config = ConfigDict(extra="allow")


class Target(Body):
    """A file, a job or an inbox: as text, or as URL-safe base64 of a path's bytes, which goes first."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [given("target"), given("target_b64")]})

    target: Text | None = Field(default=None, description="A path, or what else the route takes.")
    target_b64: Base64 | None = Field(default=None, description="The same as URL-safe base64 of its bytes.")

    def bytes_or_text(self) -> str | bytes:
        """Raises ``NotFound``, and ``Invalid`` where nothing is named."""
        if self.target_b64 is None and self.target is None:
            raise Invalid("no target is named", hint="give target or target_b64")
        return target_of(self.target, self.target_b64)


class Invalid(DropmillError):
    """The request cannot be understood."""

    reason = "invalid-request"


def target_of(text: str | None, encoded: str | None) -> str | bytes:
    """Raises ``NotFound``."""
    if encoded is not None:
        return bytes_of(encoded)
    if text is None:
        raise NotFound("nothing is named", hint="give target or target_b64")
    return path_of(text)


def bytes_of(encoded: str) -> bytes:
    """Of what ``Base64`` lets pass. Raises ``NotFound`` for what can be no path."""
    data = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    if b"\0" in data:
        raise _no_path()
    return data


def at_once(told: Json | list[Json], status: int = 200) -> Response:
    """What may be long is not checked field by field on its way out, which would hold up everybody else's turn."""
    return JSONResponse(told, status)


def path_of(text: str) -> str:
    """Raises ``NotFound`` for what can be no path."""
    if "\0" in text:
        raise _no_path()
    return text


def _no_path() -> NotFound:
    return NotFound("there is no such path", hint="no path has a zero byte")
