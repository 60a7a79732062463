# SPDX-License-Identifier: Apache-2.0
"""What passes on an interface, packet by packet: IPv4 TCP and UDP, from an AF_PACKET socket."""

import socket
import struct
import threading
import time

ETH_P_ALL = 3
SO_TIMESTAMPNS = 35
FLAGS = ((0x02, "SYN"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"), (0x10, "ACK"))


class Packet:
    """One TCP segment or datagram."""

    def __init__(self, t, interface, ip):
        self.t, self.interface = t, interface
        header = (ip[0] & 15) * 4
        total = struct.unpack("!H", ip[2:4])[0]
        self.ip_id = struct.unpack("!H", ip[4:6])[0]
        self.proto = "tcp" if ip[9] == 6 else "udp"
        self.src, self.dst = socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20])
        body = ip[header:total]
        self.sport, self.dport = struct.unpack("!HH", body[:4])
        if self.proto == "tcp":
            self.seq, self.ack = struct.unpack("!II", body[4:12])
            self.flags = body[13]
            self.payload = body[(body[12] >> 4) * 4:]
        else:
            self.seq = self.ack = self.flags = 0
            self.payload = body[8:]

    @property
    def key(self):
        """Same packet seen on another interface has the same key."""
        return (self.src, self.sport, self.dst, self.dport, self.ip_id, self.seq, self.ack,
                self.flags, len(self.payload))

    def has(self, name):
        return any(self.flags & bit for bit, word in FLAGS if word == name)

    def flag_names(self):
        return ",".join(word for bit, word in FLAGS if self.flags & bit)

    def first_line(self):
        return self.payload.split(b"\r\n", 1)[0].decode("ascii", "replace")


class Capture:
    """Records packets of the interfaces of one namespace from now on."""

    def __init__(self, namespace, *interfaces):
        self.packets, self._stop, self._threads, self._socks = [], False, [], []
        self._lock = threading.Lock()
        # Kernel stamps are wall-clock time; the record uses the monotonic clock like all others.
        self._offset = time.monotonic() - time.time()
        for interface in interfaces:
            with namespace.inside():
                sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
                sock.bind((interface, ETH_P_ALL))
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            sock.settimeout(0.2)
            thread = threading.Thread(target=self._read, args=(sock, interface), daemon=True)
            thread.start()
            self._threads.append(thread)
            self._socks.append(sock)

    def _read(self, sock, interface):
        while not self._stop:
            try:
                data, anc, _, _ = sock.recvmsg(65536, 256)
            except TimeoutError:
                continue
            except OSError:
                return
            stamp = time.monotonic()
            for level, kind, value in anc:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    seconds, nanos = struct.unpack("qq", value[:16])
                    stamp = seconds + nanos / 1e9 + self._offset
            if len(data) >= 28 and data[0] >> 4 == 4 and data[9] in (6, 17):
                packet = Packet(stamp, interface, data)
                with self._lock:
                    self.packets.append(packet)

    def select(self, interface=None, proto=None, src=None, dst=None, sport=None, dport=None,
               since=0.0, flag=None, payload=None):
        with self._lock:
            return [p for p in self.packets
                    if p.t >= since and (interface is None or p.interface == interface)
                    and (proto is None or p.proto == proto)
                    and (src is None or p.src == src) and (dst is None or p.dst == dst)
                    and (sport is None or p.sport == sport)
                    and (dport is None or p.dport == dport)
                    and (flag is None or p.has(flag))
                    and (payload is None or bool(p.payload) == payload)]

    def close(self):
        self._stop = True
        for thread in self._threads:
            thread.join(1)
        for sock in self._socks:
            sock.close()
