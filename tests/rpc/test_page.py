"""The files of the web page as a browser gets them; what they do is tested in tests/ui."""

import gzip
import re
from pathlib import Path

import pytest

from rpc.page import CONTENT_SECURITY_POLICY, assets
from tests.rpc.served import Served

pytestmark = pytest.mark.full

UI = Path(__file__).parents[2] / "rpc" / "ui"
MODULES = sorted(path.name for path in UI.glob("*.js"))
IMPORT = re.compile(r"""(?:from|import\()\s*"(/ui/[^"]+)""")
MOST_BYTES = 2_000_000


def test_the_page_and_its_headers(served: Served) -> None:
    page = served.request("GET")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.body == (UI / "index.html").read_bytes()
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-cache"


def test_the_policy_allows_this_node_and_webassembly_only() -> None:
    directives = dict(part.split(" ", 1) for part in CONTENT_SECURITY_POLICY.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert {value for name, value in directives.items() if name != "script-src"} == {"'none'", "'self'"}


def test_every_file_is_served_whole_and_compressed(served: Served) -> None:
    for name, asset in assets().items():
        plain = served.request("GET", f"/ui/{name}")
        assert (plain.status, plain.body) == (200, (UI / name).read_bytes())
        assert "content-encoding" not in plain.headers
        packed = served.request("GET", f"/ui/{name}", headers={"accept-encoding": "br, gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert packed.headers["content-security-policy"] == CONTENT_SECURITY_POLICY, "workers take their file's policy"
        assert packed.headers["etag"] == asset.etag


def test_what_a_browser_has_already_is_not_sent_again(served: Served) -> None:
    first = served.request("GET", "/ui/main.js")
    again = served.request("GET", "/ui/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert served.request("GET", "/ui/main.js", headers={"if-none-match": '"other"'}).status == 200


def test_head_has_no_body(served: Served) -> None:
    head = served.request("HEAD")
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/ui/",
        "/ui/nothing.js",
        "/ui/../page.py",
        "/ui/%2e%2e/page.py",
        "/ui/..%2fpage.py",
        "/ui//etc/passwd",
        "/ui/vendor",
        "/ui/main.js%00",
        "/index.html",
    ],
)
def test_nothing_but_the_files_of_the_page_is_served(served: Served, path: str) -> None:
    assert served.request("GET", path).status == 404


def test_all_is_small() -> None:
    assert sum(len(asset.compressed) for name, asset in assets().items()) < MOST_BYTES


def test_no_file_of_ours_names_another_host() -> None:
    for path in UI.glob("*.*"):
        found = re.findall(r"(?:https?|wss?)://[^\s\"'`)]+", path.read_text(encoding="utf-8"))
        assert [one for one in found if not one.startswith(("http://www.w3.org/2000/svg", "ws://${", "wss://${"))] == []


def test_markup_has_no_scripts_or_styles_within() -> None:
    markup = (UI / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", markup) == []
    for module in MODULES:
        assert "innerHTML" not in (UI / module).read_text(encoding="utf-8")


def test_every_import_and_link_leads_to_a_file() -> None:
    markup = (UI / "index.html").read_text(encoding="utf-8")
    wanted = set(re.findall(r'(?:src|href)="/ui/([^"]+)"', markup))
    for module in MODULES:
        wanted |= {path.removeprefix("/ui/") for path in IMPORT.findall((UI / module).read_text(encoding="utf-8"))}
    assert wanted <= set(assets())


def test_the_modules_of_the_first_view_are_asked_for_at_once() -> None:
    """Without the links in the markup, a browser would learn of each level of imports only after the one before."""
    reached: set[str] = set()
    waiting = ["main.js"]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            text = (UI / module).read_text(encoding="utf-8")
            waiting += re.findall(r'from "/ui/([^"]+)"', text)
    markup = (UI / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'rel="modulepreload" href="/ui/([^"]+)"', markup)) == reached - {"main.js"}
