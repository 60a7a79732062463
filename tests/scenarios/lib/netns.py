# SPDX-License-Identifier: Apache-2.0
"""Network namespaces with a firewall between, and sockets made inside them.

Layout (addresses are the same in every run, since each run has namespaces of its own):

    phone 10.77.1.2, .3 ... -- fw 10.77.1.1 | 10.77.9.1 -- proxy 10.77.9.2
                                                           proxy 10.77.8.1 -- caller 10.77.8.2

IPv6 is the same with fd77:1::/64, fd77:9::/64 and fd77:8::/64.
"""

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import time

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

PHONE, CALLER = "10.77.1.2", "10.77.8.2"
PROXY, PROXY_NEAR_CALLER = "10.77.9.2", "10.77.8.1"
PHONE6, CALLER6 = "fd77:1::2", "fd77:8::2"
PROXY6, PROXY6_NEAR_CALLER = "fd77:9::2", "fd77:8::1"


def phone_address(index):
    """Address of the phone with this index, from 0; all phones share the namespace."""
    return f"10.77.1.{2 + index}"


def _run(*argv, stdin=None, check=True):
    done = subprocess.run(argv, input=stdin, text=True, capture_output=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


class Namespace:
    """One network namespace; sockets opened inside `with ns.inside():` belong to it for good."""

    def __init__(self, name):
        self.name = name
        _run("ip", "netns", "add", name)
        self._fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
        self.ip("link", "set", "lo", "up")

    def ip(self, *args):
        return _run("ip", "-n", self.name, *args)

    def run(self, *argv, stdin=None, check=True):
        return _run("ip", "netns", "exec", self.name, *argv, stdin=stdin, check=check)

    def sysctl(self, **values):
        """Set net.* values: dots are written as two underscores."""
        with self.inside():
            for name, value in values.items():
                path = "/proc/sys/net/"
                with open(path + name.replace("__", "/"), "w") as out:
                    out.write(str(value))

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the namespace until the end of the block."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            if _libc.setns(self._fd, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield self
            finally:
                _libc.setns(home, CLONE_NEWNET)
        finally:
            os.close(home)

    def remove(self):
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        remove_namespace(self.name)


def remove_namespace(name):
    """End what still runs inside the namespace, then delete it."""
    for _ in range(50):
        pids = _run("ip", "netns", "pids", name, check=False).split()
        pids = [int(p) for p in pids if int(p) != os.getpid()]
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    _run("ip", "netns", "del", name, check=False)


def list_namespaces():
    out = _run("ip", "netns", "list", check=False)
    return [line.split()[0] for line in out.splitlines() if line.strip()]


def remove_prefixed(prefix):
    for name in list_namespaces():
        if name.startswith(prefix):
            remove_namespace(name)


def remove_leftovers():
    """Namespaces of runs whose process is gone (killed with -9)."""
    for name in list_namespaces():
        match = re.match(r"hf(\d+)x", name)
        if match and not os.path.exists(f"/proc/{match.group(1)}"):
            remove_namespace(name)


RULES = """
table inet hf {
  counter dropped_to_phone { }
  counter dropped_to_proxy { }
  set forgotten { type ipv4_addr . inet_service . ipv4_addr . inet_service; }
  chain mode { }
  chain dropped {
    iifname "tophone" counter name "dropped_to_proxy" drop
    counter name "dropped_to_phone" drop
  }
  chain path {
    type filter hook forward priority 0; policy accept;
    ip saddr . tcp sport . ip daddr . tcp dport @forgotten goto dropped
    jump mode
  }
}
"""


class Firewall:
    """The nftables table on the path between phones and proxy. It drops without a word."""

    def __init__(self, namespace):
        self.ns = namespace
        self.nft(RULES)

    def nft(self, text):
        self.ns.run("nft", "-f", "-", stdin=text)

    def forget(self, *pairs):
        """Drop both directions of established connections; new ones pass.

        A pair is ((address, port), (address, port)), as `Connection.pair` gives it."""
        elements = []
        for (a, ap), (b, bp) in pairs:
            elements += [f"{a} . {ap} . {b} . {bp}", f"{b} . {bp} . {a} . {ap}"]
        self.nft(f"add element inet hf forgotten {{ {', '.join(elements)} }}\n")

    def forget_towards_phone(self, pair):
        """Of this connection drop what the proxy sends; what the phone sends still passes."""
        (a, ap), (b, bp) = pair
        self.nft(f"add element inet hf forgotten {{ {b} . {bp} . {a} . {ap} }}\n")

    def forget_towards_proxy(self, pair):
        """Of this connection drop what the phone sends; what the proxy sends still passes."""
        (a, ap), (b, bp) = pair
        self.nft(f"add element inet hf forgotten {{ {a} . {ap} . {b} . {bp} }}\n")

    def _mode(self, *rules):
        lines = ["flush chain inet hf mode"]
        lines += [f"add rule inet hf mode {rule}" for rule in rules]
        self.nft("\n".join(lines) + "\n")

    def drop_all(self):
        """Drop everything in both directions, new connections too."""
        self._mode("goto dropped")

    def drop_to_phone(self):
        self._mode('iifname "toproxy" goto dropped')

    def drop_to_proxy(self):
        self._mode('iifname "tophone" goto dropped')

    def vanish(self, address):
        """Nobody is at this address any more."""
        self._mode(f"ip daddr {address} goto dropped", f"ip saddr {address} goto dropped")

    def lose_to(self, address):
        """What is sent to this address is lost; what comes from it passes."""
        self._mode(f"ip daddr {address} goto dropped")

    def lose_from(self, address):
        self._mode(f"ip saddr {address} goto dropped")

    def drop_new(self):
        """Refuse connections silently: SYNs of either side vanish, established ones live on."""
        self._mode("tcp flags & (syn | ack) == syn goto dropped")

    def drop_nothing(self):
        """Let pass what belongs to no forgotten connection."""
        self._mode()

    def reset_connection(self, pair):
        """Answer with a reset what the proxy sends on this connection."""
        (_, port), (_, peer_port) = pair
        self._mode(f"tcp sport {peer_port} tcp dport {port} reject with tcp reset")

    def reject(self):
        """Answer every TCP packet with a reset."""
        self._mode("meta l4proto tcp reject with tcp reset")

    def lose(self, percent, what="meta l4proto udp"):
        """Lose this share of packets at random in both directions."""
        self._mode(f"{what} numgen random mod 100 < {percent} goto dropped")

    def lose_every(self, nth, interface):
        """Of the UDP datagrams that enter by this interface, the first of every `nth` is lost."""
        self._mode(f'iifname "{interface}" meta l4proto udp numgen inc mod {nth} == 0 goto dropped')

    def heal(self):
        """Let everything pass again."""
        self.nft("flush chain inet hf mode\nflush set inet hf forgotten\n")

    def dropped(self):
        """(packets dropped towards the phone, packets dropped towards the proxy)."""
        out = json.loads(self.ns.run("nft", "-j", "list", "counters"))
        count = {c["counter"]["name"]: c["counter"]["packets"]
                 for c in out["nftables"] if "counter" in c}
        return count["dropped_to_phone"], count["dropped_to_proxy"]


class Network:
    """Four namespaces wired as in the module's drawing; `remove` takes them away."""

    def __init__(self, prefix, phones=4):
        self.prefix = prefix
        self.all = []
        try:
            self._build(phones)
        except BaseException:
            self.remove()
            raise

    def _new(self, role):
        namespace = Namespace(f"{self.prefix}-{role}")
        self.all.append(namespace)
        return namespace

    def _wire(self, left, left_if, left_nets, right, right_if, right_nets):
        left.ip("link", "add", left_if, "type", "veth", "peer", "name", right_if,
                "netns", right.name)
        for namespace, interface, nets in ((left, left_if, left_nets),
                                           (right, right_if, right_nets)):
            for net in nets:
                flags = ["nodad"] if ":" in net else []
                namespace.ip("addr", "add", net, "dev", interface, *flags)
            namespace.ip("link", "set", interface, "up")

    def _build(self, phones):
        self.phone, self.fw = self._new("phone"), self._new("fw")
        self.proxy, self.caller = self._new("proxy"), self._new("caller")
        for namespace in self.all:
            namespace.sysctl(ipv6__conf__all__accept_dad=0, ipv6__conf__default__accept_dad=0)
        addresses = [phone_address(i) + "/24" for i in range(phones)]
        addresses += [f"fd77:1::{2 + i}/64" for i in range(phones)]
        self._wire(self.phone, "eth0", addresses,
                   self.fw, "tophone", ["10.77.1.1/24", "fd77:1::1/64"])
        self._wire(self.proxy, "eth0", ["10.77.9.2/24", "fd77:9::2/64"],
                   self.fw, "toproxy", ["10.77.9.1/24", "fd77:9::1/64"])
        self._wire(self.caller, "eth0", ["10.77.8.2/24", "10.77.8.3/24", "fd77:8::2/64"],
                   self.proxy, "eth1", ["10.77.8.1/24", "fd77:8::1/64"])
        self.fw.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        for namespace, v4, v6 in ((self.phone, "10.77.1.1", "fd77:1::1"),
                                  (self.proxy, "10.77.9.1", "fd77:9::1"),
                                  (self.caller, "10.77.8.1", "fd77:8::1")):
            namespace.ip("route", "add", "default", "via", v4)
            namespace.ip("-6", "route", "add", "default", "via", v6)
        self.firewall = Firewall(self.fw)

    def remove(self):
        for namespace in reversed(self.all):
            namespace.remove()
        self.all = []
