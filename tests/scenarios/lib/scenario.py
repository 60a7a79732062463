# SPDX-License-Identifier: Apache-2.0
"""What a scenario is given: its namespaces, devices and the proxy; and what it may demand."""

import contextlib
import functools
import itertools
import os
import shutil
import subprocess
import time

from . import netns
from .capture import Capture
from .device import Device
from .proxy import Holdfast, has_option
from .tls import Authority, Tls, device_identity, proxy_identity
from .transport import Endpoint

REGISTRY = {}


class Skip(Exception):
    """The scenario cannot run here; the text says what is missing."""


def scenario(timeout=60, workers=None, **axes):
    """Register a function as a scenario under its own name; with `workers` only for runs with so
    many, where one run says enough.

    An axis, as in transport=("tcp", "tls"), makes one scenario for each of its values, which the
    function gets by that name and which ends the scenario's name: "..._over_tcp"."""
    def register(name, func, variant=None):
        if name in REGISTRY:
            raise ValueError(f"two scenarios named {name}")
        func.timeout, func.variant, func.workers = timeout, variant, workers
        REGISTRY[name] = func

    def mark(func):
        if not axes:
            register(func.__name__, func)
        for n, values in enumerate(itertools.product(*axes.values()) if axes else ()):
            given = dict(zip(axes, values))
            words = [f"over_{v}" if axis == "transport" else str(v) for axis, v in given.items()]
            made = functools.partial(func, **given)
            register("_".join([func.__name__] + words), made, n)
        return func
    return mark


class Broken(AssertionError):
    """What never happens to a daemon that is right, however loaded the machine is."""


def check(condition, text):
    """A demand of the scenario."""
    if not condition:
        raise AssertionError(text)


def equal(value, wanted, what):
    if value != wanted:
        raise AssertionError(f"{what}: {value!r}, should be {wanted!r}")


def eventually(condition, timeout, text, interval=0.02):
    """Wait for condition(), polled; its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{text} (waited {timeout:g} s)")
        time.sleep(interval)


class World:
    """One scenario's surroundings; `close` takes everything away."""

    def __init__(self, binary, workers, prefix, folder, peer=Holdfast):
        self.binary, self.workers, self.folder, self.peer = binary, workers, folder, peer
        self.prefix = prefix
        self.start = time.monotonic()
        self._cleanup = contextlib.ExitStack()
        self.devices, self.proxies = [], []
        self._net = None

    # --- surroundings --------------------------------------------------------------------

    @property
    def net(self):
        if self._net is None:
            self._net = netns.Network(self.prefix)
            self._cleanup.callback(self._net.remove)
        return self._net

    @property
    def firewall(self):
        return self.net.firewall

    @functools.cached_property
    def authority(self):
        """Who signs the certificates of this scenario."""
        return Authority(self.folder)

    def tls_options(self, identity=None):
        """Options of a proxy that speaks TLS on port 5061."""
        self.needs("sip-port-tls")
        identity = identity or proxy_identity(self.authority)
        return {"sip-port-tls": 5061, "tls-certificate": identity.certificate,
                "tls-private-key": identity.key, "tls-ca": self.authority.certificate}

    def needs(self, option):
        """Skip where the binary under test does not know the option."""
        if not has_option(self.binary, option):
            raise Skip(f"this binary has no option {option}")

    def device_tls(self, address, **more):
        """TLS of a device with a certificate for its address."""
        return Tls(device_identity(self.authority, address), self.authority, **more)

    def proxy(self, options=None, dns=None, start=True, **more):
        """A proxy in its namespace, started unless told otherwise."""
        made = self.peer(self.binary, self.net.proxy, self.folder, self.workers, options, dns,
                         **more)
        self.proxies.append(made)
        self._cleanup.callback(lambda: made.process and made.kill())
        return made.start() if start else made

    def phone(self, user="1001", index=0, **more):
        """A device behind the firewall."""
        return self._device(self.net.phone, netns.phone_address(index), user,
                            (netns.PROXY, 5060), more)

    def phone6(self, user="1001", index=0, **more):
        return self._device(self.net.phone, f"fd77:1::{2 + index}", user, (netns.PROXY6, 5060), more)

    def caller(self, user="2001", port=5060, **more):
        """A device beside the proxy, without firewall."""
        more["port"] = port
        return self._device(self.net.caller, more.pop("address", netns.CALLER), user,
                            (netns.PROXY_NEAR_CALLER, 5060), more)

    def caller6(self, user="2001", **more):
        return self._device(self.net.caller, netns.CALLER6, user,
                            (netns.PROXY6_NEAR_CALLER, 5060), more)

    def _device(self, namespace, address, user, proxy, more):
        if more.get("transport") == "tls" and "tls" not in more:
            more["tls"] = self.device_tls(address)
        device = Device(namespace, address, user, proxy, **more)
        self.devices.append(device)
        self._cleanup.callback(device.close)
        return device

    def raw(self, namespace, address, **more):
        """Sockets only, no SIP behaviour."""
        end = Endpoint(namespace, address, **more)
        self.devices.append(end)
        self._cleanup.callback(end.close)
        return end

    def capture(self, *interfaces):
        """Packets on the firewall's interfaces "tophone" and "toproxy"."""
        made = Capture(self.net.fw, *(interfaces or ("tophone", "toproxy")))
        self._cleanup.callback(made.close)
        return made

    def adopt(self, process):
        """End this child process with the scenario."""
        self._cleanup.callback(process.kill)
        return process

    def path(self, name):
        return os.path.join(self.folder, name)

    def tmpfs(self, name, kilobytes):
        """A small file system, to be full soon."""
        path = self.path(name)
        os.mkdir(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", path],
                       check=True)
        self._cleanup.callback(subprocess.run, ["umount", "-l", path])
        return path

    # --- short cuts ----------------------------------------------------------------------

    def registered_phone(self, user="1001", index=0, expires=300, **more):
        """A phone that listens on 5060 and has registered; over TCP by a connection it opened."""
        phone = self.phone(user, index, **more)
        final = phone.register(expires=expires)
        equal(final.status if final else None, 200, f"REGISTER of {user}")
        return phone

    def finish(self):
        """At the end of a scenario: whatever should run still runs, and ends well when told to."""
        for device in self.devices:
            check(device.fault is None, f"the thread of {device.name} ended: {device.fault!r}")
        for proxy in self.proxies:
            if proxy.process and not proxy.may_end:
                proxy.check_alive()
                equal(proxy.end(), 0, "exit status of the proxy")

    def broken(self):
        """A proxy ended that nobody has asked to, or does not end, or a sanitizer spoke."""
        return any(proxy.broke() for proxy in self.proxies)

    def report(self):
        """The record of all devices, in order of time."""
        lines = []
        for device in self.devices:
            lines += device.report(self.start).splitlines()
        return "\n".join(sorted(lines, key=lambda line: float(line.split()[0])))

    def close(self):
        self._cleanup.close()


def complete_call(caller, callee_user, callee, timeout=10.0, **more):
    """Place a call, see it established on both sides; (caller's call, callee's call)."""
    before = sum(1 for c in callee.calls if not c.caller)
    call = caller.invite(callee_user, **more)
    final = call.transaction.wait_final(timeout)
    check(final is not None, f"no final response to INVITE within {timeout:g} s; "
                             f"got {call.transaction.statuses()}")
    equal(final.status, 200, "final response to INVITE")
    incoming = callee.wait_call(2.0, before + 1)
    check(incoming is not None, "the callee has no call")
    check(incoming.wait_acked(5.0), "the ACK of the 2xx did not reach the callee")
    return call, incoming


def hang_up(call, other, timeout=5.0):
    """BYE from `call`; the other side sees it, and the 200 comes back."""
    final = call.bye().wait_final(timeout)
    check(final is not None, "no response to BYE")
    equal(final.status, 200, "response to BYE")
    check(other.wait_ended(timeout), "the other side did not get the BYE")


def remove_folder(folder):
    shutil.rmtree(folder, ignore_errors=True)
