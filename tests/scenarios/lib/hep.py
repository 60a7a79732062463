# SPDX-License-Identifier: Apache-2.0
"""A collector of HEP version 3 that looks at every chunk of every packet."""

import contextlib
import ipaddress
import socket
import struct
import threading
import time

FAMILIES = {2: 4, 10: 6}  # of a packet: bytes of version
PROTOCOLS = {17: "udp", 6: "tcp"}
# type: (name, length; None: any)
CHUNKS = {1: ("family", 1), 2: ("protocol", 1), 3: ("source", 4), 4: ("destination", 4),
          5: ("source", 16), 6: ("destination", 16), 7: ("source_port", 2),
          8: ("destination_port", 2), 9: ("seconds", 4), 10: ("microseconds", 4), 11: ("type", 1),
          12: ("capture_id", 4), 14: ("password", None), 15: ("payload", None),
          17: ("correlation", None)}
NEEDED = {"family", "protocol", "source", "destination", "source_port", "destination_port",
          "seconds", "microseconds", "type", "capture_id", "payload"}


def decode(packet):
    """The chunks of a packet by their names; ValueError says what is wrong with it."""
    if packet[:4] != b"HEP3" or struct.unpack(">H", packet[4:6])[0] != len(packet):
        raise ValueError(f"no HEP packet of {len(packet)} bytes: {packet[:6]!r}")
    found, at = {}, 6
    while at < len(packet):
        vendor, kind, length = struct.unpack(">HHH", packet[at:at + 6])
        value = packet[at + 6:at + length]
        if vendor != 0 or kind not in CHUNKS or length < 6 or len(value) != length - 6:
            raise ValueError(f"chunk {vendor}/{kind} of {length} bytes at {at}")
        name, wanted = CHUNKS[kind]
        if name in found or wanted not in (None, len(value)):
            raise ValueError(f"chunk {name}: twice, or {len(value)} bytes")
        found[name] = value if wanted is None else int.from_bytes(value, "big")
        if name in ("source", "destination"):
            found[name] = str(ipaddress.ip_address(value))
        at += length
    if NEEDED - found.keys():
        raise ValueError(f"without {NEEDED - found.keys()}")
    if ipaddress.ip_address(found["source"]).version != FAMILIES.get(found["family"]):
        raise ValueError("the family of the addresses is another one")
    if found["type"] != 1 or found["protocol"] not in PROTOCOLS:
        raise ValueError(f"type {found['type']}, protocol {found['protocol']}")
    return found


class Collector:
    """Listens in a namespace; `packets` are those that came, decoded; `faults` what is wrong."""

    def __init__(self, namespace, address, port):
        with namespace.inside():
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((address, port))
        self.sock.settimeout(0.1)
        self.packets, self.faults = [], []
        self.closing = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while not self.closing:
            with contextlib.suppress(TimeoutError):
                data = self.sock.recv(65536)
                try:
                    self.packets.append(dict(decode(data), at=time.time()))
                except ValueError as error:
                    self.faults.append(str(error))

    def payloads(self):
        return [p["payload"] for p in self.packets]

    def close(self):
        self.closing = True
        self.thread.join()
        self.sock.close()
