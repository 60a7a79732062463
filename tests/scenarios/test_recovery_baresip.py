# SPDX-License-Identifier: Apache-2.0
"""Cases 2, 3 and 9 of the recovery design with a real phone, baresip, behind the firewall."""

from lib import netns
from lib.baresip import Baresip
from lib.recovery import (BRISK, CONNECT_TIMEOUT, EXTENSION, QUICK, REOPEN_DELAY, SLACK,
                          default_port, proxy_end_gone, settled, with_tls)
from lib.scenario import check, equal, eventually, scenario
from lib.tls import device_identity


class _Seen:
    """A connection as `settled`, `proxy_end_gone` and the firewall want it."""

    def __init__(self, pair):
        self.pair = pair

    def unacked(self):
        return 0


def _phone(world, transport):
    """A registered baresip."""
    more = {}
    if transport == "tls":
        more = {"identity": device_identity(world.authority, netns.PHONE),
                "authority": world.authority}
    phone = Baresip(world, world.net.phone, netns.PHONE, "1001", netns.PROXY, transport, **more)
    phone.wait_registered()
    return phone


def _phone_and_caller(world, transport, options):
    """A registered baresip, its connection to the proxy, and a caller of ours."""
    proxy = world.proxy(with_tls(world, transport, options), EXTENSION)
    phone = _phone(world, transport)
    own = world.net.proxy.run("ss", "-Htn", "state", "established", "dst", netns.PHONE).split()
    port = int(own[-1].rsplit(":", 1)[1])
    conn = _Seen(((netns.PHONE, port), (netns.PROXY, default_port(transport))))
    settled(world, conn)
    return proxy, phone, conn, world.caller(transport="tcp")


def _one_call(phone, caller):
    call = caller.invite("1001")
    check(call.wait_established(10), f"not established: {call.transaction.statuses()}")
    phone.wait_event("CALL_ESTABLISHED", 5)
    final = call.bye().wait_final(5)
    equal(final and final.status, 200, "BYE")
    phone.wait_event("CALL_CLOSED", 5)
    equal(phone.count_event("CALL_ESTABLISHED"), 1, "calls established at the phone")
    equal(phone.count_event("CALL_CLOSED"), 1, "calls closed at the phone")


@scenario(timeout=90, transport=("tcp", "tls"))
def case_2_with_baresip(world, transport):
    proxy, phone, conn, caller = _phone_and_caller(world, transport, QUICK)
    world.firewall.forget(conn.pair)
    eventually(lambda: proxy_end_gone(world, conn), 10, "the proxy still holds the connection")
    before = proxy.counters()["connections_opened"]
    _one_call(phone, caller)
    equal(proxy.counters()["connections_opened"] - before, 1, "connections opened")


@scenario(timeout=90, transport=("tcp", "tls"))
def case_3_with_baresip(world, transport):
    _, phone, conn, caller = _phone_and_caller(world, transport, BRISK)
    world.firewall.forget(conn.pair)
    _one_call(phone, caller)
    check(world.firewall.dropped()[0] > 0, "the INVITE was never sent into the dead connection")


@scenario(timeout=90, transport=("tcp", "tls"))
def case_9_with_baresip(world, transport):
    """The phone is gone while it has a call: the caller is told, then gets BYE; nothing is left."""
    proxy, phone, _, caller = _phone_and_caller(world, transport, BRISK)
    call = caller.invite("1001")
    check(call.wait_established(10), f"not established: {call.transaction.statuses()}")
    world.firewall.drop_all()
    final = call.request("INFO").wait_final(REOPEN_DELAY + CONNECT_TIMEOUT + SLACK)
    equal(final and final.status, 408, "final response to INFO")
    check(call.wait_ended(5), "the caller did not get the BYE")
    check(proxy.log_matches(r"out.of.service", 3.0), "no log line says: out of service")
    final = caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 480, "final response while out of service")
    # Switched on again it registers, and is called.
    phone.process.kill()
    world.firewall.heal()
    _one_call(_phone(world, transport), caller)
