"""Step: the renditions as pixels, large to small, each from the smallest that is good enough to be its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from dropmill.files.sniff import Kind
from dropmill.imaging.attempt import Attempt, Canvas, Frame, reject
from dropmill.imaging.sizes import Target, target
from dropmill.model.image import RenditionSpec
from dropmill.model.outcome import Reason

_FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# A rendition may be made from another one of at least twice its size, where resampling twice cannot be seen
# (SSIM 0.997 against a direct one in the measurements that led to this recipe).
_LADDER: Final = 2.0
# Far reductions first average whole blocks of pixels down to so many times the target at least, then filter (Pillow's
# reducing_gap, whose documentation calls 3.0 indistinguishable from filtering everything). lanczos stands more: SSIM 0.997 at
# 1.5 (decision 011), as good as bicubic that filters everything, and faster.
_REDUCING_GAP: Final = 3.0
_REDUCING_GAP_OF_LANCZOS: Final = 1.5
_MOST_COLOURS: Final = 4096
_LEAST_FLAT: Final = 0.6


@dataclass(frozen=True, slots=True)
class _Plan:
    spec: RenditionSpec
    target: Target


def render(attempt: Attempt) -> None:
    plans = _plans(attempt)
    made: dict[str, list[Frame]] = {plan.spec.name: [] for plan in plans}
    for number, frame in enumerate(attempt.frames):
        if number == 0:
            attempt.screenshot = attempt.kind is not Kind.JPEG and _is_screenshot(frame.image)
        for name, image in _ladder(frame.image, plans).items():
            made[name].append(Frame(image, frame.duration_ms))
    attempt.canvases = tuple(Canvas(plan.spec, tuple(made[plan.spec.name])) for plan in plans)


def _plans(attempt: Attempt) -> list[_Plan]:
    """Largest first. ``scale`` and ``enlarge`` could ask for more pixels than the limits allow to any picture."""
    image_size = _upright_size(attempt)
    plans = [_Plan(spec, target(spec, *image_size)) for spec in attempt.request.recipe.renditions]
    frames = attempt.described().frames if attempt.animated else 1
    for plan in plans:
        if plan.target.width * plan.target.height * frames > max(
            attempt.request.limits.max_pixels, image_size[0] * image_size[1] * frames
        ):
            raise reject(
                Reason.TOO_LARGE,
                f"rendition {plan.spec.name} would have {plan.target.width}x{plan.target.height} pixels",
            )
    return sorted(plans, key=lambda plan: plan.target.width * plan.target.height, reverse=True)


def _upright_size(attempt: Attempt) -> tuple[int, int]:
    """Of the page at hand, in its full size: JPEG may have been decoded smaller, further pages have their own."""
    if attempt.page == 1:
        return attempt.described().width, attempt.described().height
    return attempt.opened().size


def _ladder(image: Image.Image, plans: list[_Plan]) -> dict[str, Image.Image]:
    made: dict[str, Image.Image] = {}
    sources: list[tuple[_Plan | None, Image.Image]] = [(None, image)]
    for plan in plans:
        source = next(candidate for above, candidate in reversed(sources) if _serves(above, candidate, plan))
        made[plan.spec.name] = resized(source, plan.target, plan.spec)
        if plan.target.box == Target(1, 1).box:
            sources.append((plan, made[plan.spec.name]))
    return made


def _serves(above: _Plan | None, candidate: Image.Image, plan: _Plan) -> bool:
    """The decoded picture always does; a rendition above it if it is large enough and at least as finely filtered."""
    if above is None:
        return True
    fine = above.spec.filter in {plan.spec.filter, "lanczos"} and plan.spec.filter != "nearest"
    return fine and plan.target.scale(*candidate.size) * _LADDER <= 1.0


def resized(image: Image.Image, goal: Target, spec: RenditionSpec) -> Image.Image:
    """``image`` (upright, any scale) as ``goal`` says. Pillow premultiplies alpha, so edges get no halo (I07)."""
    left, top, right, bottom = goal.box
    box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
    if (goal.width, goal.height) == image.size and goal.box == Target(1, 1).box:
        return image
    chosen = _FILTERS[spec.filter]
    if spec.filter == "nearest":
        return image.resize((goal.width, goal.height), chosen, box=box)
    gap = _REDUCING_GAP_OF_LANCZOS if spec.filter == "lanczos" else _REDUCING_GAP
    return image.resize((goal.width, goal.height), chosen, box=box, reducing_gap=gap)


def _is_screenshot(image: Image.Image) -> bool:
    """Few colours, and most pixels equal to their right and lower neighbours: drawn, not photographed or dithered."""
    if image.getcolors(_MOST_COLOURS) is None:
        return False
    pixels = np.asarray(image)
    if min(pixels.shape[:2]) < 2:
        return True
    here = pixels[:-1, :-1]
    equal = (here == pixels[:-1, 1:]) & (here == pixels[1:, :-1])
    flat = equal.all(axis=-1) if equal.ndim == 3 else equal
    return float(flat.mean()) >= _LEAST_FLAT
