"""Sends frames and a prompt to an OpenAI-compatible chat endpoint on this machine, and to no other.

The connection goes to the loopback address itself: no name is resolved, no proxy of the environment is used and no
redirect is followed, since each of them could carry a child's pictures to another machine.
"""

from __future__ import annotations

import base64
import http.client
import json
from urllib.parse import urlsplit

from childgait.errors import StepError
from childgait.user_files import parse_json

LOOPBACK = {"localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "::1"}
LARGEST_ANSWER = 4 << 20  # bytes


def loopback_of(endpoint: str) -> tuple[str, int, str]:
    """Return address, port and path of an endpoint; fail for any host but this machine."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        host, port, parts = "", 0, urlsplit("")
    if parts.scheme != "http" or host not in LOOPBACK or parts.username is not None:
        raise StepError(
            f"the endpoint {endpoint!r} is not on this machine",
            hint="children's videos stay here: start the model here and give http://127.0.0.1:PORT/v1",
        )
    return LOOPBACK[host], port, parts.path.rstrip("/")


def request_reply(endpoint: str, model: str, prompt: str, pictures: list[bytes], timeout: float = 600) -> str:
    """Return the model's reply to JPEG pictures and a prompt, at temperature 0."""
    address, port, path = loopback_of(endpoint)
    images = [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(picture).decode()}}
        for picture in pictures
    ]
    body = {
        "model": model,
        "temperature": 0,
        "messages": [{"role": "user", "content": [*images, {"type": "text", "text": prompt}]}],
    }
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("POST", f"{path}/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read(LARGEST_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise StepError(f"{endpoint} gives no answer ({error})", hint="check that the model's server runs") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise StepError(f"{endpoint} answers with status {answer.status}", hint="look at the log of the model's server")
    return completion_text(content, endpoint)


def completion_text(content: bytes, endpoint: str) -> str:
    """Return the text of a chat completion; fail on any other content."""
    try:
        return str(parse_json(content, endpoint)["choices"][0]["message"]["content"])
    except (StepError, LookupError, TypeError):
        raise StepError(
            f"{endpoint} gives no chat completion", hint="it must be compatible with OpenAI's chat completions"
        ) from None
