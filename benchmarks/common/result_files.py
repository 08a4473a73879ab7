"""JSON files of results."""

import json

__all__ = ["read_json", "write_json"]


def read_json(path):
    """Read a JSON file; return an empty dict if there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def write_json(path, content):
    """Write a JSON file, replacing an existing one atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)
