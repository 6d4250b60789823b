"""Access to the review app: one-time links, sessions in cookies, and checks of Host, Origin and path.

The server listens on 127.0.0.1 alone, but every program and every web page of this machine's browsers can reach that
address. So a request needs the cookie of a session, which only a one-time link opens; its Host must be this machine
(DNS rebinding); a request from another page is refused by its Origin and by Sec-Fetch-Site.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Role = Literal["rater", "arbiter", "coordinator"]
ROLES: tuple[Role, ...] = ("rater", "arbiter", "coordinator")
HOSTS = ("127.0.0.1", "localhost", "[::1]")
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Not possible: childgait</title></head>'
    '<body><main><h1>This is not possible</h1><p>{}</p><p><a href="/">Queue</a></p></main></body></html>'
)
FORBIDDEN = "Forbidden: only de-identified files are served, to a browser that was opened by this server's link."


@dataclass
class Session:
    """A browser that was opened by a one-time link, and the name that its person works by."""

    role: Role
    name: str = ""


class Sessions:
    """The unused links and the open sessions, in memory: a new start of the server closes all."""

    def __init__(self) -> None:
        self._links: dict[str, Role] = {}
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def new_link(self, role: Role) -> str:
        """Return the token of a new one-time link."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._links[token] = role
        return token

    def open(self, token: str) -> tuple[str, Role] | None:
        """Use up a link: return the new session's key and role; None for an unknown or used link."""
        with self._lock:
            known = next((own for own in self._links if hmac.compare_digest(own.encode(), token.encode())), None)
            if known is None:
                return None
            role = self._links.pop(known)
            key = secrets.token_urlsafe(24)
            self._sessions[key] = Session(role)
        return key, role

    def find(self, key: str | None) -> Session | None:
        """Return the session of a cookie."""
        return self._sessions.get(key) if key else None


class Gate:
    """ASGI middleware: refuses what does not come from an opened browser, and adds the security headers."""

    def __init__(self, app: ASGIApp, sessions: Sessions, cookie: str, on_link: Callable[[Role], None]) -> None:
        self.app = app
        self.sessions = sessions
        self.cookie = cookie
        self.on_link = on_link  # is called with the role whose link was used

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._answer(scope)
        await (answer or self.app)(scope, receive, send_secured)

    def _answer(self, scope: Scope) -> Response | None:
        """Return the refusal or the redirection of a request; None lets it through."""
        headers = Headers(scope=scope)
        page = wants_page(headers)
        if not is_own_host(headers.get("host", "")):
            return refusal("Forbidden: this server answers to 127.0.0.1 and localhost only.", 421, page)
        if not is_own_origin(headers, scope["method"]):
            return refusal("Forbidden: the request comes from another page.", page=page)
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return refusal("Forbidden: the method is not allowed.", 405, page)
        if not is_plain_path(scope):
            return refusal(FORBIDDEN, page=page)
        if token := parse_qs(scope["query_string"].decode("latin-1")).get("token"):
            return self._open(token[0], page)
        session = self.sessions.find(cookie_of(headers, self.cookie))
        if session is None:
            return refusal(FORBIDDEN, page=page)
        scope["session"] = session
        return None

    def _open(self, token: str, page: bool) -> Response:
        opened = self.sessions.open(token)
        if opened is None:
            return refusal(
                "Forbidden: this link was used before. The terminal of the server shows a new one.", page=page
            )
        key, role = opened
        self.on_link(role)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self.cookie, key, httponly=True, samesite="strict", path="/")
        return answer


def refusal(text: str, status: int = 403, page: bool = False) -> Response:
    """Return a sentence as plain text, or as a small page to a browser's window."""
    return HTMLResponse(PAGE.format(escape(text)), status) if page else PlainTextResponse(text + "\n", status)


def wants_page(headers: Headers) -> bool:
    """Whether a request comes from a browser's window and not from a script."""
    return "text/html" in headers.get("accept", "")


def is_own_host(host: str) -> bool:
    """Whether the Host header names this machine; any port, since an SSH tunnel may begin at another one."""
    name, separator, port = host.rpartition(":")
    if not separator or "]" in port:
        name, port = host, ""
    return name in HOSTS and (not port or port.isdigit())


def is_own_origin(headers: Headers, method: str) -> bool:
    """Whether a request comes from a page of this server; a POST must carry an Origin, which browsers always add."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        return False
    if origin is None:
        return method != "POST"
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.netloc == headers.get("host")


def is_plain_path(scope: Scope) -> bool:
    """Whether the path has no parent folders, backslashes or control characters, however they are written."""
    raw = scope.get("raw_path") or scope["path"].encode()
    text = unquote(unquote(raw.decode("latin-1")))
    return ".." not in text and "\\" not in text and "//" not in text and text.isprintable()


def cookie_of(headers: Headers, name: str) -> str | None:
    """Return the value of a cookie."""
    try:
        jar: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return None
    return jar[name].value if name in jar else None
