# SPDX-License-Identifier: Apache-2.0
"""The proxy between two networks: any transport and family to any other, each side told the address
that it can reach; what is advertised, who may talk to us, and what the outside is not shown."""

from lib import netns
from lib.kamailio import Kamailio
from lib.recovery import BRISK
from lib.scenario import check, complete_call, equal, hang_up, scenario
from lib.sip import Uri, uri_of

DNS = {"1001": {"type": "extension"}}
HOMES = {"sip-address": "10.77.9.2, 10.77.8.1, fd77:9::2, fd77:8::1"}


def _end(world, way, role):
    """A device on its side of the proxy, from "udp" or "tls6"."""
    six = way.endswith("6")
    make = {"phone": world.phone6 if six else world.phone,
            "caller": world.caller6 if six else world.caller}[role]
    return make(transport=way.removesuffix("6"))


def _faces(value, way, address, address6):
    """Does this Record-Route name that side of the proxy?"""
    uri = Uri(uri_of(value))
    transport = way.removesuffix("6")
    wanted = (address6 if way.endswith("6") else address, 5061 if transport == "tls" else 5060,
              "" if transport == "udp" else transport)
    equal((uri.host, uri.port, uri.transport), wanted, f"Record-Route towards {way}")


@scenario(ways=("udp_to_tls6", "tcp6_to_udp", "tls_to_tcp6", "udp6_to_tls", "tls6_to_udp6"))
def bridged(world, ways):
    """A call with re-INVITEs and BYEs of both sides, over a proxy with four addresses."""
    near, far = ways.split("_to_")
    world.proxy({**HOMES, **world.tls_options(), **BRISK}, DNS)
    phone, caller = _end(world, far, "phone"), _end(world, near, "caller")
    equal(phone.register().status, 200, "REGISTER")
    for again in (False, True):
        call, incoming = complete_call(caller, "1001", phone)
        routes = incoming.invite.all("record-route")
        equal(len(routes), 2, "values of Record-Route")
        _faces(routes[0], far, netns.PROXY, netns.PROXY6)
        _faces(routes[1], near, netns.PROXY_NEAR_CALLER, netns.PROXY6_NEAR_CALLER)
        for side in (call, incoming):
            final = side.reinvite().wait_final(5)
            equal(final and final.status, 200, "re-INVITE")
        if not again:
            hang_up(call, incoming)
        else:
            hang_up(incoming, call)


@scenario(transport=("udp", "tcp"))
def advertised_name(world, transport):
    """Via and Record-Route carry the name; requests that come back by it are ours."""
    world.proxy({"sip-address": f"{netns.PROXY}, {netns.PROXY_NEAR_CALLER}",
                 "sip-advertised-address": "pool.example.net"}, DNS)
    phone = world.registered_phone(transport=transport)
    caller = world.caller(transport=transport)
    call, incoming = complete_call(caller, "1001", phone)
    check("pool.example.net:5060" in incoming.invite.get("via"), incoming.invite.get("via"))
    equal({Uri(uri_of(r)).host for r in incoming.invite.all("record-route")},
          {"pool.example.net"}, "Record-Route")
    equal(incoming.reinvite().wait_final(5).status, 200, "re-INVITE")
    hang_up(call, incoming)


@scenario()
def access_of_a_listener(world):
    """Phones are not in the list of their listener: no answer, no connection; the other one is
    open, and a reload lets them in."""
    proxy = world.proxy({"sip-address": f"{netns.PROXY}, {netns.PROXY_NEAR_CALLER}"}, DNS,
                        sections={f"listener {netns.PROXY}": {"access": "10.77.8.0/24"}})
    udp, tcp = world.phone(transport="udp"), world.phone("1002", 1, transport="tcp")
    equal(udp.register(timeout=1.0), None, "answer to a REGISTER by UDP")
    conn = tcp.path("tcp")
    check(conn.wait_closed(5), "the connection of a phone was not closed")
    caller = world.caller(transport="udp")
    final = caller.request("OPTIONS", "sip:" + netns.PROXY_NEAR_CALLER).wait_final(5)
    equal(final and final.status, 200, "OPTIONS at the other listener")
    check(proxy.counters()["access_refused"] >= 2, "access_refused")
    check(proxy.logged("not in the access list"), "no log line")
    proxy.sections = {f"listener {netns.PROXY}": {"access": "10.77.0.0/16"}}
    proxy.write()
    proxy.reload()
    check(proxy.log_matches("configuration reloaded"), "no reload")
    equal(udp.register().status, 200, "REGISTER after the reload")


def _assert_hidden(msg, *inside):
    for name in ("via", "record-route", "route", "path"):
        for value in msg.all(name):
            check(not any(net in value for net in inside), f"{name} shows the inside: {value}")


@scenario(transport=("udp", "tcp"))
def topology_is_hidden(world, transport):
    """The phones are outside: nothing of 10.77.8.0/24 in Via and Record-Route of what they get; both
    sides speak in the dialog, also after a restart of the proxy."""
    proxy = world.proxy({"sip-address": f"{netns.PROXY}, {netns.PROXY_NEAR_CALLER}",
                         "hide-topology": "true", "inside-networks": "10.77.8.0/24"})
    phone = world.phone(transport=transport)
    caller = world.caller(transport="udp")
    uri = f"sip:1001@{phone.host}:5060" + (";transport=tcp" if transport == "tcp" else "")
    call = caller.invite("1001", uri=uri)
    final = call.transaction.wait_final(10)
    equal(final and final.status, 200, "INVITE")
    incoming = phone.wait_call(2.0)
    check(incoming.wait_acked(5), "no ACK")
    equal(len(incoming.invite.all("via")), 1, "Vias at the phone")
    equal(len(incoming.invite.all("record-route")), 1, "Record-Routes at the phone")
    equal(len(final.all("record-route")), 2, "Record-Routes at the caller")
    for side in (call, incoming):
        final = side.reinvite().wait_final(5)
        equal(final and final.status, 200, "re-INVITE")
    proxy.stop()
    proxy.start()
    final = incoming.bye().wait_final(5)
    equal(final and final.status, 200, "BYE of the phone after a restart")
    check(call.wait_ended(5), "the caller did not get the BYE")
    for txn in phone.order:
        _assert_hidden(txn.request, "10.77.8.")

    # The other way round: the caller is outside, and so is shown nothing of the phone's side.
    phone.calls.clear()
    proxy.options["inside-networks"] = "10.77.1.0/24, 10.77.9.0/24"
    proxy.write()
    proxy.reload()
    check(proxy.log_matches("configuration reloaded"), "no reload")
    call = caller.invite("1001", uri=uri)
    final = call.transaction.wait_final(10)
    equal(final and final.status, 200, "INVITE from the outside")
    incoming = phone.wait_call(2.0)
    check(incoming.wait_acked(5), "no ACK")
    equal(len(incoming.invite.all("record-route")), 2, "Record-Routes at the phone")
    for _, msg, _ in call.transaction.responses:
        for value in msg.all("record-route"):
            check("10.77.9." not in value, f"the caller is shown {value}")
    hang_up(call, incoming)


@scenario(transport=("udp", "tcp"))
def topology_is_hidden_around_kamailio(world, transport):
    """Both phones are outside, a Kamailio that stays in the dialog is inside: the call passes us
    twice, and neither phone is shown anything between."""
    server = Kamailio(world, netns.phone_address(2), registrar=True).start()
    world.proxy({"sip-address": f"{netns.PROXY}, {netns.PROXY_NEAR_CALLER}",
                 "serving-sipserver": "main", "hide-topology": "true",
                 "inside-networks": "10.77.1.0/24, 10.77.9.0/24"},
                sections={"application main": {"primary": server.uri()}})
    phones = [world.caller("1001", transport=transport),
              world.caller("1002", address="10.77.8.3", transport=transport)]
    for phone in phones:
        final = phone.register(headers=[("Supported", "path")])
        equal(final.status, 200, "REGISTER")
        _assert_hidden(final, "10.77.1.", "10.77.9.")
    for caller, callee in (phones, reversed(phones)):
        call, incoming = complete_call(caller, callee.user, callee)
        equal(len(incoming.invite.all("via")), 1, "Vias of the INVITE")
        equal(len(incoming.invite.all("record-route")), 1, "Record-Routes of the INVITE")
        equal(len(call.transaction.final.all("record-route")), 1, "Record-Routes of the 200")
        for side in (call, incoming):
            final = side.reinvite().wait_final(5)
            equal(final and final.status, 200, "re-INVITE")
        hang_up(incoming, call)
    for phone in phones:
        for txn in phone.order:
            _assert_hidden(txn.request, "10.77.1.", "10.77.9.")
        for call in phone.calls:
            for _, msg, _ in call.transaction.responses if call.caller else ():
                _assert_hidden(msg, "10.77.1.", "10.77.9.")
