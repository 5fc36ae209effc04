"""Extensions that name a kind of file, lower case with their dot. Content decides; names only tell what is claimed."""

from __future__ import annotations

from typing import Final

IMAGE_EXTENSIONS: Final = frozenset(
    b".jpg .jpeg .jpe .jfif .png .apng .webp .gif .tif .tiff .bmp .dib .avif .heic .heif .hif".split()
)
# Camera RAW of the usual makers.
RAW_EXTENSIONS: Final = frozenset(
    b".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw "
    b".rw2 .rwl .sr2 .srf .srw .x3f".split()
)
