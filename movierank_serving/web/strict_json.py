"""Strict decoding of request bodies.

Litestar converts `"1"` to 1 for an `int` field. This DTO decodes with msgspec in strict mode instead, in one
pass from bytes to the request's struct, and refuses every value of another type.
"""

from collections.abc import Generator
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from litestar.dto import AbstractDTO
from litestar.dto.data_structures import DTOFieldDefinition
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from movierank_core.data.history import EVENT_TYPES, FEEDBACK_EVENT_TYPES
from movierank_serving.web.problems import ServiceProblem, from_msgspec, invalid

T = TypeVar("T")
_ALLOWED: Final = {"event_type": FEEDBACK_EVENT_TYPES, "history[].event_type": tuple(EVENT_TYPES)}


class StrictJson(AbstractDTO[T]):
    """`dto=StrictJson[RankRequest]` on a route: `data` is a RankRequest, or the request is refused."""

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Does nothing: Litestar's own backends are not used."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        return False

    def decode_bytes(self, value: bytes) -> Any:
        content_type = self.asgi_connection.headers.get("content-type", "")
        kind = content_type.partition(";")[0].strip().lower()
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            raise ServiceProblem(
                415,
                "unsupported-media-type",
                f"The Content-Type is {content_type or 'missing'}. Expected: application/json.",
            )
        try:
            model: Any = self.model_type
            return _decoder(model).decode(value)
        except msgspec.ValidationError as error:
            raise from_msgspec(error, _ALLOWED) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise invalid("", f"the body is not JSON ({error})") from error


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=True)
