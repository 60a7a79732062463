# SPDX-License-Identifier: Apache-2.0
"""A baresip phone in a namespace: no sound card, driven and watched through its ctrl_tcp module."""

import json
import os
import socket
import threading
import time

from .process import Process

MODULES = "/usr/lib/baresip/modules"
PORTS = iter(range(4440, 4940))

CONFIG = """
poll_method epoll
sip_listen {address}:{port}
call_local_timeout 60
call_max_calls 4
audio_player aubridge,{name}
audio_source ausine,440
audio_alert aubridge,{name}a
ausrc_srate 48000
ausrc_channels 2
auplay_channels 2
auplay_srate 48000
rtp_timeout 0
module_path {modules}
module g711.so
module ausine.so
module aubridge.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
"""
# TLS is part of its SIP library; no module is needed.
CONFIG_TLS = """
sip_certificate {certificate}
sip_cafile {authority}
sip_verify_server yes
"""


class Baresip:
    """One phone with one account; registers when it starts."""

    def __init__(self, world, namespace, address, user, proxy, transport="tcp", port=5060,
                 answer="auto", identity=None, authority=None):
        self.user, self.address, self.ns, self.proxy = user, address, namespace, proxy
        folder = world.path(f"baresip-{user}")
        os.makedirs(folder, exist_ok=True)
        control = next(PORTS)
        with open(os.path.join(folder, "config"), "w") as out:
            out.write(CONFIG.format(address=address, port=port, name=f"b{user}", modules=MODULES,
                                    control=control))
            if transport == "tls":
                both = os.path.join(folder, "both.pem")
                with open(both, "w") as pem:
                    pem.write(open(identity.key).read() + open(identity.certificate).read())
                out.write(CONFIG_TLS.format(certificate=both, authority=authority.certificate))
        sip_port = 5061 if transport == "tls" else 5060
        with open(os.path.join(folder, "accounts"), "w") as out:
            out.write(f"<sip:{user}@{proxy};transport={transport}>;auth_pass=none;regint=300;"
                      f"answermode={answer};"
                      f"outbound=\"sip:{proxy}:{sip_port};transport={transport}\"\n")
        open(os.path.join(folder, "contacts"), "w").close()
        self.process = world.adopt(Process(["/usr/bin/baresip", "-f", folder], namespace,
                                           world.path(f"baresip-{user}.log")))
        self.events, self.answers = [], []
        self._cond = threading.Condition()
        self._sock = self._open(control)
        threading.Thread(target=self._read, daemon=True).start()

    def _open(self, port):
        deadline = time.monotonic() + 10
        while True:
            with self.ns.inside():
                sock = socket.socket()
            try:
                sock.connect(("127.0.0.1", port))
                return sock
            except OSError:
                sock.close()
                if time.monotonic() > deadline or not self.process.running():
                    raise AssertionError(f"baresip of {self.user} did not start: "
                                         f"{self.process.output()[-500:]}") from None
                time.sleep(0.05)

    def _read(self):
        """Netstrings holding JSON: events, and answers to commands."""
        buffer = b""
        while True:
            try:
                data = self._sock.recv(65536)
            except OSError:
                return
            if not data:
                return
            buffer += data
            while b":" in buffer:
                length, _, rest = buffer.partition(b":")
                if len(rest) < int(length) + 1:
                    break
                item = json.loads(rest[:int(length)])
                buffer = rest[int(length) + 1:]
                with self._cond:
                    (self.events if item.get("event") else self.answers).append(item)
                    self._cond.notify_all()

    def command(self, name, params=""):
        text = json.dumps({"command": name, "params": params, "token": name}).encode()
        self._sock.sendall(str(len(text)).encode() + b":" + text + b",")

    def _types(self):
        return [e.get("type") for e in self.events]

    def wait_event(self, kind, timeout, count=1):
        deadline = time.monotonic() + timeout
        with self._cond:
            while self._types().count(kind) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"baresip {self.user}: no {kind} within {timeout:g} s; "
                                         f"events {self._types()}")
                self._cond.wait(left)
            return [e for e in self.events if e.get("type") == kind][count - 1]

    def count_event(self, kind):
        with self._cond:
            return self._types().count(kind)

    def wait_registered(self, timeout=10):
        """REGISTER_OK may have been before we listened, so the phone is asked as well."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with self._cond:
                if "REGISTER_OK" in self._types():
                    return
                if any("OK" in str(a.get("data", "")) and self.user in str(a.get("data", ""))
                       for a in self.answers):
                    return
            self.command("reginfo")
            with self._cond:
                self._cond.wait(0.2)
        raise AssertionError(f"baresip {self.user} did not register: {self._types()} "
                             f"{self.process.output()[-300:]}")

    def dial(self, user):
        self.command("dial", f"sip:{user}@{self.proxy}")

    def hang_up(self):
        self.command("hangup")
