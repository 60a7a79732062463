# SPDX-License-Identifier: Apache-2.0
"""A seeded storm of hostile TLS: handshakes that are garbage, cut, slow, forged, or never go on."""

import contextlib
import os
import random
import socket
import ssl
import struct
import threading
import time

MANY = 10           # connections that come at once
HELD_MAX = 150      # that are left open and say nothing more
RESET = struct.pack("ii", 1, 0)


def _context(identity=None, maximum=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if identity:
        context.load_cert_chain(identity.certificate, identity.key)
    if maximum:
        context.maximum_version = maximum
    return context


def _client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = _context().wrap_bio(incoming, outgoing, server_hostname="holdfast.test")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class TlsStorm(threading.Thread):
    """Runs from start() to finish(); `counts` tells what was done. `identities` are shown by some
    of those that come through their handshake."""

    def __init__(self, namespace, target, source, seed, identities=()):
        super().__init__(daemon=True)
        self.ns, self.target, self.source = namespace, target, source
        self.random = random.Random(seed)
        self.identities = [None, *identities]
        self.counts = {}
        self._held = []
        self._ending = threading.Event()
        self._kinds = [self.cut_hello, self.garbage, self.plain, self.large, self.slow, self.silent,
                       self.reset, self.changed_hello, self.changed_records, self.old_version,
                       self.resumed, self.alerts, self.requests, self.half_closed, self.many]

    def run(self):
        with self.ns.inside():
            while not self._ending.is_set():
                kind = self.random.choice(self._kinds)
                self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1
                with contextlib.suppress(OSError, ValueError):
                    kind()
                while len(self._held) > HELD_MAX:
                    self._held.pop(self.random.randrange(len(self._held))).close()
                time.sleep(0.003)
        for sock in self._held:
            sock.close()

    def finish(self):
        self._ending.set()
        self.join(10)
        return self.counts

    def _connect(self):
        sock = socket.socket()
        sock.settimeout(0.5)
        sock.bind((self.source, 0))
        sock.connect(self.target)
        return sock

    def _shaken(self, context):
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(self._connect())
            tls = context.wrap_socket(sock)
            stack.pop_all()
            return tls

    def _send(self, data, held=False, shut=False):
        sock = self._connect()
        if held:
            self._held.append(sock)
        sock.sendall(data)
        if shut:
            sock.shutdown(socket.SHUT_WR)
        if not held:
            sock.close()

    # --- before a handshake is done ------------------------------------------------------

    def cut_hello(self):
        hello = _client_hello()
        self._send(hello[:self.random.randrange(1, len(hello))], held=self.random.random() < 0.5)

    def garbage(self):
        self._send(self.random.randbytes(self.random.randrange(1, 3000)))

    def plain(self):
        self._send(b"OPTIONS sip:holdfast.test SIP/2.0\r\n\r\n")

    def large(self):
        record = b"\x16\x03\x01\x40\x00"
        self._send(record + b"\x01\x00\x3f\xfc" + self.random.randbytes(16380) + record)

    def slow(self):
        sock = self._connect()
        self._held.append(sock)
        for byte in _client_hello()[:self.random.randrange(1, 30)]:
            sock.send(bytes([byte]))

    def silent(self):
        self._held.append(self._connect())

    def half_closed(self):
        self._send(_client_hello(), held=True, shut=True)

    def reset(self):
        with self._connect() as sock:
            sock.sendall(_client_hello())
            sock.recv(100)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def changed_hello(self):
        hello = bytearray(_client_hello())
        hello[self.random.randrange(9, len(hello))] ^= 1 << self.random.randrange(8)
        self._send(bytes(hello))

    def alerts(self):
        self._send(b"\x15\x03\x03\x00\x02\x01\x00" * 3 + b"\x15\x03\x03\x00\x02\x02"
                   + self.random.randbytes(1))

    def many(self):
        for _ in range(MANY):
            sock = socket.socket()
            self._held.append(sock)
            sock.setblocking(False)
            sock.bind((self.source, 0))
            sock.connect_ex(self.target)

    # --- behind it -----------------------------------------------------------------------

    def changed_records(self):
        with self._shaken(_context(self.random.choice(self.identities))) as tls:
            tls.send(b"\r\n\r\n")
            with socket.socket(fileno=os.dup(tls.fileno())) as raw:
                raw.send(self.random.randbytes(self.random.randrange(1, 300)))

    def old_version(self):
        with self._shaken(_context(self.random.choice(self.identities),
                                   ssl.TLSVersion.TLSv1_2)) as tls:
            tls.send(b"OPTIONS sip:holdfast.test SIP/2.0\r\n")

    def resumed(self):
        context = _context()
        with self._shaken(context) as tls:
            tls.send(b"\r\n\r\n")
            tls.recv(10)
            session = tls.session
        with self._connect() as sock, context.wrap_socket(sock, session=session) as tls:
            tls.send(b"\r\n\r\n")

    def requests(self):
        with self._shaken(_context()) as tls:
            for i in range(self.random.randrange(1, 40)):
                tls.send(b"OPTIONS sip:holdfast.test SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1;"
                         b"branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: "
                         b"%d\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
                         % (i, i))
            if self.random.random() < 0.5:
                tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
