# SPDX-License-Identifier: Apache-2.0
"""SIP messages for the test devices: parse, build, split a stream. Plain, and strict where a fault must show."""

import hashlib
import os
import re

COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact",
           "l": "content-length", "c": "content-type", "k": "supported", "s": "subject",
           "e": "content-encoding"}
LISTS = {"via", "route", "record-route", "contact", "path", "supported", "require",
         "proxy-require", "unsupported", "service-route", "allow"}
REASONS = {100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted",
           302: "Moved Temporarily", 404: "Not Found", 408: "Request Timeout",
           480: "Temporarily Unavailable", 486: "Busy Here", 487: "Request Terminated",
           491: "Request Pending", 500: "Server Internal Error", 503: "Service Unavailable",
           600: "Busy Everywhere", 603: "Decline"}


class SipError(Exception):
    """Bytes that are no SIP message."""


def token(length=8):
    return os.urandom(length).hex()


def split_commas(value):
    """Split a header value at commas outside quotes and angle brackets."""
    out, start, quoted, depth, i = [], 0, False, 0, 0
    while i < len(value):
        c = value[i]
        if quoted:
            if c == "\\":
                i += 1
            elif c == '"':
                quoted = False
        elif c == '"':
            quoted = True
        elif c == "<":
            depth += 1
        elif c == ">":
            depth -= 1
        elif c == "," and depth == 0:
            out.append(value[start:i].strip())
            start = i + 1
        i += 1
    out.append(value[start:].strip())
    return [part for part in out if part]


def uri_of(value):
    """The URI in a name-addr or addr-spec."""
    match = re.search(r"<([^>]*)>", value)
    return match.group(1) if match else value.split(";")[0].strip()


def params_of(value):
    """Header parameters after the URI, as a dict with lower-case names."""
    rest = value.split(">", 1)[1] if ">" in value else value.partition(";")[1] + value.partition(";")[2]
    out = {}
    for part in re.findall(r";\s*([^;=\s]+)\s*(?:=\s*(\"(?:[^\"\\]|\\.)*\"|[^;\s]*))?", rest):
        out[part[0].lower()] = part[1].strip('"')
    return out


class Uri:
    """scheme:user@host:port;params"""

    def __init__(self, text):
        self.text = text
        match = re.match(r"(sips?):(?:([^@]*)@)?(\[[^\]]*\]|[^:;?]*)(?::(\d+))?(.*)$", text)
        if not match:
            raise SipError(f"bad URI {text!r}")
        self.scheme, self.user = match.group(1), match.group(2)
        self.host = match.group(3).strip("[]")
        self.port = int(match.group(4)) if match.group(4) else None
        self.params = {}
        for part in match.group(5).split("?")[0].split(";"):
            if part:
                name, _, value = part.partition("=")
                self.params[name.lower()] = value

    @property
    def transport(self):
        return self.params.get("transport", "").lower()


class Msg:
    """One message. Headers keep order and case; `all` splits comma lists."""

    def __init__(self, start, headers=None, body=b""):
        self.start, self.headers, self.body = start, list(headers or []), body
        first = start.split(" ", 2)
        self.is_response = start.startswith("SIP/2.0 ")
        if self.is_response:
            self.status, self.reason = int(first[1]), first[2] if len(first) > 2 else ""
            self.method = None
        else:
            if len(first) != 3 or first[2] != "SIP/2.0":
                raise SipError(f"bad start line {start!r}")
            self.method, self.uri = first[0], first[1]
            self.status = None

    @staticmethod
    def parse(data):
        head, sep, body = data.partition(b"\r\n\r\n")
        if not sep:
            raise SipError("no end of headers")
        lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "surrogateescape")).split("\r\n")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise SipError(f"bad header {line!r}")
            headers.append((name.strip(), value.strip()))
        return Msg(lines[0], headers, body)

    def all(self, name):
        name = name.lower()
        out = []
        for key, value in self.headers:
            key = COMPACT.get(key.lower(), key.lower())
            if key == name:
                out += split_commas(value) if name in LISTS else [value]
        return out

    def get(self, name, default=""):
        values = self.all(name)
        return values[0] if values else default

    def add(self, name, value):
        self.headers.append((name, str(value)))
        return self

    def bytes(self):
        lines = [self.start] + [f"{n}: {v}" for n, v in self.headers]
        if not any(COMPACT.get(n.lower(), n.lower()) == "content-length" for n, _ in self.headers):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body

    @property
    def cseq(self):
        number, _, method = self.get("cseq").partition(" ")
        return int(number), method.strip()

    @property
    def branch(self):
        return params_of(self.get("via")).get("branch", "")

    @property
    def call_id(self):
        return self.get("call-id")

    def tag(self, header):
        return params_of(self.get(header)).get("tag", "")

    @property
    def key(self):
        """Server transaction (RFC 3261 17.2.3): branch, sent-by, method with ACK as INVITE."""
        via = self.get("via")
        sent_by = via.split(";")[0].split()[-1].lower()
        method = self.cseq[1]
        return self.branch, sent_by, "INVITE" if method == "ACK" else method

    def brief(self):
        if self.is_response:
            return f"{self.status} {self.reason} ({self.cseq[1]})"
        return f"{self.method} {self.uri}"


def response_to(request, status, reason=None, to_tag=None, headers=(), body=b""):
    """RFC 3261 8.2.6: Via, From, To, Call-ID, CSeq copied."""
    out = Msg(f"SIP/2.0 {status} {reason or REASONS.get(status, 'Reason')}")
    for via in request.all("via"):
        out.add("Via", via)
    out.add("From", request.get("from"))
    to = request.get("to")
    if status > 100 and to_tag and "tag" not in params_of(to):
        to += f";tag={to_tag}"
    out.add("To", to)
    out.add("Call-ID", request.call_id)
    out.add("CSeq", request.get("cseq"))
    if request.method == "INVITE" and 100 < status < 300:
        for route in request.all("record-route"):
            out.add("Record-Route", route)
    for name, value in headers:
        out.add(name, value)
    out.body = body
    return out


class Framer:
    """Splits a byte stream into messages; counts lone CRLFs (RFC 5626 pongs) and double ones (pings)."""

    def __init__(self):
        self.buffer, self.pings, self.pongs = b"", 0, 0

    def feed(self, data):
        self.buffer += data
        out = []
        while self.buffer:
            if self.buffer.startswith(b"\r\n\r\n"):
                self.pings += 1
                self.buffer = self.buffer[4:]
                continue
            if self.buffer.startswith(b"\r\n"):
                self.pongs += 1
                self.buffer = self.buffer[2:]
                continue
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                break
            msg = Msg.parse(self.buffer[:end + 4])
            length = msg.get("content-length")
            if not length.isdigit():
                raise SipError("no Content-Length on a stream")
            total = end + 4 + int(length)
            if len(self.buffer) < total:
                break
            msg.body = self.buffer[end + 4:total]
            self.buffer = self.buffer[total:]
            out.append(msg)
        return out


HASHES = {"md5": hashlib.md5, "sha-256": hashlib.sha256}


def parse_challenge(value):
    """WWW-Authenticate or Proxy-Authenticate as a dict."""
    return {m.group(1).lower(): m.group(2).strip('"')
            for m in re.finditer(r"([\w-]+)\s*=\s*(\"[^\"]*\"|[^,\s]+)", value.partition(" ")[2])}


def digest_answer(challenge, method, uri, user, password, nc=1, cnonce=None):
    """Value of Authorization for one parsed challenge (RFC 7616, qop=auth where offered)."""
    name = challenge.get("algorithm", "MD5")
    func = HASHES[name.lower()]

    def digest(text):
        return func(text.encode()).hexdigest()

    ha1 = digest(f"{user}:{challenge['realm']}:{password}")
    ha2 = digest(f"{method}:{uri}")
    nonce = challenge["nonce"]
    fields = [f'username="{user}"', f'realm="{challenge["realm"]}"', f'nonce="{nonce}"',
              f'uri="{uri}"', f"algorithm={name}"]
    if "auth" in challenge.get("qop", "").replace(" ", "").split(","):
        cnonce = cnonce or token(4)
        fields += ["qop=auth", f"nc={nc:08x}", f'cnonce="{cnonce}"',
                   f'response="{digest(f"{ha1}:{nonce}:{nc:08x}:{cnonce}:auth:{ha2}")}"']
    else:
        fields.append(f'response="{digest(f"{ha1}:{nonce}:{ha2}")}"')
    if "opaque" in challenge:
        fields.append(f'opaque="{challenge["opaque"]}"')
    return "Digest " + ", ".join(fields)
