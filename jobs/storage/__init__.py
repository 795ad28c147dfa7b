"""One small interface to a folder of files: a local path, or `s3://bucket/prefix`; see `jobs.storage.base`."""

from jobs.storage.base import AGAIN, MIB, TEMPORARY, Access, LogWriter, Stamp, Storage, as_file, changed, is_plain
from jobs.storage.open import locate, open_storage

__all__ = [
    "AGAIN",
    "MIB",
    "TEMPORARY",
    "Access",
    "LogWriter",
    "Stamp",
    "Storage",
    "as_file",
    "changed",
    "is_plain",
    "locate",
    "open_storage",
]
