"""Command lines by click: options from pydantic fields, errors of one line, help, shell completion."""
