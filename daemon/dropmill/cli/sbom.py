"""The libraries that pictures and the catalog go through, as a bill of materials: CycloneDX 1.6, for scanners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SPECIFICATION: Final = "1.6"


@dataclass(frozen=True, slots=True)
class Origin:
    """``package``: its name on PyPI, where it is one of Python's; ``within``: what it is built into or loaded by.

    ``cpe``: vendor and product, under which the National Vulnerability Database knows it.
    """

    package: str = ""
    within: str = ""
    cpe: str = ""


_ORIGINS: Final[Mapping[str, Origin]] = {
    "Python": Origin(cpe="python:python"),
    "SQLite": Origin(within="apsw", cpe="sqlite:sqlite"),
    "apsw": Origin("apsw"),
    "Pillow": Origin("pillow", cpe="python:pillow"),
    "libjpeg-turbo": Origin(within="Pillow", cpe="libjpeg-turbo:libjpeg-turbo"),
    "libwebp": Origin(within="Pillow", cpe="webmproject:libwebp"),
    "libavif": Origin(within="Pillow", cpe="aomedia:libavif"),
    "dav1d": Origin(within="libavif", cpe="videolan:dav1d"),
    "libgav1": Origin(within="libavif"),
    "aom": Origin(within="libavif"),
    "rav1e": Origin(within="libavif"),
    "svt": Origin(within="libavif"),
    "libtiff": Origin(within="Pillow", cpe="libtiff:libtiff"),
    "openjpeg": Origin(within="Pillow", cpe="uclouvain:openjpeg"),
    "zlib": Origin(within="Pillow", cpe="zlib:zlib"),
    "zlib-ng": Origin(within="Pillow"),
    "lcms2": Origin(within="Pillow"),
    "pillow-heif": Origin("pillow-heif"),
    "libheif": Origin(within="pillow-heif", cpe="struktur:libheif"),
    "libde265": Origin(within="libheif", cpe="struktur:libde265"),
    "x265": Origin(within="libheif"),
    "imagehash": Origin("imagehash"),
    "numpy": Origin("numpy"),
    "scipy": Origin("scipy"),
}


def document(version: str, components: Mapping[str, str]) -> dict[str, Any]:
    """The bill of dropmill ``version``; ``components`` are versions by name. The same input gives the same document."""
    found = {_named(name, one): one for name, one in components.items() if one != "missing"}
    root = f"dropmill@{version}"
    references = {name: _reference(name, one) for name, one in found.items()}
    leaning: dict[str, list[str]] = {root: [], **{reference: [] for reference in references.values()}}
    for name, reference in references.items():
        within = _ORIGINS.get(name, Origin()).within
        leaning[references.get(within, root)].append(reference)
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "dropmill",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [_component(name, one) for name, one in found.items()],
        "dependencies": [{"ref": reference, "dependsOn": sorted(others)} for reference, others in leaning.items()],
    }


def _named(name: str, version: str) -> str:
    """zlib-ng stands in for zlib, and counts from 2; it is another library."""
    return "zlib-ng" if name == "zlib" and version.startswith("2.") else name


def _component(name: str, version: str) -> dict[str, Any]:
    origin = _ORIGINS.get(name, Origin())
    told: dict[str, Any] = {
        "type": "platform" if name == "Python" else "library",
        "bom-ref": _reference(name, version),
        "name": name,
        "version": version,
        "purl": _reference(name, version),
    }
    if origin.cpe:
        told["cpe"] = f"cpe:2.3:a:{origin.cpe}:{version.partition('-')[0].partition('+')[0]}:*:*:*:*:*:*:*"
    return told


def _reference(name: str, version: str) -> str:
    """A package URL, in which a version's ``+`` has to be written as a percent code."""
    package = _ORIGINS.get(name, Origin()).package
    kind = f"pypi/{package}" if package else f"generic/{name.lower()}"
    return f"pkg:{kind}@{version.replace('+', '%2B')}"
