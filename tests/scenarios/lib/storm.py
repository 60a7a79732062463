#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A seeded storm of hostile SIP: a network that keeps no rule, for a bounded time.

    storm.py --target 127.0.0.1:5060 --seed 1 --seconds 20 [--domain NAME] [--rate N]

It plays callers, phones and strangers at once, over UDP and TCP: well-formed messages changed at
random, responses nobody asked for, forged branches, tokens and marks, what the proxy itself has
sent thrown back at it, bindings that lead back to the proxy, connections that are split, pipelined,
reset, half-open, slow, or never read. The same seed makes the same decisions; what comes back
depends on the proxy. It judges nothing: whoever starts it looks at the proxy afterwards.
"""

import argparse
import contextlib
import os
import random
import select
import socket
import struct
import sys
import time

METHODS = ["INVITE", "INVITE", "INVITE", "REGISTER", "REGISTER", "OPTIONS", "BYE", "CANCEL", "ACK",
           "MESSAGE", "SUBSCRIBE", "NOTIFY", "UPDATE", "PRACK", "INFO", "REFER", "PUBLISH", "FOO"]
STATUSES = [100, 180, 181, 183, 200, 200, 200, 202, 300, 301, 302, 305, 380, 400, 401, 403, 404, 407,
            408, 415, 420, 430, 433, 480, 481, 482, 483, 486, 487, 488, 491, 493, 500, 503, 503, 600,
            603, 604, 606, 699, 700, 99, 1]
NUMBERS = ["0", "1", "-1", "70", "255", "256", "65535", "65536", "2147483647", "2147483648",
           "4294967295", "4294967296", "18446744073709551616", "9" * 40, "", "1.5", "0x10", " 7 ",
           "+3", "00000000000000000000000000000001"]
USERS = [str(n) for n in range(1001, 1013)]
NEVER = ["never.invalid", "a.b.c.d.invalid", "x" * 63 + ".invalid", "localhost", "no_such", "-",
         "xn--a.invalid", "1.2.3", "256.1.1.1", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "0.0.0.0",
         "255.255.255.255", "224.0.1.75", "127.255.255.254"]
HEADERS = ["Max-Forwards: {n}", "Content-Length: {n}", "Expires: {n}", "Max-Breadth: {n}",
           "Min-Expires: {n}", "Retry-After: {n}", "CSeq: {n} INVITE", "Require: path, outbound, x",
           "Proxy-Require: foo", "Supported: path, outbound, gruu", "Timestamp: {n}",
           "Authorization: Digest username=\"{u}\", realm=\"{h}\", nonce=\"{x}\", uri=\"sip:{h}\", "
           "response=\"{x}\", nc={n}, qop=auth, cnonce=\"{x}\"",
           "Proxy-Authorization: Digest username=\"{u}\", realm=\"{h}\", nonce=\"{x}{x}\", "
           "response=\"{x}\"", "Path: <sip:{h};lr>, <sip:{e};lr;ob>", "Route: <sip:{p};lr>",
           "Route: <sip:{t}@{p};lr;hf-mark={x}>", "Route: <sip:{p}>", "Route: <sip:{e};lr>",
           "Record-Route: <sip:{t}@{p};lr;hf-mark={x}>", "Record-Route: <sip:{e};lr>",
           "Reason: SIP;cause=200;text=\"Call completed elsewhere\"", "X: " + "y" * 300,
           "Via: SIP/2.0/UDP {e};branch=z9hG4bK{x}", "Via: SIP/2.0/TCP {p};branch={b};rport",
           "v: SIP/2.0/UDP {h};branch={b};received={h};maddr={h};ttl={n};rport={n}",
           "Contact: <sip:{u}@{e}>;expires={n};q={n}", "m: *", "Contact: <sip:{u}@{p}>;reg-id={n};"
           "+sip.instance=\"<urn:uuid:{x}>\"", "Call-ID: {x}", "i: {x}", "To: <sip:{u}@{h}>;tag={x}",
           "f: <sip:{u}@{h}>;tag={x}", "Subject: a\r\n folded\r\n\t line", "X-Genesys-Route: sip:{e}"]


class Storm:
    """One run of it: call `run`. `counts` tells afterwards what was done."""

    def __init__(self, target, seed, domain=None, own="127.0.0.1", rate=400, connections=200,
                 spare_loops=False):
        self.random = random.Random(seed)
        self.target, self.own, self.rate = target, own, rate
        self.here = f"{target[0]}:{target[1]}"
        self.domain = domain or target[0]
        self.max_connections = connections
        self.spare_loops = spare_loops
        self.counts = {}
        self.seen = []          # what the proxy sent, for throwing back
        self.sent = []          # what was sent, for repeating
        self.streams = {}       # socket -> bytes that came and are no message yet
        self.deaf = set()       # streams that are not read
        self.udp = [self._udp() for _ in range(6)]
        self.listeners = [self._listener() for _ in range(3)]
        self.closed_port = self._closed_port()
        self.serial = 0

    # --- sockets -------------------------------------------------------------------------

    def _udp(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((self.own, 0))
        sock.setblocking(False)
        return sock

    def _listener(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind((self.own, 0))
        sock.listen(16)
        sock.setblocking(False)
        return sock

    def _closed_port(self):
        with contextlib.closing(self._listener()) as sock:
            return sock.getsockname()[1]

    def _connect(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.bind((self.own, 0))
        sock.connect_ex(self.target)
        self.streams[sock] = b""
        return sock

    def _drop(self, sock, reset=False):
        self.streams.pop(sock, None)
        self.deaf.discard(sock)
        with contextlib.suppress(OSError):
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    def _count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def _write(self, sock, data):
        try:
            if sock.type == socket.SOCK_DGRAM:
                sock.sendto(data[:65000], self.target)
            else:
                sock.send(data)
        except BlockingIOError:
            self._count("would block")
        except OSError:
            if sock in self.streams:
                self._drop(sock)

    # --- words ---------------------------------------------------------------------------

    def pick(self, items):
        return items[self.random.randrange(len(items))]

    def chance(self, percent):
        return self.random.randrange(100) < percent

    def hexes(self, n):
        return "".join(self.pick("0123456789abcdef") for _ in range(n))

    def number(self):
        return self.pick(NUMBERS)

    def branch(self):
        """Ours, of anybody, or the proxy's own form with a random or small id."""
        kind = self.random.randrange(6)
        if kind == 0:
            return "z9hG4bK" + self.hexes(16)
        if kind == 1:
            return "z9hG4bKhf" + self.hexes(16) + "." + self.hexes(8)
        if kind == 2:
            ident = self.random.randrange(3) << 56 | self.random.randrange(64) << 32 | \
                self.random.randrange(8)
            return f"z9hG4bKhf{ident:016x}.{self.hexes(8)}"
        if kind == 3 and self.seen:
            return self._stolen("branch=") or "z9hG4bK"
        return self.pick(["z9hG4bK", "", "1", "z9hG4bK" + "a" * 500, "z9hG4bK-%00-"]) \
            if self.chance(20) else "z9hG4bK" + self.hexes(12)

    def _stolen(self, after):
        """A value that the proxy wrote behind `after`."""
        text = self.pick(self.seen)
        at = text.find(after.encode())
        if at < 0:
            return None
        rest = text[at + len(after):at + len(after) + 80].decode("latin-1")
        end = 0
        while end < len(rest) and (rest[end].isalnum() or rest[end] in "-._"):
            end += 1
        return rest[:end]

    def token_text(self):
        if self.seen and self.chance(50):
            found = self._stolen("<sip:hf")
            if found:
                text = "hf" + found
                if self.chance(40):
                    at = self.random.randrange(len(text))
                    text = text[:at] + self.pick("0123456789abcdef") + text[at + 1:]
                return text
        return "hf" + self.hexes(self.pick([0, 2, 51, 52, 76, 77, 200]))

    def mark_text(self):
        return (self.seen and self.chance(60) and self._stolen("hf-mark=")) or self.hexes(16)

    def endpoint(self):
        """host:port of somebody: us, nobody, a name that is never resolved, the proxy."""
        kind = self.random.randrange(12)
        if kind < 4:
            return f"{self.own}:{self.pick(self.udp).getsockname()[1]}"
        if kind < 7:
            return f"{self.own}:{self.pick(self.listeners).getsockname()[1]};transport=tcp"
        if kind == 7:
            return f"{self.own}:{self.closed_port}" + self.pick(["", ";transport=tcp"])
        if kind == 8:
            return self.pick(NEVER) + self.pick(["", ":0", ":70000", ":5999", ";transport=tcp"])
        if kind == 9:
            name = self.hexes(6) + ".invalid"
            return name + self.pick(["", ":5999", ";transport=tcp", ";transport=sctp"])
        if self.spare_loops:
            return self.domain
        return self.here + self.pick(["", ";transport=tcp", ";lr", f";maddr={self.own}"])

    def fill(self, text):
        words = {"n": self.number(), "u": self.pick(USERS), "h": self.domain, "p": self.here,
                 "e": self.endpoint(), "x": self.mark_text(), "t": self.token_text(),
                 "b": self.branch()}
        for key, value in words.items():
            text = text.replace("{" + key + "}", value)
        return text

    # --- messages ------------------------------------------------------------------------

    def via(self, sock):
        name = "UDP" if sock.type == socket.SOCK_DGRAM else "TCP"
        with contextlib.suppress(OSError):
            return f"SIP/2.0/{name} {self.own}:{sock.getsockname()[1]};rport;branch={self.branch()}"
        return f"SIP/2.0/{name} {self.own};branch={self.branch()}"

    def request(self, sock, method=None):
        self.serial += 1
        method = method or self.pick(METHODS)
        user = self.pick(USERS)
        if method == "REGISTER":
            uri = f"sip:{self.domain}"
        elif self.chance(70):
            uri = f"sip:{self.pick(USERS)}@{self.domain}"
        else:
            uri = self.pick([f"sip:{user}@{self.endpoint()}", f"sip:{self.here}",
                             f"sip:{self.token_text()}@{self.here};lr;hf-mark={self.mark_text()}",
                             "tel:+1-201-555-0123", f"sips:{user}@{self.domain}", "urn:service:sos",
                             f"sip:{self.domain}?Route=%3Csip:x%3E", "sip:%00@x", "*"])
        to_tag = f";tag={self.hexes(6)}" if self.chance(25) else ""
        lines = [f"{method} {uri} SIP/2.0", "Via: " + self.via(sock),
                 f"Max-Forwards: {self.pick([70, 70, 70, 10, 1, 0])}",
                 f"From: <sip:{self.pick(USERS)}@{self.domain}>;tag={self.hexes(6)}",
                 f"To: <sip:{user}@{self.domain}>{to_tag}", f"Call-ID: {self.hexes(8)}",
                 f"CSeq: {self.random.randrange(1, 1000)} {method}"]
        if method == "REGISTER":
            for _ in range(self.pick([0, 1, 1, 1, 2, 5, 30])):
                lines.append(f"Contact: <sip:{user}@{self.endpoint()}>"
                             + self.pick(["", "", ";expires=0", ";expires=60", ";q=0.5", ";q=9",
                                          ";expires=" + self.number()]))
        elif self.chance(80):
            lines.append(f"Contact: <sip:{user}@{self.endpoint()}>")
        if self.chance(15):
            lines.append(f"Route: <sip:{self.token_text()}@{self.here};lr;hf-mark={self.mark_text()}>")
        body = self.pick(["", "", "v=0\r\n", "x" * 1400, "y" * 9000])
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def dangling(self, sock):
        """A response that nobody asked for."""
        method = self.pick(METHODS)
        lines = [f"SIP/2.0 {self.pick(STATUSES)} Storm",
                 f"Via: SIP/2.0/{self.pick(['UDP', 'TCP'])} {self.here};branch={self.branch()}",
                 "Via: " + self.via(sock), f"From: <sip:{self.domain}>;tag={self.hexes(6)}",
                 f"To: <sip:{self.domain}>;tag={self.hexes(6)}", f"Call-ID: {self.hexes(8)}",
                 f"CSeq: 1 {method}", "Content-Length: 0"]
        return "\r\n".join(lines) + "\r\n\r\n"

    def change(self, text):
        """Headers doubled, removed, moved, added, numbers made absurd, bytes flipped, cut."""
        head, _, body = text.partition("\r\n\r\n")
        lines = head.split("\r\n")
        for _ in range(self.pick([0, 0, 1, 1, 2, 3, 6])):
            kind = self.random.randrange(9)
            at = self.random.randrange(1, len(lines)) if len(lines) > 1 else 0
            if kind == 0:
                lines.insert(at, lines[self.random.randrange(len(lines))])
            elif kind == 1 and len(lines) > 2:
                del lines[at]
            elif kind == 2:
                self.random.shuffle(lines) if self.chance(10) else \
                    lines.append(lines.pop(at) if at else lines[0])
            elif kind <= 5:
                extra = self.fill(self.pick(HEADERS))
                lines[at:at] = [extra] * (1 if self.chance(90) else self.pick([40, 150, 260]))
            elif kind == 6:
                name = lines[at].partition(":")[0]
                lines[at] = f"{name}: {self.number()}"
            elif kind == 7:
                lines[at] += self.pick([";lr", "\r\n ", ";tag=x", " ", ",", "\"", "<", ">", ";", "%",
                                        "\\", "\x00", "\x7f", "\xff", "(" * 40, ", " + lines[at]])
            else:
                lines[at] = lines[at].replace(self.pick(":;<>=@ "), self.pick(":;<>=@ \""), 1)
        text = "\r\n".join(lines) + "\r\n\r\n" + body
        if self.chance(5):
            text = text[:self.random.randrange(len(text))]
        data = bytearray(text.encode("latin-1", "replace"))
        if data and self.chance(8):
            for _ in range(self.random.randrange(1, 6)):
                data[self.random.randrange(len(data))] = self.random.randrange(256)
        return bytes(data)

    def remember(self, data):
        keep = self.sent if self.chance(20) else None
        if keep is not None:
            keep.append(data)
            del keep[:-200]
        return data

    def message(self, sock):
        kind = self.random.randrange(20)
        if kind < 2:
            return self.change(self.dangling(sock))
        if kind == 2 and self.sent:
            return self.pick(self.sent)
        if kind == 3 and self.seen:
            return self.pick(self.seen)
        if kind == 4 and self.seen:
            return self.change(self.pick(self.seen).decode("latin-1"))
        if kind == 5 and self.sent:
            text = self.pick(self.sent).decode("latin-1")
            other = self.pick(["CANCEL", "ACK", "BYE"])
            for method in ("INVITE", "BYE", "UPDATE", "MESSAGE"):
                text = text.replace(f"{method} sip", f"{other} sip", 1)
                text = text.replace(f" {method}\r\n", f" {other}\r\n", 1)
            return text.encode("latin-1")
        if kind == 6:
            return self.pick([b"\r\n\r\n", b"\r\n", b"\x00\x01\x00\x00\x21\x12\xa4\x42" + os.urandom(12),
                              b"\x00\x01\xff\xfc\x21\x12\xa4\x42" + b"\x00" * 12, b"\0" * 100, b"\xff",
                              b"SIP/2.0 200\r\n\r\n", b"INVITE", b"A" * 5000, b"a:" * 20000])
        if kind < 12:
            return self.remember(self.request(sock).encode("latin-1"))
        return self.remember(self.change(self.request(sock)))

    # --- what comes back -----------------------------------------------------------------

    def answer(self, sock, data, peer):
        """A phone without manners: many answers, wrong ones, or none."""
        self._count("received")
        if self.chance(30) or len(self.seen) < 20:
            self.seen.append(data)
            del self.seen[:-200]
        if data[:4] == b"SIP/":
            self._count(data[8:11].decode("latin-1"))
        if data[:4] == b"SIP/" or len(data) < 40 or data[:3] == b"ACK":
            return
        head = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        copied = [line for line in head[1:] if line.split(":")[0].strip().lower() in
                  ("via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "record-route")]
        tag = self.hexes(6)
        for _ in range(self.pick([0, 1, 1, 1, 2, 4])):
            status = self.pick(STATUSES)
            lines = [f"SIP/2.0 {status} Storm"]
            for line in copied:
                is_to = line.split(":")[0].strip().lower() in ("to", "t")
                lines.append(line + f";tag={tag}" if is_to and "tag=" not in line else line)
            lines += [f"Contact: <sip:{self.pick(USERS)}@{self.endpoint()}>"] * self.pick([1, 1, 3])
            text = "\r\n".join(lines + ["Content-Length: 0"]) + "\r\n\r\n"
            out = self.change(text) if self.chance(20) else text.encode("latin-1")
            if sock.type == socket.SOCK_DGRAM:
                with contextlib.suppress(OSError):
                    sock.sendto(out, peer)
            else:
                self._write(sock, out)
            self._count("answered")

    def receive(self):
        """Whatever is there is read and answered; bounded for each call."""
        left = 64
        reading = self.udp + self.listeners + [s for s in self.streams if s not in self.deaf]
        poll = select.poll()
        by_fd = {}
        for sock in reading:
            by_fd[sock.fileno()] = sock
            poll.register(sock, select.POLLIN)
        for fd, _ in poll.poll(0)[:left]:
            sock = by_fd[fd]
            try:
                if sock in self.listeners:
                    self.accept(sock)
                elif sock.type == socket.SOCK_DGRAM:
                    data, peer = sock.recvfrom(65536)
                    self.answer(sock, data, peer)
                else:
                    self.read(sock)
            except BlockingIOError:
                pass
            except OSError:
                if sock in self.streams:
                    self._drop(sock)

    def accept(self, listener):
        sock, _ = listener.accept()
        sock.setblocking(False)
        self._count("accepted")
        kind = self.random.randrange(10)
        if kind == 0:
            self._drop(sock, reset=self.chance(50))
            return
        self.streams[sock] = b""
        if kind == 1:
            self.deaf.add(sock)

    def read(self, sock):
        data = sock.recv(65536)
        if not data:
            self._drop(sock)
            return
        if self.chance(2):
            self._drop(sock, reset=self.chance(60))
            return
        data = self.streams[sock] + data
        while b"\r\n\r\n" in data:
            head, _, rest = data.partition(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith((b"content-length:", b"l:")):
                    with contextlib.suppress(ValueError):
                        length = int(line.partition(b":")[2])
            if len(rest) < length:
                break
            data = rest[max(length, 0):]
            if head:
                self.answer(sock, head + b"\r\n\r\n" + rest[:max(length, 0)], None)
            if sock not in self.streams:
                return
        self.streams[sock] = data[-100000:]

    def sane(self):
        """What a caller and a phone with manners would send, so that the rest finds something."""
        sock = self.pick(self.udp) if self.chance(50) else self.stream()
        users = USERS[:8]
        self.serial += 1
        method = self.pick(["REGISTER", "INVITE", "INVITE", "MESSAGE"])
        to = self.pick(users)
        uri = f"sip:{self.domain}" if method == "REGISTER" else f"sip:{to}@{self.domain}"
        lines = [f"{method} {uri} SIP/2.0", f"Via: {self.via(sock).partition(';')[0]};rport;branch="
                 f"z9hG4bK{self.hexes(16)}", "Max-Forwards: 70",
                 f"From: <sip:{self.pick(users)}@{self.domain}>;tag={self.hexes(6)}",
                 f"To: <sip:{to}@{self.domain}>", f"Call-ID: {self.hexes(12)}", f"CSeq: 1 {method}"]
        for _ in range(self.pick([1, 1, 2])):
            lines.append(f"Contact: <sip:{to}@{self.endpoint()}>")
        self._write(sock, self.remember(
            ("\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode("latin-1")))
        self._count("sane")

    # --- one step ------------------------------------------------------------------------

    def stream(self):
        if not self.streams or (len(self.streams) < self.max_connections and self.chance(20)):
            self._count("connected")
            return self._connect()
        return self.pick(list(self.streams))

    def step(self):
        kind = self.random.randrange(52)
        if kind >= 40:
            self.sane()
        elif kind < 18:
            sock = self.pick(self.udp)
            data = self.message(sock)
            for _ in range(self.pick([1] * 8 + [2, 3, 20])):
                self._write(sock, data)
            self._count("datagram")
        elif kind < 30:
            sock = self.stream()
            data = b"".join(self.message(sock) for _ in range(self.pick([1, 1, 1, 2, 8])))
            if self.chance(25):
                for at in sorted(self.random.randrange(len(data) or 1) for _ in range(4)):
                    self._write(sock, data[:at])
                    data = data[at:] or b"\r"
            self._write(sock, data)
            self._count("stream")
            if self.chance(10):
                self._drop(sock, reset=self.chance(50))
        elif kind < 33:
            sock = self.stream()
            with contextlib.suppress(OSError):
                sock.shutdown(self.pick([socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR]))
            self._count("half-open")
        elif kind < 35:
            sock = self.stream()
            self._write(sock, self.message(sock)[:self.random.randrange(1, 60)])
            self._count("slow")
        elif kind < 36:
            self.deaf.add(self.stream())
        elif kind < 37:
            for _ in range(10):
                self._drop(self._connect(), reset=self.chance(50))
            self._count("connected and gone")
        else:
            while len(self.streams) > self.max_connections // 2:
                self._drop(self.pick(list(self.streams)), reset=self.chance(50))
        self.receive()

    def run(self, seconds):
        """Steps for that long, at most `rate` in a second."""
        began = time.monotonic()
        steps = 0
        while (now := time.monotonic() - began) < seconds:
            if steps < now * self.rate:
                self.step()
                steps += 1
            else:
                self.receive()
                time.sleep(0.001)
        self.counts["steps"] = steps
        return self.counts

    def forget_all(self):
        """Every registration is removed, so that nothing leads back to the proxy."""
        sock = self.udp[0]
        for user in USERS:
            self.serial += 1
            self._write(sock, (
                f"REGISTER sip:{self.domain} SIP/2.0\r\nVia: SIP/2.0/UDP {self.own}:"
                f"{sock.getsockname()[1]};rport;branch=z9hG4bKend{self.serial}\r\nMax-Forwards: 70\r\n"
                f"From: <sip:{user}@{self.domain}>;tag=end\r\nTo: <sip:{user}@{self.domain}>\r\n"
                f"Call-ID: end{self.hexes(8)}\r\nCSeq: 1 REGISTER\r\nContact: *\r\nExpires: 0\r\n"
                "Content-Length: 0\r\n\r\n").encode())

    def close(self):
        for sock in self.udp + self.listeners + list(self.streams):
            sock.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--target", default="127.0.0.1:5060")
    parser.add_argument("--own", default="127.0.0.1")
    parser.add_argument("--domain")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=int, default=400, help="steps in a second")
    parser.add_argument("--connections", type=int, default=200)
    args = parser.parse_args()
    host, _, port = args.target.rpartition(":")
    storm = Storm((host, int(port)), args.seed, args.domain, args.own, args.rate, args.connections)
    try:
        print(storm.run(args.seconds))
        storm.forget_all()
    finally:
        storm.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
