"""A registry of npm packages on the loopback address, with the packages of a folder and no others."""

import base64
import contextlib
import hashlib
import http.server
import json
import tarfile
import threading
import urllib.parse


def packages(folder):
    """What each file holds, by the name of its package."""
    found = {}
    for path in folder.glob("*.tgz"):
        with tarfile.open(path) as archive:
            manifest = json.load(archive.extractfile("package/package.json"))
        found[manifest["name"]] = (manifest, path)
    return found


def document(name, manifest, path, address):
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    dist = {"tarball": f"{address}/-/{path.name}", "integrity": f"sha512-{digest}"}
    version = manifest["version"]
    return {"name": name, "dist-tags": {"latest": version}, "versions": {version: {**manifest, "dist": dist}}}


@contextlib.contextmanager
def registry(folder):
    """Serves until the block ends, and gives its address and the names that were asked for."""
    held, asked = packages(folder), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = urllib.parse.unquote(self.path.split("?")[0]).lstrip("/")
            address = f"http://127.0.0.1:{self.server.server_port}"
            if name.startswith("-/"):
                return self.answer(200, (folder / name[2:]).read_bytes(), "application/octet-stream")
            asked.append(name)
            if name not in held:
                return self.answer(404, b"{}", "application/json")
            body = json.dumps(document(name, *held[name], address)).encode()
            return self.answer(200, body, "application/json")

        def answer(self, status, body, kind):
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """The tests show what npm says."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()
