"""Images of any usual format as arrays of one size.

Public: `decode`, `Decoder`, `decode_all`, `Decoded`, `BadImageError`, `decoder_version`.
"""

from jobs.alexnet.images.bad import BadImageError
from jobs.alexnet.images.decode import SIZE, Decoded, Decoder, Resize, decode, decode_all
from jobs.alexnet.images.libraries import decoder_version

__all__ = ["SIZE", "BadImageError", "Decoded", "Decoder", "Resize", "decode", "decode_all", "decoder_version"]
