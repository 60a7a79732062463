# SPDX-License-Identifier: Apache-2.0
"""DNS servers beside the caller: dnsmasq, unbound, and one of our own that answers as none should.

Records are text: "NAME TTL TYPE DATA", as in a zone file; names have no dot at the end."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import threading
import time

from . import netns
from .process import Process
from .scenario import Skip

ADDRESS = netns.CALLER
A, CNAME, SOA, AAAA, SRV, NAPTR = 1, 5, 6, 28, 33, 35
TYPES = {"A": A, "CNAME": CNAME, "SOA": SOA, "AAAA": AAAA, "SRV": SRV, "NAPTR": NAPTR}


def options(**more):
    """Options of a proxy that asks these servers."""
    return {"dns-servers": ADDRESS, "dns-timeout": "500ms",
            **{k.replace("_", "-"): v for k, v in more.items()}}


def wire_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def question(name, kind, number=0x4864):
    return (struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + wire_name(name)
            + struct.pack(">HH", kind, 1))


class Server:
    """A program that serves records; `restart` with others."""

    program = None

    def __init__(self, world, records, **more):
        self.path = shutil.which(self.program) or shutil.which(self.program, path="/usr/sbin")
        if self.path is None:
            raise Skip(f"{self.program} is not installed")
        self.world, self.records, self.more = world, list(records), more
        self.process = None
        world._cleanup.callback(self.kill)
        self.start()

    def argv(self):
        raise NotImplementedError

    def start(self):
        self.process = Process(self.argv(), self.world.net.caller,
                               self.world.path(f"{self.program}.log"))
        deadline = time.monotonic() + 10
        while not self._answers():
            if time.monotonic() > deadline or not self.process.running():
                raise AssertionError(f"{self.program} does not answer: {self.process.output()}")
        return self

    def _answers(self):
        with self.world.net.caller.inside():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.closing(sock):
            sock.settimeout(0.1)
            with contextlib.suppress(OSError):
                sock.sendto(question("is-it-there.test", A), (ADDRESS, 53))
                return len(sock.recv(4096)) >= 12
        time.sleep(0.02)
        return False

    def restart(self, records):
        self.kill()
        self.records = list(records)
        return self.start()

    def stall(self):
        """It is there and does not answer."""
        self.process.signal(signal.SIGSTOP)

    def go_on(self):
        self.process.signal(signal.SIGCONT)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process = None


class Dnsmasq(Server):
    """`ttl` is that of all records; answers that there is none come without an SOA."""

    program = "dnsmasq"

    def argv(self):
        argv = [self.path, "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                "--user=root", "--pid-file=", f"--listen-address={ADDRESS}", "--bind-interfaces",
                "--local=/test/", f"--local-ttl={self.more.get('ttl', 60)}"]
        for record in self.records:
            name, _, kind, data = record.split(None, 3)
            if kind in ("A", "AAAA"):
                argv.append(f"--host-record={name},{data}")
            elif kind == "SRV":
                priority, weight, port, target = data.split()
                argv.append(f"--srv-host={name},{target},{port},{priority},{weight}")
            elif kind == "NAPTR":
                order, preference, flags, service, replacement = data.split()
                argv.append(f"--naptr-record={name},{order},{preference},{flags},{service},,"
                            f"{replacement}")
        return argv


UNBOUND = """server:
  interface: {address}
  access-control: 0.0.0.0/0 allow
  chroot: ""
  username: ""
  pidfile: ""
  directory: "{folder}"
  use-syslog: no
  logfile: ""
  do-daemonize: no
  num-threads: 1
  so-reuseport: no
  module-config: "iterator"
  outgoing-range: 16
  num-queries-per-thread: 16
  local-zone: "test." static
  local-data: "test. 3600 IN SOA ns.test. admin.test. 1 7200 3600 86400 {negative}"
{records}
remote-control:
  control-enable: no
"""


class Unbound(Server):
    """`negative` is the minimum of the zone's SOA, in seconds."""

    program = "unbound"

    def argv(self):
        lines = []
        for record in self.records:
            name, ttl, kind, data = record.split(None, 3)
            if kind == "NAPTR":
                order, preference, flags, service, replacement = data.split()
                data = f'{order} {preference} "{flags}" "{service}" "" {replacement}.'
            elif kind in ("SRV", "CNAME"):
                data += "."
            lines.append(f"  local-data: '{name}. {ttl} IN {kind} {data}'")
        path = self.world.path("unbound.conf")
        with open(path, "w") as out:
            out.write(UNBOUND.format(address=ADDRESS, folder=os.path.dirname(path),
                                     negative=self.more.get("negative", 60),
                                     records="\n".join(lines)))
        return [self.path, "-d", "-p", "-c", path]


class Hostile:
    """A server of our own: what it says depends on the last word of the name that is asked for.

    ring: aliases in a ring; chain: twenty of them; cut: the record is longer than the message; noise:
    bytes without sense; large: records that are too long, in a datagram that is; refused, fails: that
    response code; big: truncated, and 500 SRV records by TCP. Any other host has `address`."""

    def __init__(self, world, address):
        self.address = address
        with world.net.caller.inside():
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.udp.bind((ADDRESS, 53))
        self.tcp.bind((ADDRESS, 53))
        self.tcp.listen(8)
        self.asked = []
        world._cleanup.callback(self.close)
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def close(self):
        for sock in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _serve_udp(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.udp.recvfrom(4096)
                if not data:
                    return
                self.udp.sendto(self.answer(data, False), peer)

    def _serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.tcp.accept()
                with contextlib.closing(sock), contextlib.suppress(OSError):
                    sock.settimeout(2)
                    size = struct.unpack(">H", sock.recv(2, socket.MSG_WAITALL))[0]
                    reply = self.answer(sock.recv(size, socket.MSG_WAITALL), True)
                    sock.sendall(struct.pack(">H", len(reply)) + reply)
                    sock.recv(1)

    @staticmethod
    def _read_question(data):
        at, parts = 12, []
        while data[at]:
            parts.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
        return ".".join(parts), struct.unpack(">H", data[at + 1:at + 3])[0], data[12:at + 5]

    @staticmethod
    def _record(owner, kind, data, ttl=60):
        return wire_name(owner) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data

    def _aliases(self, name, count, ring):
        base = name.partition(".")[2]
        names = [name] + [f"a{i}.{base}" for i in range(1, count)]
        targets = names[1:] + [name if ring else f"a{count}.{base}"]
        return [self._record(n, CNAME, wire_name(t)) for n, t in zip(names, targets)]

    def _srvs(self, name, count):
        target = wire_name("first.test")
        first = [self._record(name, SRV, struct.pack(">HHH", 1, 0, 5060) + target)]
        return [self._record(name, SRV, struct.pack(">HHH", 9 + i, 0, 5060) + wire_name(f"t{i}.test"))
                for i in range(count - 1)] + first

    def answer(self, data, by_tcp):
        name, kind, asked = self._read_question(data)
        self.asked.append((name, kind, by_tcp))
        first = name.lower().rpartition(".")[2]
        records, flags = [], 0x8180
        if first == "ring":
            records = self._aliases(name, 3, True)
        elif first == "chain":
            records = self._aliases(name, 20, False)
        elif first in ("refused", "fails"):
            flags |= 5 if first == "refused" else 2
        elif first == "noise":
            return data[:2] + bytes(range(7, 207))
        elif first == "big" and kind == SRV:
            if by_tcp:
                records = self._srvs(name, 500)
            else:
                flags |= 0x0200
        elif kind == A and first != "large":
            records = [self._record(name, A, socket.inet_aton(self.address))]
        elif first == "large" and kind in (A, NAPTR):
            records = [self._record(name, kind, bytes(200))] * 20
        head = struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
        reply = data[:2] + head + asked + b"".join(records)
        return reply[:-2] if first == "cut" and records else reply
