# SPDX-License-Identifier: Apache-2.0
"""Connections and datagram sockets of a test device, inside a namespace, with everything recorded."""

import contextlib
import fcntl
import heapq
import itertools
import selectors
import socket
import ssl
import struct
import termios
import threading
import time

from .sip import Framer, Msg, SipError
from .tls import reason_of

SO_RCVBUFFORCE = 33  # of Linux; the scenarios run as root


class Entry:
    """One message seen or sent. `t` is time.monotonic()."""

    def __init__(self, way, conn, msg, raw):
        self.t, self.way, self.conn, self.msg, self.raw = time.monotonic(), way, conn, msg, raw

    def __str__(self):
        arrow = "<-" if self.way == "in" else "->"
        what = self.msg.brief() if self.msg else repr(self.raw[:60])
        branch = self.msg.branch if self.msg else ""
        return f"{arrow} {self.conn} {what} {branch}"


def _pair(sock):
    local, remote = sock.getsockname()[:2], sock.getpeername()[:2]
    return local, remote


def _end_of(error):
    if isinstance(error, ConnectionResetError):
        return "reset"
    return "end without close_notify" if isinstance(error, ssl.SSLEOFError) else str(error)


class Connection:
    """One TCP or TLS connection of a device."""

    numbers = itertools.count(1)

    def __init__(self, device, sock, opened_by):
        self.device, self.sock, self.opened_by = device, sock, opened_by
        self.transport = "tls" if isinstance(sock, ssl.SSLSocket) else "tcp"
        self.id = next(Connection.numbers)
        self.pair = _pair(sock)
        self.local, self.peer = self.pair
        self.framer, self.received = Framer(), b""
        self.closed = None
        self.given_up = False    # by this device's own keep-alive: nothing is sent on it any more
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(5)

    @property
    def resumed(self):
        """TLS: was a session resumed?"""
        return self.sock.session_reused

    def __str__(self):
        return f"{self.transport}#{self.id}({self.opened_by} {self.local[1]}-{self.peer[0]}:{self.peer[1]})"

    __repr__ = __str__

    def send(self, data):
        self.sock.sendall(data)

    def read(self):
        """What has come; b"" at the end, None where it was no whole record of TLS."""
        if self.transport == "tcp":
            return self.sock.recv(65536)
        data = b""
        self.sock.settimeout(0)
        try:
            while not data or self.sock.pending():
                piece = self.sock.recv(65536)
                if not piece:
                    break
                data += piece
        except ssl.SSLWantReadError:
            data = data or None
        finally:
            self.sock.settimeout(5)
        if self.opened_by == "us":
            self.device.tls.keep_session(self.sock)
        return data

    def say_goodbye(self):
        """TLS: close_notify; the connection below stays."""
        with self.device.cond, contextlib.suppress(OSError, ValueError):
            self.sock.settimeout(0)
            self.sock.unwrap()

    def close(self):
        """FIN in the usual way; before it, over TLS, close_notify."""
        if self.transport == "tls" and not self.closed:
            self.say_goodbye()
        self.device.drop(self, "closed by us")

    def reset(self):
        """RST: what a machine says that has no such connection."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.device.drop(self, "reset by us")

    def unacked(self):
        """Bytes of ours that the peer has not acknowledged (SIOCOUTQ)."""
        answer = fcntl.ioctl(self.sock, termios.TIOCOUTQ, struct.pack("i", 0))
        return struct.unpack("i", answer)[0]

    def readable(self):
        """Bytes that have come and were not read (FIONREAD)."""
        answer = fcntl.ioctl(self.sock, termios.FIONREAD, struct.pack("i", 0))
        return struct.unpack("i", answer)[0]

    def pause(self):
        """Stop reading: the window fills."""
        self.device.unwatch(self.sock)

    def resume(self):
        self.device.watch(self.sock, self.device.on_stream, self)

    def wait_closed(self, timeout):
        """Reason ("end of file", "reset", ...) once the peer closed, or None."""
        self.device.wait(lambda: self.closed, timeout)
        return self.closed


class DatagramPath:
    """UDP from our socket to one peer."""

    transport, opened_by = "udp", "us"

    def __init__(self, device, sock, peer):
        self.device, self.sock, self.peer = device, sock, peer[:2]
        self.local = sock.getsockname()[:2]
        self.closed = None

    def __str__(self):
        return f"udp({self.local[1]}-{self.peer[0]}:{self.peer[1]})"

    __repr__ = __str__

    def __eq__(self, other):
        return isinstance(other, DatagramPath) and self.peer == other.peer

    def __hash__(self):
        return hash(self.peer)

    def send(self, data):
        self.sock.sendto(data, self.peer)


class Endpoint:
    """Sockets, timers and the record of one device; a thread of its own reads them.

    Subclasses get `on_message(conn, msg)` with `self.cond` held."""

    def __init__(self, namespace, address, port=5060, name="", udp=True, tcp=True, tls=None,
                 tls_port=5061, receive_buffer=0):
        self.ns, self.address, self.port = namespace, address, port
        self.tls, self.tls_port, self.receive_buffer = tls, tls_port, receive_buffer
        self.deaf = False       # what we accept from now on is never read
        self.name = name
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.cond = threading.Condition(threading.RLock())
        self.trace, self.connections, self.notes = [], [], []
        self.listener = self.tls_listener = self.udp = None
        self.refused = []       # (time, reason): TLS handshakes that failed, in either role
        self._half_closed = []
        self._timers, self._order = [], itertools.count()
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, (self._on_wake, None))
        self._stopping = False
        self.fault = None       # an exception in the thread: a fault of the test, shown as one
        self._thread = threading.Thread(target=self._loop, daemon=True)
        if udp:
            self.udp = self.socket(socket.SOCK_DGRAM)
            self.udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
            self.udp.bind((address, port))
            self.port = port = self.udp.getsockname()[1]
            self.watch(self.udp, self._on_datagram, None)
        if tcp:
            self.listen()
        elif tls:
            self.listen_tls()
        self._thread.start()

    def __setattr__(self, name, value):
        """A misspelt name would change nothing, and the test would not tell."""
        if "_thread" in self.__dict__ and not hasattr(self, name):
            raise AttributeError(f"a device has no {name}")
        super().__setattr__(name, value)

    @property
    def host(self):
        """Our address as it stands in a URI or Via."""
        return f"[{self.address}]" if ":" in self.address else self.address

    def socket(self, kind):
        with self.ns.inside():
            sock = socket.socket(self.family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.receive_buffer and kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        return sock

    # --- sockets -------------------------------------------------------------------------

    def listen(self, backlog=64):
        """Accept connections on our port, and on the one for TLS where we speak it."""
        if self.listener is None:
            self.listener = self._listening(self.port, backlog, self._on_accept)
            self.port = self.listener.getsockname()[1]
        if self.tls:
            self.listen_tls(backlog)

    def listen_tls(self, backlog=64):
        if self.tls_listener is None:
            self.tls_listener = self._listening(self.tls_port, backlog, self._on_accept_tls)
            self.tls_port = self.tls_listener.getsockname()[1]

    def _listening(self, port, backlog, func):
        sock = self.socket(socket.SOCK_STREAM)
        sock.bind((self.address, port))
        sock.listen(backlog)
        self.watch(sock, func, sock)
        return sock

    def stop_listening(self):
        """From now on the kernel refuses connections to our ports."""
        for sock in (self.listener, self.tls_listener):
            if sock is not None:
                self.unwatch(sock)
                sock.close()
        self.listener = self.tls_listener = None

    def connect(self, peer, source_port=0, transport="tcp"):
        """Open a connection to (address, port)."""
        sock = self.socket(socket.SOCK_STREAM)
        sock.settimeout(5)
        sock.bind((self.address, source_port))
        sock.connect(peer)
        if transport == "tls":
            try:
                sock = self.tls.connect(sock, peer[0])
            except OSError as error:
                sock.close()
                self._refuse(error)
                raise
        return self._add(sock, "us")

    def _refuse(self, error):
        with self.cond:
            reason = reason_of(error)
            self.refused.append((time.monotonic(), reason))
            self.notes.append((time.monotonic(), f"TLS handshake: {reason}"))
            self.cond.notify_all()

    def _add(self, sock, opened_by):
        conn = Connection(self, sock, opened_by)
        with self.cond:
            self.connections.append(conn)
            if not self.deaf:
                self.watch(sock, self.on_stream, conn)
            self.cond.notify_all()
        return conn

    def accepted(self):
        """Connections that the proxy opened to us, oldest first."""
        with self.cond:
            return [c for c in self.connections if c.opened_by == "peer"]

    def path_to(self, transport, peer):
        """An open connection to the peer, or a new one; for UDP the datagram path."""
        if transport == "udp":
            return DatagramPath(self, self.udp, peer)
        with self.cond:
            for conn in reversed(self.connections):
                if (conn.peer == tuple(peer) and conn.transport == transport
                        and not conn.closed and not conn.given_up):
                    return conn
        return self.connect(peer, transport=transport)

    def drop(self, conn, reason):
        with self.cond:
            if conn.closed:
                return
            conn.closed = reason
            self.unwatch(conn.sock)
            conn.sock.close()
            self.notes.append((time.monotonic(), f"{conn} {reason}"))
            self.cond.notify_all()

    def forget_everything(self):
        """Reboot: all connections are gone. Call it while the firewall drops, so that no RST leaves."""
        for conn in list(self.connections):
            conn.reset()

    def watch(self, sock, func, arg):
        with self.cond:
            self._selector.register(sock, selectors.EVENT_READ, (func, arg))
        self._poke()

    def unwatch(self, sock):
        with self.cond, contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sock)
        self._poke()

    # --- the thread ----------------------------------------------------------------------

    def _poke(self):
        with contextlib.suppress(OSError):
            self._wake.send(b"x")

    def _on_wake(self, _):
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass

    def after(self, delay, func, *args):
        """Call func(*args) in the device's thread."""
        with self.cond:
            heapq.heappush(self._timers, (time.monotonic() + delay, next(self._order), func, args))
        self._poke()

    def _loop(self):
        try:
            self._turns()
        except Exception as error:                               # noqa: BLE001
            self.fault = error
            raise

    def _turns(self):
        while not self._stopping:
            with self.cond:
                wait = self._timers[0][0] - time.monotonic() if self._timers else 1.0
            for key, _ in self._selector.select(max(0.0, wait)):
                func, arg = key.data
                with self.cond:
                    if key.fileobj.fileno() >= 0:
                        func(arg)
            self._run_timers()

    def _run_timers(self):
        while True:
            with self.cond:
                if not self._timers or self._timers[0][0] > time.monotonic():
                    return
                _, _, func, args = heapq.heappop(self._timers)
                func(*args)
                self.cond.notify_all()

    def _on_accept(self, listener):
        with contextlib.suppress(OSError):
            sock, _peer = listener.accept()
            self._add(sock, "peer")

    def _on_accept_tls(self, listener):
        with contextlib.suppress(OSError):
            sock, _peer = listener.accept()
            sock.settimeout(5)
            # A handshake waits for its peer: not in the thread that reads everything else.
            threading.Thread(target=self._handshake, args=(sock,), daemon=True).start()

    def _handshake(self, sock):
        try:
            sock = self.tls.accept(sock)
            sock.do_handshake()
        except (OSError, ValueError) as error:
            # Our alert must not be overtaken by a reset for what was not read.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_WR)
            self._half_closed.append(sock)
            self._refuse(error)
            return
        with contextlib.suppress(OSError):
            self._add(sock, "peer")

    def on_stream(self, conn):
        try:
            data = conn.read()
        except (ConnectionError, TimeoutError, OSError) as error:
            self.drop(conn, _end_of(error))
            return
        if data is None:
            return
        if not data:
            self.drop(conn, "end of file")
            return
        conn.received += data
        try:
            for msg in conn.framer.feed(data):
                self._record_in(conn, msg)
        except SipError as error:
            self.notes.append((time.monotonic(), f"{conn}: {error}"))
        self.cond.notify_all()

    def _on_datagram(self, _):
        try:
            data, peer = self.udp.recvfrom(65536)
        except OSError:
            return
        path = DatagramPath(self, self.udp, peer)
        if not data.strip():
            self.trace.append(Entry("in", path, None, data))
            self.cond.notify_all()
            return
        try:
            msg = Msg.parse(data)
        except SipError:
            self.trace.append(Entry("in", path, None, data))
            self.cond.notify_all()
            return
        self._record_in(path, msg)

    def _record_in(self, conn, msg):
        self.trace.append(Entry("in", conn, msg, None))
        self.on_message(conn, msg)
        self.cond.notify_all()

    def on_message(self, conn, msg):
        """Only recorded unless a subclass does more."""

    def send(self, conn, msg):
        """Send and record; a dead connection is noted, not raised."""
        raw = msg if isinstance(msg, bytes) else msg.bytes()
        with self.cond:
            self.trace.append(Entry("out", conn, msg if isinstance(msg, Msg) else None, raw))
            try:
                conn.send(raw)
                return True
            except OSError as error:
                self.notes.append((time.monotonic(), f"{conn} send: {error}"))
                return False

    # --- looking -------------------------------------------------------------------------

    def wait(self, condition, timeout):
        """Wait until condition() is true; its value."""
        deadline = time.monotonic() + timeout
        with self.cond:
            while True:
                value = condition()
                left = deadline - time.monotonic()
                if self.fault:
                    raise RuntimeError(f"the thread of {self.name} ended") from self.fault
                if value or left <= 0:
                    return value
                self.cond.wait(min(left, 0.5))

    def seen(self, way="in", method=None, status=None, since=0.0, test=None):
        """Recorded messages that match."""
        with self.cond:
            return [e for e in self.trace
                    if e.way == way and e.msg is not None and e.t >= since
                    and (method is None or e.msg.method == method)
                    and (status is None or e.msg.status == status)
                    and (test is None or test(e.msg))]

    def wait_seen(self, timeout=5.0, count=1, **what):
        """The matching entries once there are `count`, or None."""
        found = self.wait(lambda: (lambda s: s if len(s) >= count else None)(self.seen(**what)),
                          timeout)
        return found

    def report(self, start):
        """The record as text, times relative to `start`."""
        with self.cond:
            lines = [(e.t, str(e)) for e in self.trace] + self.notes
        return "\n".join(f"{t - start:9.3f} {self.name}: {text}" for t, text in sorted(lines))

    def close(self):
        self._stopping = True
        self._poke()
        self._thread.join(2)
        with self.cond:
            socks = [self.listener, self.tls_listener, self.udp, self._wake, self._woken]
            for sock in socks + [c.sock for c in self.connections] + self._half_closed:
                if sock is not None:
                    with contextlib.suppress(OSError):
                        sock.close()
            self._selector.close()
