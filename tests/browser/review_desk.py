"""A desk with groups to review and nothing behind it: how pages look with anything at all, thousands of groups included.

``python tests/browser/review_desk.py [GROUPS]`` serves it, to look at.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from PIL import Image, ImageDraw, ImageOps

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from dropmill.control.previews import PreviewFile
from dropmill.errors import Conflict, Forbidden, NotFound
from pictures import landscape
from web_support import FakeDesk, served

Json = dict[str, Any]
AS_OF = 1_790_000_000_123
SKIES = [
    (("#2b3a67", "#f4a261"), "#1d2d44"), (("#89c2d9", "#e9f5db"), "#386641"), (("#6d597a", "#eaac8b"), "#355070"),
    (("#0b132b", "#5bc0be"), "#1c2541"), (("#f2cc8f", "#f4f1de"), "#81523f"), (("#90a8c3", "#ffd6ba"), "#555b6e"),
]  # fmt: skip
PLACES = [
    "2019/07 Lofoten",
    "2021/Iceland",
    "2020-10 Black Forest",
    "phone/DCIM/Camera",
    "from Anna",
    "old disk/backup (2)",
]
SHAPES = [(6000, 4000), (4000, 3000), (3024, 4032), (5472, 3648), (2048, 1536)]
# Of a copy: how it came about, tier, distances, and how it differs.
COPIES = [
    ("resized", "near", (2, 3, 18), lambda w, h: (w // 2, h // 2)),
    ("re-encoded", "near", (0, 1, 6), lambda w, h: (w, h)),
    ("identical", "exact", (0, 0, 0), lambda w, h: (w, h)),
    ("cropped", "similar", (10, 9, 71), lambda w, h: (int(w * 0.86), int(h * 0.86))),
    ("watermarked", "similar", (6, 7, 30), lambda w, h: (w, h)),
    ("burst", "similar", (8, 9, 104), lambda w, h: (w, h)),
    ("bordered", "similar", (8, 10, 66), lambda w, h: (w + w // 8, h + h // 8)),
    ("turned", "loose", (0, 0, 4), lambda w, h: (h, w)),
]  # fmt: skip


def copied(picture: Image.Image, relation: str) -> Image.Image:
    """The picture as that kind of copy of it would look."""
    width, height = picture.size
    if relation == "cropped":
        return picture.crop(
            (width // 12, height // 14, width // 12 + int(width * 0.86), height // 14 + int(height * 0.86))
        )
    if relation == "bordered":
        return ImageOps.expand(picture, border=width // 16, fill="#f4f1ea")
    if relation == "turned":
        return picture.transpose(Image.Transpose.ROTATE_270)
    if relation == "watermarked":
        made = picture.copy()
        ImageDraw.Draw(made).text((width // 10, height * 3 // 4), "© somebody", fill="white", font_size=width // 12)
        return made
    if relation == "burst":
        return ImageOps.fit(picture.crop((width // 40, 0, width, height - height // 60)), picture.size)
    return picture


class ReviewDesk(FakeDesk):
    """``total`` groups, made when they are asked for; what is decided of them is remembered in ``asked``."""

    def __init__(self, folder: Path, total: int = 6, **more: Any) -> None:
        super().__init__(**more)
        self.folder = folder
        self.total = total
        self.settled: dict[int, int] = {}
        """The batch of each group that was decided."""
        self.changed = 0
        """Groups that have changed since an overview was told."""
        self.keepers: dict[int, int] = {}
        self.named: dict[int, int] = {}
        """The batch by which a keeper was named."""
        self.trouble: Exception | None = None
        self.gate: anyio.Event | None = None
        """Groups are told once it is set."""
        self.told_scans: list[Json] = []
        self.values: dict[str, Any] = {}
        self.refused_files = 0
        self.linked: dict[int, set[int]] = {}
        """Members of groups that became hard links."""

    # Pictures: image N of group G is G * 100 + N.

    def _shape(self, number: int) -> tuple[int, int]:
        return SHAPES[number % len(SHAPES)]

    def _copies(self, number: int) -> list[tuple[Any, ...]]:
        several = 1 + (number % 5 == 0) * 2 + (number % 11 == 3) * 6
        return [COPIES[(number + at) % (len(COPIES) - (at > 0))] for at in range(several)]

    async def preview_file(self, image_id: int, size: int) -> PreviewFile:
        number, at = divmod(image_id, 100)
        if not 0 < number <= self.total or at > len(self._copies(number)):
            raise NotFound(f"there is no image {image_id}")
        name = f"{number % 24}-{self._copies(number)[at - 1][0] if at else ''}-{self._shape(number)[0]}-{size}.jpg"
        path = self.folder / name
        if not path.exists():
            width, height = self._shape(number)
            scale = size / max(width, height)
            sky, ground = SKIES[number % len(SKIES)]
            picture = landscape(round(width * scale), round(height * scale), number % 24, sky, ground)
            picture = copied(picture, self._copies(number)[at - 1][0]) if at else picture
            picture.save(path, "JPEG", quality=88)
        return PreviewFile(str(self.folder).encode(), name.encode(), name)

    def group_told(self, number: int) -> Json:
        width, height = self._shape(number)
        keeper = self.keepers.get(number, number * 100 + 1)
        rows: list[tuple[Any, ...]] = [("", "exact", (0, 0, 0), lambda w, h: (w, h)), *self._copies(number)]
        members: list[Json] = []
        for at, (relation, tier, distances, reshaped) in enumerate(rows):
            shape = reshaped(width, height)
            place = PLACES[(number + at) % len(PLACES)]
            kind, inbox, top = [("library", "photos", "/srv/photos"), ("archive", "camera", "/srv/camera/archive")][
                at % 2
            ]
            folder = f"{top}/{place}"
            stem = f"IMG_{4000 + number}"
            name = stem + ["", " (copy)", "-edited", "_2", "-web"][at % 5] + (".jpg" if at % 3 else ".JPG")
            members.append({
                "id": number * 100 + at + 1, "image": number * 100 + at, "path": f"{folder}/{name}", "inbox": inbox, "kind": kind,
                "folder": folder, "sha256": f"{number * 100 + (0 if relation == 'identical' else at):064x}", "phash": f"{number:016x}", "width": shape[0], "height": shape[1],
                "size_bytes": int(shape[0] * shape[1] * (0.42 if at == 0 else 0.2 + 0.03 * at)) or 1,
                "format": "jpeg", "captured_at": f"2019-07-{1 + number % 28:02d}T14:{number % 60:02d}:00" if at < 2 else None,
                "modified_at": f"2024-02-{1 + number % 28:02d}T09:30:00.000Z", "tier": tier, "phash_distance": distances[0],
                "dhash_distance": distances[1], "phash256_distance": distances[2], "relation": relation,
                "keeper": number * 100 + at + 1 == keeper,
            })  # fmt: skip
        members = [one for one in members if one["id"] not in self.linked.get(number, ())]
        order = ["exact", "near", "similar", "loose"]
        tier = max((member["tier"] for member in members[1:]), key=order.index)
        relations = {member["relation"] for member in members[1:]}
        return {
            "id": number, "tier": tier, "relation": relations.pop() if len(relations) == 1 else "",
            "state": "open", "members_count": len(members),
            "reclaimable_bytes": sum(member["size_bytes"] for member in members if not member["keeper"]),
            "phash_distance": max(member["phash_distance"] for member in members),
            "expected_false_pairs": None if tier == "exact" else 0.02 if tier == "near" else 2.4,
            "keeper": keeper, "keeper_chosen": number in self.keepers,
            "reasons": [] if number in self.keepers else ["more true resolution than any other", "has what the camera wrote", "saved once, the others twice"],
            "members": members, "members_truncated": False, "changed_at": "2026-03-04T05:06:07.000Z",
        }  # fmt: skip

    # What the desk is asked.

    async def status(self) -> Json:
        alike = {
            "groups": self.total,
            "by_tier": {},
            "files": 2 * self.total,
            "reclaimable_bytes": self.total * 7_340_032,
            "uncompared": 0,
        }
        running = [one for one in self.told_scans if one["state"] == "running"]
        return await super().status() | {"duplicates": alike, "scans": running}

    async def groups(
        self, tier: str | None = None, inbox: str | None = None, folder: str | None = None, relation: str | None = None,
        state: str = "open", sort: str = "reclaimable", cursor: str | None = None, limit: int = 50, threshold: int | None = None,
    ) -> Json:  # fmt: skip
        self.asked.append(("groups", tier, inbox, folder, relation, sort, cursor))
        if self.gate is not None:
            await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        numbers, found = range(int(cursor or 0) + 1, self.total + 1), []
        last = 0
        for number in numbers:
            group = self.group_told(number) if number not in self.settled else None
            if group and (tier in {None, group["tier"]}) and (relation in {None, group["relation"]}):
                found.append(group)
            last = number
            if len(found) == limit:
                break
        more = str(last) if last < self.total else None
        total = self.total - len(self.settled) if not (tier or relation) else len(found)
        return {"groups": found, "next": more, "total": total, "reclaimable_bytes": total * 7_340_032}

    async def group(self, group_id: int) -> Json:
        if not 0 < group_id <= self.total:
            raise NotFound(f"there is no group {group_id}", hint="it may have been settled, or its files are gone")
        return self.group_told(group_id)

    async def image(self, image_id: int) -> Json:
        width, height = self._shape(image_id // 100)
        return {
            "id": image_id, "sha256": f"{image_id:064x}", "phash": "0" * 16, "dhash": "0" * 16, "ahash": "0" * 16, "phash256": "0" * 64,
            "texture": 20.0, "fingerprint_version": 1, "format": "jpeg", "width": width, "height": height, "size_bytes": 5_000_000,
            "catalogued_at": "2026-03-04T05:06:07.000Z", "files": [], "groups": [image_id // 100],
        }  # fmt: skip

    async def resolve(
        self, group_id: int, action: str, keeper: int | None = None, members: Sequence[int] | None = None,
        folder: str | bytes | None = None, permanent: bool = False,
    ) -> Json:  # fmt: skip
        self.asked.append(("resolve", group_id, action, keeper, members, folder, permanent))
        group = await self.group(group_id)
        batch = 1 + max([*self.settled.values(), *self.named.values()], default=0)
        if action == "keep" and members == []:
            self.keepers[group_id] = keeper or group["keeper"]
            self.named[group_id] = batch
            return {"batch": batch, "action": action, "state": "done", "done": [], "skipped": []}
        if action == "move" and not str(folder).startswith("/srv/photos"):
            raise Forbidden(f"{folder} is not below a library root", hint="name a folder below one of library_roots")
        done = [member["id"] for member in group["members"] if member["id"] != keeper]
        if action == "link":
            keeps = next(member for member in group["members"] if member["id"] == keeper)
            done = [
                one["id"]
                for one in group["members"]
                if one["id"] in set(members or done) and one["sha256"] == keeps["sha256"]
            ]
            self.linked[group_id] = set(done)
        if action != "link" or len(done) == group["members_count"] - 1:
            self.settled[group_id] = batch
        return {
            "batch": batch,
            "action": action,
            "state": "done",
            "done": list(done if action == "link" else members or done) if action in {"delete", "move", "link"} else [],
            "skipped": [],
        }

    async def resolve_many(
        self, groups: Sequence[int] | None, filter: Json | None, action: str,  # noqa: A002  # As the API calls it.
        folder: str | bytes | None = None, dry_run: bool = False, as_of: int | None = None,
    ) -> Json:  # fmt: skip
        self.asked.append(("resolve_many", filter, action, dry_run, as_of))
        numbers = [number for number in range(1, self.total + 1) if number not in self.settled]
        told = [self.group_told(number) for number in numbers[:200]]
        by_tier: dict[str, dict[str, int]] = {}
        for group in told:
            of = by_tier.setdefault(group["tier"], {"groups": 0, "members": 0, "bytes": 0})
            of["groups"] += 1
            of["members"] += group["members_count"] - 1
            of["bytes"] += group["reclaimable_bytes"]
        overview = {
            "groups": len(numbers), "members": sum(group["members_count"] - 1 for group in told),
            "bytes": sum(group["reclaimable_bytes"] for group in told),
            "left": [{"groups": 4, "members": 9, "detail": "its bytes differ", "hint": "delete or move it instead"}] if action == "link" else [],
            "by_tier": by_tier, "examples": [{"group": group["id"], "path": group["members"][1]["path"]} for group in told[:3]],
            "as_of": AS_OF, "skipped": 0 if as_of is None else self.changed,
        }  # fmt: skip
        if dry_run:
            return overview
        batch = 1 + max(self.settled.values(), default=0)
        self.settled |= dict.fromkeys(numbers, batch)
        return {"batch": batch, **overview}

    async def batches(self, limit: int = 50, before: int | None = None) -> list[Json]:
        return [await self.batch(number) for number in sorted(set(self.settled.values()), reverse=True)][:limit]

    async def batch(self, batch_id: int) -> Json:
        groups = [group for group, batch in self.settled.items() if batch == batch_id]
        return {
            "id": batch_id, "action": "delete", "state": "done", "permanent": False, "groups": len(groups), "files": len(groups),
            "done": len(groups), "skipped": 0, "undone": 0, "bytes": 7_340_032, "undoable": True,
            "created_at": "2026-03-04T05:06:07.000Z", "ended_at": "2026-03-04T05:06:08.000Z", "detail": "", "items": [],
        }  # fmt: skip

    async def undo(self, batch_id: int) -> Json:
        self.asked.append(("undo", batch_id))
        named = {group for group, batch in self.named.items() if batch == batch_id}
        if self.linked:
            self.linked.clear()
        elif batch_id not in self.settled.values() and not named:
            raise Conflict(f"batch {batch_id} is undone already")
        told = await self.batch(batch_id)
        for group in named:
            del self.named[group], self.keepers[group]
        self.settled = {group: batch for group, batch in self.settled.items() if batch != batch_id}
        return told | {"state": "undone", "undoable": False, "refused": []}

    async def refused(self, cursor: str | None = None, limit: int = 100) -> Json:
        first = int(cursor or 0)
        numbers = range(first, min(self.refused_files, first + limit))
        files = [
            {
                "path": f"/srv/photos/{PLACES[number % len(PLACES)]}/IMG_{number}.jpg", "size_bytes": 5000 + number, "reason": "truncated",
                "detail": "its end is missing", "remedy": "copy it anew from where it came", "seen_at": "2026-03-04T05:06:07.000Z",
            }
            for number in numbers
        ]  # fmt: skip
        more = first + limit < self.refused_files
        return {"files": files, "next": str(first + limit) if more else None, "total": self.refused_files}

    async def keeper_preview(self, rules: Json) -> Json:
        self.asked.append(("keeper_preview", rules))
        examples = [
            {
                "group": number, "tier": "near", "keeper": number * 100 + 1, "keeper_path": f"/srv/photos/{PLACES[number]}/IMG_{number}.jpg",
                "instead": number * 100 + 2, "instead_path": f"/srv/camera/archive/{PLACES[-number]}/IMG_{number}-edited.jpg",
                "reasons": ["It has more bytes."],
            }
            for number in (1, 2, 3)
        ]  # fmt: skip
        return {"groups": self.total, "of": self.total, "changed": 3, "chosen": len(self.keepers), "examples": examples}

    async def scans(self) -> list[Json]:
        return list(reversed(self.told_scans))

    async def scan(self, scan_id: int) -> Json:
        return next(one for one in self.told_scans if one["id"] == scan_id)

    async def index(self, folders: Sequence[str | bytes], workers: int | None = None, rehash: bool = False) -> Json:
        self.asked.append(("index", list(folders), workers, rehash))
        outside = [one for one in folders if not str(one).startswith("/srv/photos")]
        if outside:
            raise Forbidden(f"{outside[0]!s} is not below a library root", hint="add it to library_roots")
        number = len(self.told_scans) + 1
        self.told_scans.append(scan(number, folders=list(folders)))
        return {"id": number}

    async def cancel_scan(self, scan_id: int) -> Json:
        told = await self.scan(scan_id)
        told |= {"state": "cancelled", "ended_at": "2026-03-04T06:00:00.000Z"}
        return told

    async def settings(self) -> Json:
        return {
            "file": "/etc/dropmill/dropmill.toml", "applied_at": "2026-03-04T05:06:07.000Z", "settings": SETTINGS,
            "preferences": await self.preferences(),
        }  # fmt: skip

    async def preferences(self) -> Any:
        return [
            one
            | {
                "value": self.values.get(one["name"], one["configured"]),
                "changed": one["name"] in self.values,
                "changed_at": None,
            }
            for one in PREFERENCES
        ]

    async def set_preferences(self, changes: Json) -> Any:
        self.asked.append(("set_preferences", changes))
        self.values = {name: value for name, value in (self.values | changes).items() if value is not None}
        return await self.preferences()

    async def preview_preferences(self, changes: Json) -> Any:
        self.asked.append(("preview_preferences", changes))
        return {
            "groups_now": self.total, "groups_then": self.total + 7, "by_tier": {"near": {"now": self.total, "then": self.total + 7}},
            "images_now": 20, "images_then": 34, "expected_false_pairs_now": 0.02, "expected_false_pairs_then": 2.4, "compared_anew": False,
            "pairs": 30, "complete": True,
        }  # fmt: skip


def scan(number: int, **more: Any) -> Json:
    told: Json = {
        "id": number, "folders": ["/srv/photos"], "state": "running", "files": 31_200, "total_files": 84_112, "unchanged": 12_000,
        "indexed": 19_150, "ignored": 240, "refused": 50, "vanished": 0, "read_bytes": 91_000_000_000, "total_bytes": 402_000_000_000,
        "files_per_second": 61.0, "eta_seconds": 867.0, "started_at": "2026-03-04T05:06:07.000Z", "ended_at": None, "detail": "",
    }  # fmt: skip
    return told | more


def setting(key: str, value: Any, origin: str = "default", description: str = "") -> Json:
    return {"key": key, "value": value, "origin": origin, "secret": False, "description": description}


SETTINGS = [
    setting(
        "state_dir", "/var/lib/dropmill", "/etc/dropmill/dropmill.toml:1", "Where the catalog is; local disk only."
    ),
    setting(
        "library_roots", ["/srv/photos", "/srv/scans"], "/etc/dropmill/dropmill.toml:2", "Folders that may be indexed."
    ),
    setting("http.bind", "127.0.0.1:8686", "default", "Address and port, or unix:/path."),
    setting("log.level", "info", "environment DROPMILL_LOG__LEVEL", "From which severity on."),
    setting("inboxes.0.name", "camera", "/etc/dropmill/dropmill.toml:8", ""),
    setting("inboxes.0.path", "/srv/camera/inbox", "/etc/dropmill/dropmill.toml:9", ""),
    setting(
        "keeper.order",
        ["folder", "detail", "genuine", "pixels", "compression", "size", "age"],
        "default",
        "What is looked at.",
    ),
    setting("keeper.prefer_folders", [], "default", "Folders whose files are rather kept."),
    setting("keeper.prefer_formats", ["tiff", "png", "jpeg"], "default", "Formats that are rather kept."),
    setting("dedupe.near", "flag", "default", "What happens to a near-identical picture."),
    setting("dedupe.similar", "flag", "default", "What happens to a similar one."),
]
PREFERENCES: list[Json] = [
    {"name": name, "configured": value, "type": type(value).__name__, "description": description}
    for name, value, description in (
        ("dedupe.near_phash", 4, "Largest distance of phash at which pictures are near-identical."),
        ("dedupe.near_dhash", 8, "Largest distance of dhash at which pictures are near-identical."),
        ("dedupe.similar_phash", 10, "Largest distance of phash at which pictures are similar."),
        ("dedupe.similar_dhash", 10, "Largest distance of dhash at which pictures are similar."),
        ("review.default_move", "", "The folder that is offered for moving files to."),
        ("review.confirm_permanent", True, "Whether deleting for good has to be typed."),
        ("review.confirm_above_files", 500, "From how many files on an action is asked about first."),
    )
]


async def _serve(total: int) -> None:
    with TemporaryDirectory() as folder:
        desk = ReviewDesk(Path(folder), total)
        async with served(desk, bind="127.0.0.1:8699") as client:
            print(client.base_url, flush=True)
            await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(_serve, int(sys.argv[1]) if len(sys.argv) > 1 else 60)
