"""Images in tars, in a folder or a bucket: where each lies, and reading them by ranges.

`build_index(storage, prefix)` reads the headers of all tars; `Index.partitions` cuts them into runs of images;
`Reader.read(index.members(range(start, stop)))` reads those of one, or any others by their numbers. Which bytes an
image has is fixed when its tar is indexed: a tar that is written afterwards is an error.
"""

from jobs.alexnet.tars.build import build_index, check_unchanged, find_tars
from jobs.alexnet.tars.headers import Tar
from jobs.alexnet.tars.index import Index, Members, Partition, check_names, load_index, save_index
from jobs.alexnet.tars.reading import Image, Reader
from jobs.alexnet.tars.scanning import Scan, Span, scan

__all__ = [
    "Image",
    "Index",
    "Members",
    "Partition",
    "Reader",
    "Scan",
    "Span",
    "Tar",
    "build_index",
    "check_names",
    "check_unchanged",
    "find_tars",
    "load_index",
    "save_index",
    "scan",
]
