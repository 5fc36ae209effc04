"""What hosts' robots.txt said, so that a restart does not ask again."""

from __future__ import annotations

from dropmill.store.catalog import Catalog


class CatalogRobots:
    """``fetch.robots.RobotsStore`` on the rows of hosts."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def get(self, origin: str) -> tuple[str, int] | None:
        """What it said, and when it was asked (wall milliseconds)."""
        row = await self._catalog.read(lambda session: session.one("host_robots", origin=origin))
        if row is None or row["robots"] is None:
            return None
        return row["robots"], row["robots_at_ms"]

    async def put(self, origin: str, text: str, at_ms: int) -> None:
        """An origin that only redirects led to is not kept."""
        await self._catalog.write(
            lambda session: session.run("host_robots_put", origin=origin, text=text, now_ms=at_ms)
        )
