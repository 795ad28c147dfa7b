"""Command lines by click: options from pydantic fields, complaints of one line, help, shell completion."""
