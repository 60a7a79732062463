# SPDX-License-Identifier: Apache-2.0
"""In front of one SIP Server: registrations by way of the proxy (Path), X-Genesys-Route, who may
have what relayed, trunks, and overload."""

import os
import pathlib
import signal
import time
from collections import Counter

from lib import netns, pair
from lib.baresip import Baresip
from lib.kamailio import Kamailio
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario
from lib.tls import device_identity

# Beside the phones, behind the same firewall: index 2, since phones begin at 0.
SERVER = netns.phone_address(2)
SERVING = {"serving-sipserver": "main"}


def _server(world, **more):
    return Kamailio(world, SERVER, **more).start()


def _application(server, transport="udp", **more):
    return {"application main": {"primary": server.uri(transport), **more}}


# --- registered with the server -------------------------------------------------------------------


@scenario(transport=("udp", "tcp", "tls"), timeout=90)
def sipserver_registers_baresip(world, transport):
    """Two phones register with Kamailio through the proxy, and call each other by their Paths."""
    server = _server(world, registrar=True, transport=server_transport(transport))
    options = dict(SERVING, **(world.tls_options() if transport == "tls" else {}))
    proxy = world.proxy(options, {"desk": {"type": "extension"}},
                        sections=_application(server, server_transport(transport)))
    phones = []
    for namespace, address, user, where in (
            (world.net.phone, netns.PHONE, "1001", netns.PROXY),
            (world.net.caller, netns.CALLER, "1002", netns.PROXY_NEAR_CALLER)):
        identity = device_identity(world.authority, address) if transport == "tls" else None
        phones.append(Baresip(world, namespace, address, user, where, transport,
                              identity=identity, authority=world.authority))
    for phone in phones:
        phone.wait_registered()
    stored = server.rpc("ul.dump")
    equal(stored.count("AoR: "), 2, "users that Kamailio knows")
    paths = [line.split("Path: ")[1] for line in stored.splitlines() if "Path: " in line]
    equal(len(paths), 2, "bindings")
    for path in paths:
        check(path.startswith("<sip") and "@" in path and ";lr" in path, f"Path {path}")
    equal(proxy.counters()["bindings"], 0, "bindings of the proxy's own")
    one, two = phones
    for caller, callee, ends in ((one, two, one), (two, one, one)):
        _call(caller, callee, ends)


def server_transport(transport):
    """By TLS only up to the proxy."""
    return "tcp" if transport == "tls" else transport


def _call(caller, callee, ends):
    count = caller.count_event("CALL_ESTABLISHED") + 1
    closed = caller.count_event("CALL_CLOSED") + 1
    caller.dial(callee.user)
    for phone in (caller, callee):
        phone.wait_event("CALL_ESTABLISHED", 10, count)
    ends.hang_up()
    for phone in (caller, callee):
        phone.wait_event("CALL_CLOSED", 10, closed)


@scenario(transport=("tcp", "tls"))
def sipserver_call_comes_by_the_connection_of_the_phone(world, transport):
    """A phone that nobody can connect to: only its own connection leads there, by the flow token."""
    server = _server(world, registrar=True, transport="tcp")
    options = dict(SERVING, **(world.tls_options() if transport == "tls" else {}))
    world.proxy(options, sections=_application(server, "tcp"))
    phone = world.phone("1001", transport=transport)
    equal(phone.register(headers=[("Supported", "path, outbound")]).status, 200, "REGISTER")
    conn = phone.registered_by
    phone.stop_listening()
    caller = world.caller("1002", transport="udp", port=5070)
    call, incoming = complete_call(caller, "1001", phone)
    equal([t.conn for t in phone.order if t.request.method == "INVITE"], [conn],
          "connection of the INVITE")
    hang_up(call, incoming)
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(incoming, call)


@scenario()
def sipserver_answers_of_the_server_reach_the_phone(world):
    """What Kamailio says of a REGISTER or an unknown user is what the phone gets."""
    server = _server(world, registrar=True)
    world.proxy(SERVING, sections=_application(server))
    phone = world.phone("1001", transport="tcp")
    final = phone.register(expires=120)
    equal(final.status, 200, "REGISTER")
    check("expires=" in final.get("contact"), f"Contact {final.get('contact')}")
    equal(phone.register(expires=0).status, 200, "REGISTER with Expires 0")
    caller = world.caller(transport="tcp", port=5070)
    equal(caller.invite("1001").transaction.wait_final(5).status, 404, "nobody is registered")
    # Kamailio refuses what is shorter than a minute.
    equal(phone.register(expires=5).get("contact").count("expires=60"), 1, "raised to a minute")


# --- X-Genesys-Route ------------------------------------------------------------------------------


def _genesys(world, transport="udp"):
    """The server sends every call to a gateway that only X-Genesys-Route names."""
    route = f"sip:10.77.8.3:5090;transport={transport}"
    server = _server(world, transport=transport,
                     script=f'append_hf("X-Genesys-Route: {route}\\r\\n");')
    proxy = world.proxy(SERVING, {"1001": {"type": "extension"}},
                        sections=_application(server, transport))
    gateway = world.caller("1001", address="10.77.8.3", port=5090)
    gateway.transport = transport
    return proxy, gateway


@scenario(transport=("udp", "tcp"))
def sipserver_names_the_next_hop_by_genesys_route(world, transport):
    proxy, gateway = _genesys(world, transport)
    caller = world.caller(transport="udp", port=5070)
    call, incoming = complete_call(caller, "1001", gateway)
    equal(incoming.invite.all("x-genesys-route"), [], "X-Genesys-Route at the gateway")
    equal(incoming.transaction.conn.transport, transport, "transport to the gateway")
    check(incoming.invite.uri.startswith("sip:1001@10.77.8.1"),
          f"Request-URI {incoming.invite.uri} was changed")
    hang_up(incoming, call)
    equal(proxy.counters()["genesys_routes"], 1, "requests routed so")


@scenario(transport=("tcp", "tls"))
def sipserver_names_the_connection_of_a_phone(world, transport):
    """A server without Path knows a phone by the address that its connection comes from."""
    server = world.caller("app", port=5080)
    server.transport = "udp"
    options = dict(SERVING, **{"oos-check": "0"},
                   **(world.tls_options() if transport == "tls" else {}))
    proxy = world.proxy(options, {"1001": {"type": "extension"}}, sections={
        "application main": {"primary": f"sip:{netns.CALLER}:5080"}})
    phone = world.phone("1001", transport=transport)
    equal(phone.register().status, 200, "REGISTER")
    conn = phone.registered_by
    phone.stop_listening()
    address, port = conn.sock.getsockname()[:2]
    uri = f"sip:{address}:{port};transport={transport}"
    for n, (target, headers) in enumerate((
            ("sip:1001@example.net", [("X-Genesys-Route", uri)]),
            (uri.replace("sip:", "sip:1001@"), []))):
        final = server.request("MESSAGE", target, headers=headers).wait_final(5)
        equal(final and final.status, 200, f"MESSAGE {target}")
        got = phone.transactions("MESSAGE")
        equal([t.conn for t in got], [conn] * (n + 1), "connection of the MESSAGE")
    call, incoming = complete_call(server, "1001", phone, headers=[("X-Genesys-Route", uri)])
    hang_up(call, incoming)
    equal(proxy.counters().get("connections_opened", 0), 0, "connections opened")


@scenario(transport=("udp", "tcp"))
def genesys_route_of_a_phone_is_ignored_and_removed(world, transport):
    """Nobody but an application may say where a request goes."""
    proxy = world.proxy({}, {"1001": {"type": "extension"}, "2001": {"type": "extension"}})
    phone = world.registered_phone("1001", transport=transport)
    trap = world.caller("1001", address="10.77.8.3", port=5090)
    caller = world.caller(transport=transport, port=5070)
    call, incoming = complete_call(
        caller, "1001", phone,
        headers=[("X-Genesys-Route", f"sip:10.77.8.3:5090;transport={transport}")])
    equal(incoming.invite.all("x-genesys-route"), [], "X-Genesys-Route at the phone")
    hang_up(call, incoming)
    equal(trap.order, [], "requests where the header points to")
    equal(proxy.counters()["genesys_routes_ignored"], 1, "headers ignored")


# --- no open relay --------------------------------------------------------------------------------


@scenario(transport=("udp", "tcp"))
def stranger_gets_403_for_a_foreign_domain(world, transport):
    proxy = world.proxy({"relay-from": "127.0.0.0/8"}, {"1001": {"type": "extension"}})
    trap = world.caller("9000", address="10.77.8.3", port=5090)
    caller = world.caller(transport=transport, port=5070)
    for uri in ("sip:9000@10.77.8.3:5090", f"sip:9000@10.77.8.3:5090;transport={transport}",
                "sip:9000@example.net"):
        final = caller.invite("9000", uri=uri).transaction.wait_final(5)
        equal(final and final.status, 403, f"INVITE {uri}")
    final = caller.request("MESSAGE", "sip:9000@10.77.8.3:5090",
                           headers=[("Route", "<sip:10.77.8.3:5090;lr>")]).wait_final(5)
    equal(final and final.status, 403, "MESSAGE by a Route of its own")
    equal(trap.order, [], "requests that were relayed")
    equal(proxy.counters()["relay_refused"], 4, "requests refused")


@scenario()
def stranger_is_served_by_the_server_only(world):
    """With serving-sipserver a foreign domain is the server's matter, and nobody is relayed to."""
    server = _server(world, script='sl_send_reply("403", "By The Server"); exit;')
    world.proxy(dict(SERVING, **{"relay-from": "127.0.0.0/8"}), sections=_application(server))
    trap = world.caller("9000", address="10.77.8.3", port=5090)
    caller = world.caller(transport="udp", port=5070)
    final = caller.invite("9000", uri="sip:9000@10.77.8.3:5090").transaction.wait_final(5)
    equal(final and final.status, 403, "INVITE to a foreign domain")
    equal(trap.order, [], "requests that were relayed")


@scenario()
def application_access_is_by_its_list(world):
    """`access` of an application: who may speak for it, though no member has that address."""
    proxy = world.proxy({"relay-from": "127.0.0.0/8"}, {"1001": {"type": "extension"}},
                        sections={"application main": {"primary": f"sip:{SERVER}:5060",
                                                       "oos-check": "0",
                                                       "access": "10.77.8.3/32"}})
    gateway = world.caller("9000", address="10.77.8.3", port=5090)
    stranger = world.caller(transport="udp", port=5070)
    target = world.phone("9000", transport="udp")
    gateway.transport = "udp"
    final = stranger.request("MESSAGE", f"sip:9000@{netns.PHONE}").wait_final(5)
    equal(final and final.status, 403, "from a stranger")
    final = gateway.request("MESSAGE", f"sip:9000@{netns.PHONE}").wait_final(5)
    equal(final and final.status, 200, "from an address of the application")
    equal(len(target.transactions("MESSAGE")), 1, "requests at the target")
    equal(proxy.counters()["relay_refused"], 1, "requests refused")


# --- trunks ---------------------------------------------------------------------------------------

FAST = {"tcp-connect-timeout": "1", "failover-time": "1"}


def _trunks(transport="udp"):
    """Two trunks to the same prefix; the first has a second address. And one for a longer prefix."""
    suffix = f";transport={transport}"
    return {
        "1001": {"type": "extension"}, "2001": {"type": "extension"},
        "near": {"type": "trunk", "prefix": "00", "priority": "1",
                 "contact": f"sip:10.77.8.3:5081{suffix}",
                 "contact-backup": f"sip:10.77.8.3:5082{suffix}"},
        "far": {"type": "trunk", "prefix": "00", "priority": "2",
                "contact": f"sip:10.77.8.3:5083{suffix}"},
        "special": {"type": "trunk", "prefix": "0049", "priority": "9",
                    "contact": f"sip:10.77.8.3:5084{suffix}"}}


def _gateways(world, transport):
    made = []
    for port in (5081, 5082, 5083, 5084):
        gateway = world.caller("gw", address="10.77.8.3", port=port)
        gateway.transport = transport
        made.append(gateway)
    return made


def _invites(gateway):
    return [t for t in gateway.order if t.request.method == "INVITE"]


@scenario(transport=("udp", "tcp"))
def trunk_by_longest_prefix_then_priority(world, transport):
    world.proxy(FAST, _trunks(transport))
    near, backup, far, special = _gateways(world, transport)
    caller = world.registered_phone("1001", transport=transport)
    hang_up(*complete_call(caller, "00331234", near))
    hang_up(*complete_call(caller, "0049891234", special))
    equal([len(_invites(g)) for g in (near, backup, far, special)], [1, 0, 0, 1], "INVITEs")
    final = caller.invite("77").transaction.wait_final(5)
    equal(final and final.status, 404, "a number of no trunk")


def _refusing(gateway, status):
    gateway.script = [(0.0, status)]


def _silent(gateway):
    gateway.silent = {"INVITE"}


def _gone(gateway):
    gateway.close()


@scenario(transport=("udp", "tcp"), how=("busy", "silent", "gone"))
def trunk_fails_over(world, transport, how):
    """First contact-backup, then the trunk with the next priority; the caller sees one call."""
    fail = {"busy": lambda g: _refusing(g, 503), "silent": _silent, "gone": _gone}[how]
    proxy = world.proxy(FAST, _trunks(transport))
    near, backup, far, _ = _gateways(world, transport)
    caller = world.registered_phone("1001", transport=transport)
    fail(near)
    call, incoming = complete_call(caller, "00331234", backup)
    hang_up(incoming, call)
    fail(backup)
    call, incoming = complete_call(caller, "00331234", far)
    hang_up(call, incoming)
    equal([s for s in call.transaction.statuses() if s >= 200], [200], "final responses")
    check(proxy.counters()["failovers"] >= 2, "failovers")
    if how == "busy" or (how, transport) == ("gone", "tcp"):
        # By UDP the last one has until Timer B.
        fail(far)
        final = caller.invite("00331234").transaction.wait_final(8)
        check(final and final.status in (408, 480, 500, 503, 504),
              f"when no trunk is left: {final and final.status}")


@scenario()
def trunk_that_is_busy_is_not_failed_over(world):
    """486 is an answer."""
    world.proxy(FAST, _trunks())
    near, backup, far, _ = _gateways(world, "udp")
    caller = world.registered_phone("1001", transport="udp")
    _refusing(near, 486)
    final = caller.invite("00331234").transaction.wait_final(5)
    equal(final and final.status, 486, "final response")
    equal([len(_invites(g)) for g in (near, backup, far)], [1, 0, 0], "INVITEs")


@scenario()
def trunk_is_not_for_strangers(world):
    """Toll fraud: who is no device of ours has no trunk, and the log says which number was wanted."""
    proxy = world.proxy({"relay-from": "127.0.0.0/8"}, _trunks())
    near = _gateways(world, "udp")[0]
    stranger = world.caller("2666", transport="udp", port=5070)
    final = stranger.invite("00331234").transaction.wait_final(5)
    check(final and final.status in (403, 404), f"{final and final.status} to a stranger")
    equal(_invites(near), [], "INVITEs at the trunk")
    check(proxy.log_matches('event=49002 .*user=00331234 .*reason="Trunks Not Allowed"'),
          "no line with the number and the reason")


# --- overload -------------------------------------------------------------------------------------


@scenario(transport=("udp", "tcp"))
def overload_rate_of_new_calls(world, transport):
    """Above overload-ctrl-dialog-rate: 503 with Retry-After; dialogs and emergency calls pass."""
    proxy = world.proxy({"overload-ctrl-dialog-rate": "10", "overload-retry-after": "3-9",
                         "emergency-numbers": "112"},
                        {"1001": {"type": "extension"}, "112": {"type": "extension"},
                         "2001": {"type": "extension"}})
    phone = world.registered_phone("1001", transport=transport)
    desk = world.registered_phone("112", 1, transport=transport)
    caller = world.caller(transport=transport, port=5070)
    held = complete_call(caller, "1001", phone)
    phone.script = [(0.0, 486)]
    eventually(lambda: caller.invite("1001").transaction.wait_final(5).status == 486, 3, "no 486",
               0.3)
    txns = [caller.invite("1001").transaction for _ in range(60)]
    emergency = [caller.invite("112").transaction for _ in range(3)]
    urn = caller.invite("112", uri="urn:service:sos").transaction
    info = held[0].request("INFO").wait_final(5)
    equal(info and info.status, 200, "INFO inside a dialog")
    count = Counter(t.wait_final(5).status for t in txns)
    check(count[503] >= 25 and count[486] >= 5 and count[503] + count[486] == 60,
          f"60 INVITEs at once, 10 a second allowed: {dict(count)}")
    waits = {t.final.get("retry-after") for t in txns if t.final.status == 503}
    check(waits <= {str(n) for n in range(3, 10)} and len(waits) >= 3, f"Retry-After {waits}")
    equal([t.wait_final(5).status for t in emergency], [200] * 3, "emergency calls")
    check(urn.wait_final(5).status != 503, "urn:service:sos was refused")
    equal(len([c for c in desk.calls if not c.caller]) >= 3, True, "calls at the emergency desk")
    hang_up(*held)
    check(proxy.counters()["overload_refused_rate"] >= 25, "counter")


def _has_stopped(pid):
    return all((task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


@scenario(timeout=90)
def overload_a_crowd_of_new_calls_waits_behind_a_dialog(world):
    """300 INVITEs come at once, and a BYE behind them: at most 64 calls are begun before it, though
    the worker was not late until then. All are begun in the end."""
    proxy = world.proxy({"workers": 1}, {"1001": {"type": "extension"}})
    phone = world.registered_phone("1001", transport="udp")
    caller = world.caller(transport="udp", port=5070)
    held = complete_call(caller, "1001", phone)
    phone.script = [(0.0, 486)]
    since = time.monotonic()
    os.kill(proxy.process.pid, signal.SIGSTOP)
    try:
        eventually(lambda: _has_stopped(proxy.process.pid), 5, "the proxy goes on")
        crowd = [caller.invite("1001").transaction for _ in range(300)]
        bye = held[0].request("BYE")
    finally:
        os.kill(proxy.process.pid, signal.SIGCONT)
    equal(bye.wait_final(10).status, 200, "BYE")
    came = phone.transactions("BYE", since)[0].arrivals[0]
    before = [t for t in phone.transactions("INVITE", since) if t.arrivals[0] < came]
    check(len(before) <= 64, f"{len(before)} calls were begun before the BYE")
    equal(Counter(t.wait_final(10).status for t in crowd), Counter({486: 300}), "answers")


@scenario()
def overload_options_of_an_application_pass(world):
    """overload-source-rate is for everybody but the applications."""
    server = _server(world)
    world.proxy(dict(SERVING, **{"overload-source-rate": "5"}), {"1001": {"type": "extension"}},
                sections=_application(server))
    beside = world.caller(transport="udp", port=5070)
    count = Counter()
    for txn in [beside.request("OPTIONS", f"sip:{netns.PROXY_NEAR_CALLER}") for _ in range(40)]:
        count[txn.wait_final(5).status] += 1
    check(count[503] >= 20 and count[200] >= 1, f"40 OPTIONS of a stranger: {dict(count)}")
    member = world.phone("main", 2, port=5099, transport="udp", tcp=False)
    count = Counter()
    for txn in [_as_server(member, server) for _ in range(40)]:
        count[txn.wait_final(5).status] += 1
    equal(dict(count), {200: 40}, "40 OPTIONS of the application")


def _as_server(member, server):
    """From the server's address, with its port in Via, as it would be by another of its sockets."""
    conn = member.path("udp")
    msg = member.build("OPTIONS", f"sip:{netns.PROXY}", "udp", f"<sip:main@{SERVER}>;tag=1",
                       f"<sip:{netns.PROXY}>", f"{time.monotonic_ns()}@{SERVER}", 1)
    msg.headers[0] = ("Via", msg.get("via").replace(":5099", f":{server.port}"))
    return member.start(conn, msg)


@scenario()
def server_that_is_overloaded_is_not_dead(world):
    """503 to a call of the only server: that is what its caller gets; it stays in service."""
    server = _server(world)
    proxy = world.proxy({**pair.OPTIONS}, pair.DNS, sections=_application(server))
    callee = world.caller("1001", address=pair.CALLEES[0], port=pair.CALLEES[1])
    callee.transport = "udp"
    caller = world.caller(transport="udp", port=5070)
    hang_up(*complete_call(caller, "1001", callee))
    server.set("overloaded", 1)
    final = caller.invite("1001").transaction.wait_final(5)
    check(final and final.status in (500, 503), f"final response {final and final.status}")
    server.set("overloaded", 0)
    hang_up(*complete_call(caller, "1001", callee))
    equal(proxy.counters()["application_out_of_service"], 0, "times out of service")
