"""Settings that come as text: one way to read, check and describe them, for the pipeline and the service.

A setting is a field of a msgspec struct. `msgspec.Meta` on the field holds its bounds and its description.
`Meta(extra=…)` may hold two parts of the error message: `expected`, where bounds and pattern say too little,
and `found`, where the value must not be shown.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from movierank_core.errors import ConfigError


def texts_of(environment: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """The text of every variable that is set, by field; `variables` maps fields to their variables.

    An empty variable counts as unset.
    """
    found = {field: environment.get(variable, "") for field, variable in variables.items()}
    return {field: text for field, text in found.items() if text}


def convert_setting(
    struct: type[msgspec.Struct], field: str, value: object, *, name: str, remedy: str
) -> Any:
    """`value` (a text, or a value of the right type) as the type of `field`, checked against its bounds.

    Numbers must be finite. A text for a tuple has commas between its items. Raises ConfigError, whose
    message calls the setting `name`.
    """
    kind = _field(struct, field).type
    extra = _extra(struct, field)
    given = value.split(",") if isinstance(value, str) and _is_tuple(kind) else value
    try:
        converted = msgspec.convert(given, _annotation(struct, field), strict=False)
    except msgspec.ValidationError:
        converted = None
    if converted is None or (isinstance(converted, float) and not math.isfinite(converted)):
        found = extra.get("found") or f"cannot be {value!r}"
        expected = extra.get("expected") or expectation(kind)
        raise ConfigError(f"{name} {found}", expected=expected, remedy=remedy)
    return converted


def description_of(struct: type[msgspec.Struct], field: str) -> str:
    """The description of one field; empty where it has none."""
    kind = _field(struct, field).type
    schema = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    return str((schema or {}).get("description", ""))


def bounds_of(struct: type[msgspec.Struct], field: str) -> dict[str, float]:
    """The bounds of a number, by `ge`, `gt`, `le` and `lt`; empty where there are none."""
    kind = _plain(_field(struct, field).type)
    if not isinstance(kind, inspect.IntType | inspect.FloatType):
        return {}
    bounds = {"ge": kind.ge, "gt": kind.gt, "le": kind.le, "lt": kind.lt}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def expectation(kind: inspect.Type) -> str:
    """In words, what a value of this type has to be: "a whole number from 1 to 256"."""
    kind = _plain(kind)
    if isinstance(kind, inspect.VarTupleType):
        n_values = f"at least {kind.min_length} values" if (kind.min_length or 0) > 1 else "values"
        return f"{n_values} separated by commas, each {expectation(kind.item_type)}"
    if isinstance(kind, inspect.BoolType):
        return "true or false"
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        name = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
        words = {"from": kind.ge, "above": kind.gt, "up to": kind.le, "below": kind.lt}
        parts = [f"{word} {bound:,.15g}" for word, bound in words.items() if bound is not None]
        if kind.ge is not None and kind.le is not None:
            parts = [f"from {kind.ge:,.15g} to {kind.le:,.15g}"]
        return f"{name} {' and '.join(parts)}".rstrip()
    return "a text"


def _field(struct: type[msgspec.Struct], name: str) -> inspect.Field:
    return _fields(struct)[name]


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, inspect.Field]:
    """The fields by name. Inspection takes milliseconds, and there is a call for each setting."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    return {field.name: field for field in described.fields}


def _annotation(struct: type[msgspec.Struct], name: str) -> Any:
    return next(field.type for field in msgspec.structs.fields(struct) if field.name == name)


def _extra(struct: type[msgspec.Struct], name: str) -> dict[str, Any]:
    kind = _field(struct, name).type
    return (kind.extra or {}) if isinstance(kind, inspect.Metadata) else {}


def _plain(kind: inspect.Type) -> inspect.Type:
    """A type without its description."""
    return kind.type if isinstance(kind, inspect.Metadata) else kind


def _is_tuple(kind: inspect.Type) -> bool:
    return isinstance(_plain(kind), inspect.VarTupleType)
