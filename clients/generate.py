#!/usr/bin/env python3
"""Makes the packages' types of the control API from docs/openapi.json.

    python3 clients/generate.py            writes them
    python3 clients/generate.py --check    fails if they are stale
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / "clients/python/src/sandtable/types.py"
NODE = ROOT / "clients/node/src/control.d.cts"
MADE = "Made by clients/generate.py from docs/openapi.json; do not edit."

# What Python programs get as objects. All others are dictionaries, typed as such.
OBJECTS = {
    "ClockState": None,
    "RuleState": None,
    "StepState": None,
    "FaultState": None,
    "Exchange": "ExchangeMixin",
    "Container": None,
    "ContainerFile": None,
    "Verdict": "VerdictMixin",
}
# Members that older servers do not tell, and what stands for them.
NEWER = {
    ("Container", "workspace"): '""',
    ("Container", "files"): '"asleep"',
    ("Container", "pending"): "False",
    ("Exchange", "workspace"): '""',
    ("RuleState", "column"): "0",
    ("Verdict", "requests"): "None",
}
TYPED_ELSEWHERE = {"RateLimit"}


def reference(schema):
    return schema["$ref"].rsplit("/", 1)[1]


def nullable(schema):
    """The schema without null, and whether it had it."""
    kind = schema.get("type")
    if isinstance(kind, list) and "null" in kind:
        rest = [each for each in kind if each != "null"]
        return {**schema, "type": rest[0] if len(rest) == 1 else rest}, True
    for joint in ("anyOf", "oneOf"):
        parts = schema.get(joint)
        if parts and {"type": "null"} in parts:
            rest = [part for part in parts if part != {"type": "null"}]
            return (rest[0] if len(rest) == 1 else {joint: rest}), True
    return schema, False


def words(schema):
    """The words of a closed set; None of anything else."""
    if "enum" in schema:
        return schema["enum"]
    parts = schema.get("oneOf")
    if parts and all("const" in part or set(part) <= {"type", "enum", "description"} for part in parts):
        return [word for part in parts for word in ([part["const"]] if "const" in part else part["enum"])]
    return None


def union(schema):
    return schema.get("oneOf") or schema.get("anyOf")


def python_type(schema):
    schema, is_nullable = nullable(schema)
    kind = schema.get("type")
    if "$ref" in schema:
        text = reference(schema)
    elif words(schema):
        text = "Literal[" + ", ".join(json.dumps(word) for word in words(schema)) + "]"
    elif "const" in schema:
        text = f"Literal[{json.dumps(schema['const'])}]"
    elif union(schema):
        text = "Union[" + ", ".join(python_type(part) for part in union(schema)) + "]"
    elif kind == "array":
        text = f"list[{python_type(schema.get('items', {}))}]"
    elif kind == "object":
        values = schema.get("additionalProperties")
        properties = schema.get("properties", {})
        if isinstance(values, dict):
            text = f"dict[str, {python_type(values)}]"
        elif len(properties) == 1:
            text = f"dict[str, {python_type(next(iter(properties.values())))}]"
        else:
            text = "dict[str, Any]"
    elif kind == "string":
        text = "datetime" if schema.get("format") == "date-time" else "str"
    else:
        text = {"integer": "int", "number": "float", "boolean": "bool"}.get(kind, "Any")
    return f"Optional[{text}]" if is_nullable else text


def node_type(schema):
    schema, is_nullable = nullable(schema)
    kind = schema.get("type")
    if "$ref" in schema:
        text = reference(schema)
    elif words(schema):
        text = " | ".join(json.dumps(word) for word in words(schema))
    elif "const" in schema:
        text = json.dumps(schema["const"])
    elif union(schema):
        text = " | ".join(node_type(part) for part in union(schema))
    elif kind == "array":
        text = f"Array<{node_type(schema.get('items', {}))}>"
    elif kind == "object":
        values = schema.get("additionalProperties")
        properties = schema.get("properties", {})
        if isinstance(values, dict):
            text = f"Record<string, {node_type(values)}>"
        elif properties:
            text = "{ " + "; ".join(f"{name}: {node_type(each)}" for name, each in properties.items()) + " }"
        else:
            text = "Record<string, any>"
    elif kind == "string":
        text = "string"
    else:
        text = {"integer": "number", "number": "number", "boolean": "boolean"}.get(kind, "any")
    return f"{text} | null" if is_nullable else text


def about(schema):
    return " ".join(schema.get("description", "").split())


def docstring(text, indent):
    return f'{indent}"""{text}"""\n' if text else ""


def python_object(name, schema):
    required, defaulted = [], []
    for member, each in schema["properties"].items():
        text = python_type(each)
        default = NEWER.get((name, member))
        if default == "None":
            text = f"Optional[{text}]"
        if default is None and member not in schema["required"]:
            bare = each.get("type")
            default = "False" if bare == "boolean" else "None"
            if default == "None" and not text.startswith("Optional"):
                text = f"Optional[{text}]"
        elif default is None and text.startswith("Optional"):
            default = "None"
        elif default is None and re.match(r"(list|dict)\[", text):
            default = f"field(default_factory={text[:4]})"
        line = f"    {member}: {text}" + (f" = {default}" if default else "") + "\n" + docstring(about(each), "    ")
        (defaulted if default else required).append(line)
    base = f"({OBJECTS[name]})" if OBJECTS[name] else ""
    return (
        f"@dataclass(frozen=True)\nclass {name}{base}:\n"
        + docstring(about(schema), "    ")
        + "\n"
        + "".join(required + defaulted)
    )


def python_members(schema, names):
    lines = [f"    {name}: {python_type_of_dict(schema['properties'][name])}\n" + docstring(about(schema["properties"][name]), "    ") for name in names]
    return "".join(lines)


def python_type_of_dict(schema):
    """Dictionaries are told as they came: times are texts."""
    return re.sub(r"\bdatetime\b", "str", python_type(schema))


def python_dict(name, schema):
    members = schema.get("properties", {})
    required = [member for member in members if member in schema.get("required", [])]
    optional = [member for member in members if member not in required]
    if any(member == "from" for member in members):
        fields = ", ".join(f'"{member}": {json.dumps(python_type_of_dict(each)) if "[" in python_type_of_dict(each) or python_type_of_dict(each)[0].isupper() else python_type_of_dict(each)}' for member, each in members.items())
        return f'{name} = TypedDict("{name}", {{{fields}}})\n' + docstring(about(schema), "")
    if required and optional:
        head = f"class _{name}(TypedDict):\n" + python_members(schema, required) + "\n\n"
        return head + f"class {name}(_{name}, total=False):\n" + docstring(about(schema), "    ") + "\n" + python_members(schema, optional)
    total = "" if required else ", total=False"
    return f"class {name}(TypedDict{total}):\n" + docstring(about(schema), "    ") + "\n" + python_members(schema, required or optional)


def is_alias(schema):
    return "properties" not in schema


def told(schemas):
    """What programs of the packages may see, aliases last: they look at once at what they name."""
    kept = {
        name: schema
        for name, schema in schemas.items()
        if not name.startswith("ListOf") and name != "Event" and name not in TYPED_ELSEWHERE
    }
    return dict(sorted(kept.items(), key=lambda item: (is_alias(item[1]), item[0])))


def python(schemas):
    mixins = ", ".join(sorted({mixin for mixin in OBJECTS.values() if mixin}))
    text = f'''# {MADE}
"""What control calls answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Optional, TypedDict, Union

from .mixins import {mixins}
from .reading import parse_time as parse_time, read as read, time_text as time_text
'''
    for name, schema in told(schemas).items():
        text += "\n" if is_alias(schema) else "\n\n"
        if is_alias(schema):
            text += f"{name} = {python_type(schema)}\n" + docstring(about(schema), "")
        elif name in OBJECTS:
            text += python_object(name, schema)
        else:
            text += python_dict(name, schema)
    return text


def node(schemas):
    text = f"// What control calls answer. {MADE}\n"
    for name, schema in told(schemas).items():
        text += f"\n/** {about(schema)} */\n" if about(schema) else "\n"
        if is_alias(schema):
            text += f"export type {name} = {node_type(schema)};\n"
            continue
        text += f"export interface {name} {{\n"
        for member, each in schema["properties"].items():
            if about(each):
                text += f"  /** {about(each)} */\n"
            mark = "" if member in schema.get("required", []) else "?"
            text += f"  {member}{mark}: {node_type(each)};\n"
        text += "}\n"
    return text


def main():
    schemas = json.loads((ROOT / "docs/openapi.json").read_text())["components"]["schemas"]
    stale = []
    for path, text in ((PYTHON, python(schemas)), (NODE, node(schemas))):
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text() != text:
                stale.append(str(path.relative_to(ROOT)))
        else:
            path.write_text(text)
    if stale:
        sys.exit(f"stale: {', '.join(stale)}; `python3 clients/generate.py` writes them anew")


if __name__ == "__main__":
    main()
