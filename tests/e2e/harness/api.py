"""The REST API as a client sees it: TLS, token, idempotency keys, jobs, and the event stream."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import ssl
import threading
import time
import urllib.parse
import uuid
from typing import Any

from harness.base import wait_for

ENDED = ("succeeded", "failed", "cancelled")


class ApiError(AssertionError):
    """An answer of 400 or above: `status`, `code`, `detail`."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code = problem.get("code", "")
        self.detail = problem.get("detail", json.dumps(problem))
        self.problem = problem
        super().__init__(f"{status} {self.code}: {self.detail}")


class Api:
    """One token at one daemon. A new connection per call, so that a restart of the daemon goes unnoticed."""

    def __init__(self, port: int, token: str, ca: str) -> None:
        self.port, self.token = port, token
        self.tls = ssl.create_default_context(cafile=ca)

    def connect(self, timeout: float) -> http.client.HTTPSConnection:
        """A connection that the caller closes."""
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)

    def headers(self, **more: str) -> dict[str, str]:
        """What every call carries."""
        return {"Authorization": f"Bearer {self.token}", **{k.replace("_", "-"): v for k, v in more.items()}}

    def call(self, method: str, path: str, body: Any = None, timeout: float = 30, key: str = "",
             raw: bytes | None = None, **headers: str) -> Any:
        """The body of the answer; ApiError from 400 on."""
        sent = self.headers(**headers)
        data = raw
        if raw is None and body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        if method != "GET":
            sent["Idempotency-Key"] = key or str(uuid.uuid4())
        connection = self.connect(timeout)
        try:
            connection.request(method, "/api/v1" + path, data, sent)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        parsed = json.loads(text) if text else None
        if answer.status >= 400:
            raise ApiError(answer.status, parsed or {})
        return parsed

    def get(self, path: str, **more: Any) -> Any:
        """GET."""
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        """POST; without a body an empty object."""
        return self.call("POST", path, {} if body is None else body, **more)

    def items(self, path: str) -> list[dict[str, Any]]:
        """Every page of a list."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            joint = "&" if "?" in path else "?"
            page = self.get(f"{path}{joint}limit=200" + (f"&after={urllib.parse.quote(after)}" if after else ""))
            found += page["items"]
            after = page.get("next") or ""
            if not after:
                return found

    def vm(self, name: str) -> dict[str, Any]:
        """One VM by name or id."""
        row: dict[str, Any] = self.get(f"/vms/{urllib.parse.quote(name, safe='')}")
        return row

    def vm_or_none(self, name: str) -> dict[str, Any] | None:
        """One VM, None when there is none."""
        try:
            return self.vm(name)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def host(self, name: str) -> dict[str, Any]:
        """One host by name or id."""
        row: dict[str, Any] = self.get(f"/hosts/{name}")
        return row

    def job(self, job: str) -> dict[str, Any]:
        """One job by id."""
        row: dict[str, Any] = self.get(f"/jobs/{job}")
        return row

    def wait_job(self, job: str, seconds: float = 150) -> dict[str, Any]:
        """The job once it has ended, however it ended."""
        last: dict[str, Any] = {}

        def ended() -> dict[str, Any] | None:
            last.update(self.job(job))
            return dict(last) if last["state"] in ENDED else None

        try:
            return wait_for(ended, seconds, "job ended")
        except AssertionError as error:
            raise AssertionError(f"job {job} did not end in {seconds} s: {json.dumps(last)[:1500]}") from error

    def run_job(self, path: str, body: Any = None, seconds: float = 150) -> dict[str, Any]:
        """Asks for a job and waits until it has succeeded."""
        job = self.wait_job(self.post(path, body)["id"], seconds)
        if job["state"] != "succeeded":
            raise AssertionError(f"job {job['kind']} {job['state']}: {json.dumps(job.get('error'))}")
        return job

    def refusal(self, path: str, body: Any = None, seconds: float = 150) -> str:
        """Why it was refused: by the call itself, or by the job that it became. Fails when it was not."""
        try:
            job = self.wait_job(self.post(path, body)["id"], seconds)
        except ApiError as error:
            return f"{error.code}: {error.detail}"
        if job["state"] != "failed":
            raise AssertionError(f"{path} was not refused: {job['kind']} {job['state']} {job['result']}")
        return f"{job['error']['code']}: {job['error']['message']} {' '.join(job['error']['causes'])}"

    def events(self, after: int = 0, **filters: str) -> list[dict[str, Any]]:
        """Every event behind `after`."""
        found: list[dict[str, Any]] = []
        while True:
            query = urllib.parse.urlencode({"after": after, "limit": 1000, **filters})
            page = self.get(f"/events?{query}")["items"]
            found += page
            if len(page) < 1000:
                return found
            after = page[-1]["seq"]

    def last_seq(self) -> int:
        """The number of the newest event."""
        events = self.events()
        return int(events[-1]["seq"]) if events else 0

    def stream(self, after: int | None = None, path: str = "/events") -> "EventStream":
        """The event stream, open."""
        return EventStream(self, after, path)


class EventStream:
    """Server-Sent Events on a thread of its own; each event is stamped with its arrival."""

    def __init__(self, api: Api, after: int | None, path: str) -> None:
        self.events: "queue.Queue[tuple[float, dict[str, Any]]]" = queue.Queue()
        self.seen: list[dict[str, Any]] = []
        self._connection = api.connect(600)
        headers = api.headers(Accept="text/event-stream")
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        self._connection.request("GET", "/api/v1" + path, headers=headers)
        self._answer = self._connection.getresponse()
        if self._answer.status != 200:
            raise ApiError(self._answer.status, json.loads(self._answer.read() or b"{}"))
        self._socket = self._connection.sock
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> "EventStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the stream and its thread."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the daemon went first
        self._thread.join(10)
        self._connection.close()

    def _read(self) -> None:
        name, data = "", []
        try:
            for line in self._answer:
                text = line.decode().rstrip("\r\n")
                if text.startswith("event:"):
                    name = text[6:].strip()
                elif text.startswith("data:"):
                    data.append(text[5:].strip())
                elif not text and data:
                    self.events.put((time.monotonic(), {"_name": name, **json.loads("\n".join(data))}))
                    name, data = "", []
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            return  # closed by us or by the daemon's end

    def wait(self, wanted: Any, seconds: float, what: str) -> tuple[float, dict[str, Any]]:
        """The arrival and the first event for which `wanted(event)` holds."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                arrival, event = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                kinds = [e.get("kind", e["_name"]) for e in self.seen[-15:]]
                raise AssertionError(f"within {seconds} s no event said that {what}; seen: {kinds}") from None
            self.seen.append(event)
            if wanted(event):
                return arrival, event
