"""The texts of a chart's generated files, from the models that describe its values."""

from __future__ import annotations

import functools
import json
import textwrap
from collections.abc import Iterator
from typing import Any

from jobs.options import PLACEMENT_OPTIONS
from jobs.release.plan.values import Values
from jobs.release.plan.values_parts import Section
from pydantic import BaseModel
from pydantic.fields import FieldInfo

WIDTH = 120
Options = type[BaseModel]


def values_yaml(options: Options, about: dict[str, Any]) -> str:
    """Return values.yaml: each value's default, with its description above it; about: Chart.yaml."""
    lines = [
        f"# Values of the chart {about['name']}. Written by charts/generate.py from jobs/release/plan/values.py and",
        "# the job's options; a key that is not here is refused.",
    ]
    for path, description, default in _described(options, about):
        indent = "  " * (len(path) - 1)
        mark = "#" if default is Section else "# --"
        lines += ["", *_comment(indent, mark, description)] if len(path) == 1 else _comment(indent, mark, description)
        lines.append(f"{indent}{path[-1]}:" + ("" if default is Section else f" {_yaml(default)}"))
    return "\n".join(lines) + "\n"


def readme(options: Options, about: dict[str, Any]) -> str:
    """Return README.md: how the chart is used, and the table of its values; about: Chart.yaml."""
    rows = [
        f"| `{'.'.join(path)}` | `{_yaml(default)}` | {description.replace('|', chr(92) + '|')} |"
        for path, description, default in _described(options, about)
        if default is not Section
    ]
    study = [f"`{name}`" for name in about.get("annotations", {}).get("dask-jobs/study", "").split()]
    folder = STUDY.format(", ".join(study)) if study else OTHERS
    text = ABOUT.format(folder=folder, kubernetes=about["kubeVersion"].removesuffix("-0"))
    return README.format(**about, text=textwrap.fill(text, WIDTH, break_on_hyphens=False), rows="\n".join(rows))


def values_schema(options: Options, about: dict[str, Any]) -> str:
    """Return values.schema.json: draft 7, without references, so that all of Helm's versions read it."""
    schema = Values.model_json_schema()
    job = options.model_json_schema()
    job["properties"] = {name: value for name, value in job["properties"].items() if name not in PLACEMENT_OPTIONS}
    job["description"] = "the job's options, as on the command line"
    schema["properties"]["job"] = job
    schema = _inlined(schema, schema["$defs"] | job.pop("$defs", {}))
    for path, default in _own_defaults(about).items():
        functools.reduce(lambda node, name: node["properties"][name], path, schema)["default"] = default
    for section in _sections(schema):
        section["required"] = [name for name, value in section["properties"].items() if _always_there(value)]
    schema["properties"]["job"]["required"] = []
    for option in schema["properties"]["job"]["properties"].values():
        _allow_text(option)
    # Helm adds these two itself.
    schema["properties"]["global"] = {"type": "object"}
    library = {"type": "object", "properties": {"global": {"type": "object"}}, "additionalProperties": False}
    schema["properties"] |= {entry["name"]: library for entry in about["dependencies"]}
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "title": f"Values of {about['name']}"} | schema
    return json.dumps(schema, indent=1) + "\n"


def _described(options: Options, about: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Yield what `_entries` does of a chart's values, with its own defaults."""
    own = _own_defaults(about)
    return ((path, text, own.get(path, default)) for path, text, default in _entries(Values, options))


def _own_defaults(about: dict[str, Any]) -> dict[tuple[str, ...], str]:
    """Return path -> default of values whose default is another one in this chart, as Chart.yaml says."""
    pairs = about.get("annotations", {}).get("dask-jobs/defaults", "").split()
    return {tuple(name.split(".")): value for name, _, value in (pair.partition("=") for pair in pairs)}


def _entries(
    model: Options, options: Options, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Yield path, description and default of each value; the default of a map of values is `Section`."""
    own_first = sorted(model.model_fields.items(), key=lambda field: field[0] not in model.__annotations__)
    for name, field in own_first:
        here = (*path, name)
        default = _default(field)
        if here == ("job",):
            yield here, "The job's options, as on the command line.", Section
            yield from (entry for entry in _entries(options, options, here) if entry[0][1] not in PLACEMENT_OPTIONS)
        elif isinstance(default, Section) and default.model_dump(exclude_none=True):
            yield here, str(type(default).__doc__), Section
            yield from _entries(type(default), options, here)
        else:
            yield here, str(field.description), default


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _yaml(default: Any) -> str:
    """Return a default as YAML in one line."""
    return json.dumps(default.model_dump(exclude_none=True) if isinstance(default, Section) else default)


def _comment(indent: str, mark: str, text: str) -> list[str]:
    first, rest = f"{indent}{mark} ", f"{indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema with its references replaced, without titles, and with draft 7's word for tuples."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    renamed = {"prefixItems": "items"}
    return _merged(
        {
            renamed.get(key, key): _properties(value, definitions)
            if key == "properties"
            else _inlined(value, definitions)
            for key, value in node.items()
            if key not in ("$defs", "title")
        }
    )


def _merged(node: dict[str, Any]) -> dict[str, Any]:
    """Return `anyOf` of types with different keywords as one list of types, about which Helm complains in one line."""
    branches = node.get("anyOf", [])
    keywords = [key for branch in branches for key in branch if key != "type"]
    if not branches or len(keywords) != len(set(keywords)) or not all("type" in branch for branch in branches):
        return node
    merged = {key: value for branch in branches for key, value in branch.items()}
    if "const" in merged:  # of one type; that of a merged schema would hold for all
        merged["pattern"] = f"^{merged.pop('const')}$"
    types = [branch["type"] for branch in branches]
    if "enum" in merged and "null" in types:
        merged["enum"] = [*merged["enum"], None]
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return merged | {"type": types} | rest


def _allow_text(option: dict[str, Any]) -> None:
    """Let a number also be text, which is what Helm makes of --set job.l2=0.5, and a list of texts too: a,b."""
    types = option.get("type")
    types = [types] if isinstance(types, str) else types or []
    item = option.get("items", {})
    if "number" in types:
        option |= {"type": [*types, "string"], "pattern": r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"}
    elif "array" in types and item.get("type") == "string":
        one = f"({'|'.join(item['enum'])})" if "enum" in item else "[^,]+"
        option |= {"type": [*types, "string"], "pattern": f"^{one}(,{one})*$"}


def _properties(properties: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a map of properties; one that is called title is none of the schema's own words."""
    return {name: _inlined(value, definitions) for name, value in properties.items()}


def _sections(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the maps of values in values.yaml."""
    yield schema
    for value in schema["properties"].values():
        if "properties" in value:
            yield from _sections(value)


def _always_there(value: dict[str, Any]) -> bool:
    """Return whether a value is in values.yaml and not null there, so that its absence means that null was given."""
    return value.get("default", ()) is not None


OTHERS = (
    "`helm upgrade` with other `job` or `code` begins a new run; with another `workers.count` it scales the running "
    "one; with more memory it goes on in the same run folder."
)
STUDY = (
    "`helm upgrade` with another `workers.count` scales the running job; with more memory, trials or epochs it goes "
    "on in the same run folder; with other `code`, or another of the job's {}, it begins a new one."
)
ABOUT = (
    "The release's NOTES, printed by this command, say how to follow it, wait for it, open the dashboard, fetch the "
    "result and clean up. The release is two plain Jobs: the driver's exit code is the job's. {folder} Needs "
    "Kubernetes {kubernetes}."
)
README = """# {name}

{description}.

    helm install fit charts/{name} --set workers.count=4

{text}

A key that is not in this table is refused, and so is `null` where a value is needed.

| value | default | |
|---|---|---|
{rows}

This file is written by charts/generate.py.
"""
