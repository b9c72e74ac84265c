"""Settings of protocols, read as their dataclass says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic

from addp_bench.errors import BadOption, unknown

S = TypeVar("S")


def settings_of(kind: type[S], task: str, protocol: Mapping[str, Any]) -> S:
    """The dataclass `kind` of a protocol's settings.

    Raises UnknownName for a setting that does not exist, BadOption for a value of another type; both name the task.
    """
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]  # a dataclass, as is said
    for name in protocol:
        if name not in known:
            raise unknown(f"setting of a {task} protocol", name, known)
    try:
        return pydantic.TypeAdapter(kind).validate_python(dict(protocol))
    except pydantic.ValidationError as wrong:
        first = wrong.errors()[0]
        raise BadOption(f"{task} protocol: {first['loc'][0]}={first['input']!r}: {first['msg']}") from wrong
