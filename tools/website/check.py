"""Links between the pages of a built site: each leads to a file and, where it names one, to an anchor."""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """Addresses in a page, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.addresses.append(value)
            elif name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    """`page: address` of every link to a file or an anchor that is not there; others are not asked."""

    @cache
    def page(path: Path) -> _Page:
        return _Page(path.read_text(encoding="utf-8"))

    found = []
    for path in sorted(
        set(site.rglob("*.html")) - set((site / "_static").rglob("*.html"))
    ):  # the theme's own
        for address in page(path).addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            is_there = target.is_file() and (
                not anchor or target.suffix != ".html" or anchor in page(target).anchors
            )
            if not is_there:
                found.append(f"{path.relative_to(site).as_posix()}: {address}")
    return found
