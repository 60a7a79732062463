# SPDX-License-Identifier: Apache-2.0
"""HTTP as a test needs it: one connection with its own source address, and the answer in pieces."""

import contextlib
import json
import select
import socket
import time

PORT = 8060
JSON = {"Content-Type": "application/json"}


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    def __repr__(self):
        return f"{self.status} {self.body[:200]!r}"


class Client:
    """One connection to the daemon, from `source`; `tls`: a client's SSLContext."""

    def __init__(self, namespace, address="127.0.0.1", source="127.0.0.1", tls=None, port=PORT,
                 timeout=10.0, receive=None):
        self.host = f"{address}:{port}"
        with namespace.inside():
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.sock.settimeout(timeout)
        try:
            self.sock.bind((source, 0))
            self.sock.connect((address, port))
            if tls:
                self.sock = tls.wrap_socket(self.sock, server_hostname=address)
        except OSError:
            self.sock.close()
            raise
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def request(self, path, method="GET", body=None, headers=None, host=None):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host or self.host}"]
        data = body if isinstance(body, bytes) else (body or "").encode()
        if body is not None:
            lines.append(f"Content-Length: {len(data)}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    def until(self, mark):
        """Bytes up to and with the mark."""
        while mark not in self.rest:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"closed after {self.rest[:200]!r}")
            self.rest += data
        head, _, self.rest = self.rest.partition(mark)
        return head + mark

    def take(self, length):
        while len(self.rest) < length:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"closed after {len(self.rest)} of {length} bytes")
            self.rest += data
        data, self.rest = self.rest[:length], self.rest[length:]
        return data

    def head(self):
        """(status, headers with names in lower case)"""
        first, *lines = self.until(b"\r\n\r\n").decode().strip().split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value.strip() for name, value in pairs}

    def answer(self, has_body=True):
        status, headers = self.head()
        length = int(headers.get("content-length", 0)) if has_body and status != 304 else 0
        return Answer(status, headers, self.take(length))

    def get(self, path, **more):
        self.request(path, **more)
        return self.answer()

    def post(self, path, members=None, headers=None):
        self.request(path, "POST", json.dumps(members or {}), {**JSON, **(headers or {})})
        return self.answer()

    def is_closed(self, timeout):
        """Has the server closed it, after whatever it still says?"""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.sock], [], [], deadline - time.monotonic())
            try:
                if ready and not self.sock.recv(65536):
                    return True
            except OSError:
                return True
        return False


class Stream(Client):
    """GET /api/v1/stream: its events one by one."""

    def open(self, **headers):
        self.request("/api/v1/stream", headers=headers)
        self.status, self.headers = self.head()
        if self.status != 200:
            return self
        self.text = b""
        return self

    def _more(self):
        """The next chunk (RFC 9112 section 7.1)."""
        length = int(self.until(b"\r\n"), 16)
        data = self.take(length)
        self.until(b"\r\n")
        if length == 0:
            raise EOFError("the stream has ended")
        self.text += data

    def next(self):
        """(name, id or None, data) of the next event."""
        while True:
            while b"\n\n" not in self.text:
                self._more()
            block, _, self.text = self.text.partition(b"\n\n")
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
            if "data" in fields:
                return fields.get("event"), fields.get("id"), json.loads(fields["data"])

    def wait(self, name, wanted=lambda _: True, timeout=10.0):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            event, number, data = self.next()
            if event == name and wanted(data):
                return number, data
        raise AssertionError(f"the stream does not tell of {name}")


def get(namespace, path, headers=None, **more):
    """By a connection of its own."""
    with Client(namespace, **more) as client:
        return client.get(path, headers=headers)


def post(namespace, path, members=None, headers=None, **more):
    with Client(namespace, **more) as client:
        return client.post(path, members, headers)
