"""Check a document against a JSON schema; the most telling violation as one sentence."""

from __future__ import annotations

from typing import Any

from runyard.errors import InvalidJobFile
from runyard.service.documents import Document, Fault, invalid

_LONGEST = 300


def check(document: Document, schema: Document) -> None:
    """Raise ``InvalidJobFile`` unless the document fits, or if the schema is none."""
    try:
        reason = _violation(document.value, schema.value)
    except Fault as fault:
        raise invalid(schema.label, str(fault)) from None
    if reason:
        raise _violated(document, schema, reason)


def _violated(document: Document, schema: Document, reason: str) -> InvalidJobFile:
    if len(reason) > _LONGEST:  # it may quote a whole document
        reason = reason[:_LONGEST] + "…"
    return invalid(document.label, f"{reason} (by the schema {schema.label})")


def _violation(value: Any, schema: Any) -> str | None:
    # Slow to import, and rarely needed.
    import jsonschema
    from jsonschema.exceptions import best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    if not isinstance(schema, dict | bool):
        raise Fault("not a JSON schema: it must be an object")
    try:
        cls: Any = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
        cls.check_schema(schema)
        # A registry of its own: the default one would fetch references over the network.
        found = best_match(cls(schema, registry=Registry()).iter_errors(value))
    except jsonschema.SchemaError as broken:
        raise Fault(f"not a JSON schema: {broken.json_path}: {broken.message}") from None
    except Unresolvable as missing:
        raise Fault(f"its reference {missing.ref!r} leads nowhere") from None
    except RecursionError:
        raise Fault("its references lead in a circle") from None
    except Exception as error:  # the library trusts schemas and falls over bad ones
        raise Fault(f"not a JSON schema: {error}") from None
    return f"{found.json_path}: {found.message}" if found else None
