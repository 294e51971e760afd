"""A stand-in for the Hugging Face hub: the answers that `huggingface_hub` needs for one file, and faults.

Facts from the hub's public API: a large file answers 302 to another host, with `X-Linked-Size` and
`X-Linked-ETag` (its SHA-256); that host honours `Range`. What is missing answers 404 (a missing repository
401 to strangers) with `X-Error-Code`. Gated repositories answer 401 without a token, 403 to one without
access.
"""

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMITS = ("a" * 40, "b" * 40)  # an older and a newer one
GOOD_TOKEN, POOR_TOKEN = "hf_granted", "hf_without_access"


@dataclass
class Repository:
    """Files of two commits; "main" is the newer, the tag "v1" the older."""

    files: dict[str, dict[str, bytes]]  # commit → name → content
    gated: bool = False

    def commit(self, revision: str) -> str | None:
        return {"main": COMMITS[1], "v1": COMMITS[0], **{c: c for c in COMMITS}}.get(revision)


@dataclass
class Request:
    """What arrived."""

    method: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class Faults:
    """What goes wrong."""

    drop_after: list[int] = field(default_factory=list)  # body bytes after which each next GET breaks off
    padded: int = 0  # the content host serves so many bytes more
    cut_to: int | None = None  # the content host serves a file of this length instead
    flip: bool = False  # the content host serves one wrong byte
    ignore_range: bool = False  # it answers 200 with the whole file
    status: int | None = None  # every request is answered so
    headers: dict[str, str] = field(default_factory=dict)  # stand in the place of the hub's own
    later: dict[str, str] = field(default_factory=dict)  # the same, in all answers about a file but the first
    bare: bool = False  # answers lack the hub's headers, as a hotel's login page does


class HubStandIn:
    """Serves on this machine until the `with` block ends. `requests` lists what arrived."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.faults = Faults()

    def add(self, name: str, files: dict[str, bytes], older: dict[str, bytes] | None = None, gated=False):
        self.repositories[name] = Repository({COMMITS[0]: older or files, COMMITS[1]: files}, gated)

    def gets(self) -> list[Request]:
        """Requests for content."""
        return [request for request in self.requests if request.path.startswith("/content/")]

    def __enter__(self) -> "HubStandIn":
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: HubStandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        headers = self.headers
        self.hub.requests.append(
            Request(self.command, self.path, headers.get("Range"), headers.get("Authorization"))
        )
        if self.hub.faults.status:
            self.reply(self.hub.faults.status)
        elif self.hub.faults.bare:
            self.reply(200, body=b"<html>Welcome to our hotel</html>")
        elif self.path.startswith("/content/"):
            self.content(self.path.removeprefix("/content/"))
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path):
            self.resolve(*match.groups())
        else:
            self.reply(404)

    def resolve(self, name: str, revision: str, file: str) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self.reply(404 if token else 401, {"X-Error-Code": "RepoNotFound"})
        if repository.gated and token != GOOD_TOKEN:
            return self.reply(403 if token else 401, {"X-Error-Code": "GatedRepo"})
        commit = repository.commit(revision)
        if commit is None:
            return self.reply(404, {"X-Error-Code": "RevisionNotFound"})
        known = {"X-Repo-Commit": commit}
        body = repository.files[commit].get(file)
        if body is None:
            return self.reply(404, {"X-Error-Code": "EntryNotFound", **known})
        sha = hashlib.sha256(body).hexdigest()
        # another host name, so that the token must not travel on
        linked = {"Location": f"http://localhost:{self.hub.port}/content/{sha}"}
        linked |= {"X-Linked-Size": str(len(body)), "X-Linked-ETag": f'"{sha}"'}
        about = [request for request in self.hub.requests if "/resolve/" in request.path]
        later = self.hub.faults.later if len(about) > 1 else {}
        self.reply(302, linked | known | self.hub.faults.headers | later)

    def content(self, sha: str) -> None:
        faults = self.hub.faults
        snapshots = [files for one in self.hub.repositories.values() for files in one.files.values()]
        bodies = {hashlib.sha256(body).hexdigest(): body for files in snapshots for body in files.values()}
        body = bodies[sha]
        if faults.flip:
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        body = body[: faults.cut_to] + bytes(faults.padded)
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{sha}"'}
        drop_after = faults.drop_after.pop(0) if faults.drop_after and self.command == "GET" else None
        if begin and not faults.ignore_range:
            start = int(begin[1])
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.reply(206, headers, body[start:], drop_after)
        else:
            self.reply(200, headers, body, drop_after)

    def reply(self, status: int, headers=None, body: bytes = b"", drop_after: int | None = None) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:drop_after])
            if drop_after is not None:
                self.close_connection = True
