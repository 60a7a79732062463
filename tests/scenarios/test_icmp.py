# SPDX-License-Identifier: Apache-2.0
"""What the kernels of others say of datagrams by ICMP and ICMPv6: a closed port, a host to which no
route leads; and that it comes to the worker whose request it is."""

import contextlib
import socket

from lib import netns
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario

# Nothing but ICMP may tell within the time of a scenario that a datagram was lost.
SILENT = {"failover-time": "0", "oos-check": "60", "oos-force": "5"}
PAIR = {**SILENT, "applications": "main", "serving-sipserver": "main"}
# Long before a timer of RFC 3261 ends a request that nobody answers (32 s).
AT_ONCE = 10.0
REQUESTS = 20
V4 = (netns.phone_address(0), netns.phone_address(1))
V6 = ("fd77:1::2", "fd77:1::3")


def _hosts(family):
    return V4 if family == "ipv4" else tuple(f"[{a}]" for a in V6)


def _refuses(world):
    with world.net.proxy.inside():
        probe = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with contextlib.closing(probe):
        probe.settimeout(0.5)
        probe.connect((V6[0], 5099))
        probe.send(b"\r\n")
        try:
            probe.recv(1)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _let_speak(world, family):
    """Hosts say so to one peer a few times only, as shipped; those of IPv6 nothing before they know
    each other."""
    world.net.phone.sysctl(ipv4__icmp_ratelimit=0, ipv6__icmp__ratelimit=0)
    if family == "ipv6":
        eventually(lambda: _refuses(world), 10, "no ICMPv6 comes")


def _members(world, family):
    """The two SIP servers, behind the firewall."""
    phone = world.phone if family == "ipv4" else world.phone6
    return [phone("main", index=i, transport="udp", tcp=False) for i in range(2)]


def _cut_off(world, family):
    """The router says that it has no way to the first one, which runs on."""
    if family == "ipv4":
        world.net.fw.ip("route", "add", "unreachable", f"{V4[0]}/32")
    else:
        world.net.fw.ip("-6", "route", "add", "unreachable", f"{V6[0]}/128")


@scenario(family=("ipv4", "ipv6"), missing=("port", "route"))
def icmp_says_that_a_member_is_not_there(world, family, missing):
    """A call, and a request inside a dialog, go by the other member at once; its event says why."""
    hosts = _hosts(family)
    _let_speak(world, family)
    first, second = _members(world, family)
    proxy = world.proxy(PAIR, {"desk": {"type": "extension"}}, sections={"application main": {
        "primary": f"sip:{hosts[0]}", "backup": f"sip:{hosts[1]}"}})
    caller = world.caller(transport="udp")
    check(first.wait_transaction("OPTIONS", 10), "the first one is not asked")
    call, _ = complete_call(caller, "1001", first)
    if missing == "port":
        first.close()
    else:
        _cut_off(world, family)
    second.replies = {"INFO": 200}     # they share their dialogs
    info = call.request("INFO").wait_final(AT_ONCE)
    equal(info and info.status, 200, "response to INFO")
    equal(len(second.transactions("INFO")), 1, "INFO at the second one")
    hang_up(*complete_call(caller, "1001", second, AT_ONCE))
    line = proxy.log_matches(r"\bevent\W+40003\b", AT_ONCE)
    check(line, "no switchover")
    check(proxy.logged(rf"did not arrive.*ICMP: {missing.replace('route', 'host')}"),
          f"no line about ICMP: {missing}")
    check(proxy.counters()["icmp_requests"] >= 1, "it was not ICMP")
    # It goes on being asked: what becomes of that is told once, not for each time.
    eventually(lambda: proxy.counters()["icmp_requests"] >= 2, 10, "the dead one is asked no more")
    check(not proxy.logged("did not arrive.*OPTIONS"), "a line for each check")


@scenario(workers=2, family=("ipv4", "ipv6"))
def icmp_comes_to_the_worker_whose_request_it_is(world, family):
    """The kernel gives all that is said of one port to the same socket; half of the requests are the
    other worker's."""
    host = _hosts(family)[0]
    _let_speak(world, family)
    proxy = world.proxy(SILENT, {"1001": {"type": "extension", "contact": f"sip:1001@{host}:5099"}})
    caller = world.caller(transport="udp")
    # One after the other: of datagrams that leave together a veth delivers the first as all of them.
    for _ in range(REQUESTS):
        final = caller.request("MESSAGE", caller.aor("1001"), body=b"hello").wait_final(AT_ONCE)
        equal(final and final.status, 503, "final response of a request to a closed port")
        check("ICMP: port unreachable" in final.get("reason"), f"Reason {final.get('reason')!r}")
    equal(proxy.counters()["icmp_requests"], REQUESTS, "requests of which ICMP has said so")
