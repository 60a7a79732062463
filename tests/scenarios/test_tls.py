# SPDX-License-Identifier: Apache-2.0
"""TLS: calls over it, peers that are refused, certificates changed by a reload, resumption, storms."""

import re
import socket
import ssl
import time

from lib import netns
from lib.proxy import options_ping
from lib.recovery import (BRISK, EXTENSION, Rig, SLACK, TLS, TLS_OURS, uri_of_phone)
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario
from lib.sip import Uri, uri_of
from lib.tls import Authority, Tls, device_identity, proxy_identity

TLS_PORT = 5061
# Reason in the log (src/base/err.c), counter.
EXPIRED = ("certificate not valid now", "tls_expired")
NAME = ("certificate of another name", "tls_wrong_name")
UNTRUSTED = ("certificate not trusted", "tls_untrusted")
NOTHING_SHOWN = ("no certificate shown", "tls_no_certificate")
VERSION = ("no TLS version in common", "tls_wrong_version")


def _proxy(world, dns=None, **options):
    options = {name.replace("_", "-"): value for name, value in options.items()}
    return world.proxy({**world.tls_options(), **BRISK, **options}, dns or EXTENSION)


def _known(proxy, reason, since=0.0):
    """The refusal stands in the log with its reason, and in its counter."""
    text, counter = reason
    check(proxy.log_matches(re.escape(text), 5, since), f"no log line says: {text}")
    check(proxy.counters()[counter] >= 1, f"counter {counter} is 0")


# --- calls ---------------------------------------------------------------------------------------


@scenario(transport=("udp", "tcp", "tls"))
def call_from_tls(world, transport):
    """A caller by TLS, a phone by each transport; Record-Route names both sides (RFC 5658)."""
    _proxy(world)
    phone = world.registered_phone(transport=transport)
    caller = world.caller(transport="tls")
    call, incoming = complete_call(caller, "1001", phone)
    uris = [Uri(uri_of(r)) for r in incoming.invite.all("record-route")]
    check("tls" in {u.transport for u in uris}, f"Record-Route {[u.text for u in uris]}")
    for side in (call, incoming):
        equal(side.reinvite().wait_final(5).status, 200, "re-INVITE")
    hang_up(incoming, call)


@scenario(transport=("udp", "tcp"))
def call_to_tls(world, transport):
    _proxy(world)
    phone = world.registered_phone(transport="tls")
    caller = world.caller(transport=transport)
    call, incoming = complete_call(caller, "1001", phone)
    equal(phone.new_calls()[0].conns, [phone.registered_by], "connection of the INVITE")
    hang_up(call, incoming)
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(incoming, call)


@scenario(version=("TLSv1.2", "TLSv1.3"))
def both_versions_are_spoken(world, version):
    chosen = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[version]
    dns = {**EXTENSION, "1003": {"type": "extension",
                                 "contact": uri_of_phone("tls", "1003", netns.phone_address(1))}}
    _proxy(world, dns)
    phones = [world.phone(user, i, transport="tls",
                          tls=world.device_tls(netns.phone_address(i), minimum=chosen,
                                               maximum=chosen))
              for i, user in enumerate(("1001", "1003"))]
    equal(phones[0].register().status, 200, "REGISTER")
    caller = world.caller(transport="tcp")
    for phone in phones:
        hang_up(*complete_call(caller, phone.user, phone))
        equal({c.sock.version() for c in phone.connections}, {version}, "versions")


@scenario(way=(TLS, TLS_OURS))
def mutual_tls(world, way):
    """Both sides show and verify certificates, on connections accepted and opened."""
    tls = world.device_tls(netns.PHONE, verify_client=True)
    rig = Rig(world, way, dict(BRISK, **{"tls-verify-client": "true"}), tls=tls)
    hang_up(*rig.complete_call())
    rig.forget()
    rig.mark()
    hang_up(*rig.complete_call())
    rig.only_one_fresh()
    names = [v for k, v in rig.fresh()[0].sock.getpeercert()["subjectAltName"] if k == "URI"]
    equal(names, ["sip:holdfast.test"], "SIP identity that the proxy shows")


# --- refused: connections that we open -----------------------------------------------------------


def _wrong_device(world, wrong):
    issue = world.authority.issue
    if wrong == "expired":
        return Tls(issue("wrong", f"IP:{netns.PHONE}", expired=True), world.authority), EXPIRED
    if wrong == "name":
        return Tls(issue("wrong", "IP:10.77.1.99", "DNS:other.test"), world.authority), NAME
    if wrong == "self_signed":
        made = issue("wrong", f"IP:{netns.PHONE}", self_signed=True)
        return Tls(made, world.authority), UNTRUSTED
    if wrong == "foreign_authority":
        made = device_identity(Authority(world.folder, "foreign"), netns.PHONE)
        return Tls(made, world.authority), UNTRUSTED
    old = ssl.TLSVersion.TLSv1_1 if wrong == "version_1_1" else ssl.TLSVersion.TLSv1_2
    return world.device_tls(netns.PHONE, maximum=old), VERSION


WRONG = ("expired", "name", "self_signed", "foreign_authority", "version_1_1", "version_1_2")


@scenario(wrong=WRONG)
def device_is_refused_when_we_connect(world, wrong):
    """The caller is told, the reason is logged and counted, not one byte of SIP is sent."""
    tls, reason = _wrong_device(world, wrong)
    more = {"tls_min_version": "1.3"} if wrong == "version_1_2" else {}
    dns = {**EXTENSION, "1001": {"type": "extension", "contact": uri_of_phone("tls")}}
    proxy = _proxy(world, dns, **more)
    phone = world.phone(transport="tls", tls=tls)
    final = world.caller(transport="tcp").invite("1001").transaction.wait_final(5)
    equal(final and final.status, 480, "final response")
    _known(proxy, reason)
    equal(phone.seen(), [], "messages at the device")


@scenario()
def device_refuses_us(world):
    """It wants a certificate of an authority that ours is not from."""
    foreign = Authority(world.folder, "foreign")
    tls = Tls(device_identity(world.authority, netns.PHONE), foreign, verify_client=True)
    dns = {**EXTENSION, "1001": {"type": "extension", "contact": uri_of_phone("tls")}}
    proxy = _proxy(world, dns)
    phone = world.phone(transport="tls", tls=tls)
    final = world.caller(transport="tcp").invite("1001").transaction.wait_final(5)
    equal(final and final.status, 480, "final response")
    equal(phone.seen(), [], "messages at the device")
    check(proxy.log_matches("refused by the peer", 5), "no log line says: refused by the peer")


@scenario()
def one_dn_has_rules_of_its_own(world):
    """tls-verify-server = false for one DN only: its self-signed device is called, the other not."""
    dns = {**EXTENSION,
           "1001": {"type": "extension", "contact": uri_of_phone("tls"),
                    "tls-verify-server": "false"},
           "1002": {"type": "extension",
                    "contact": uri_of_phone("tls", "1002", netns.phone_address(1))}}
    proxy = _proxy(world, dns)
    devices = []
    for i, user in enumerate(("1001", "1002")):
        address = netns.phone_address(i)
        made = world.authority.issue(f"own{i}", f"IP:{address}", self_signed=True)
        devices.append(world.phone(user, i, transport="tls", tls=Tls(made, world.authority)))
    caller = world.caller(transport="tcp")
    hang_up(*complete_call(caller, "1001", devices[0]))
    final = caller.invite("1002").transaction.wait_final(5)
    equal(final and final.status, 480, "final response")
    _known(proxy, UNTRUSTED)


# --- refused: connections that we accept ---------------------------------------------------------


def _refused_client(world, proxy, tls, reason):
    """The device's connection does not come about, or ends before a response."""
    phone = world.phone(transport="tls", tls=tls)
    try:
        phone.register(timeout=0)
        check(phone.connections[-1].wait_closed(5), "the connection was not closed")
    except OSError:
        pass
    equal(phone.seen(), [], "responses at the device")
    _known(proxy, reason)
    equal(proxy.counters()["registrations"], 0, "registrations")
    # The next one is served.
    good = world.registered_phone("1002", 1, transport="tls")
    equal(good.registered_by.closed, None, "the right device's connection")


@scenario(wrong=("expired", "self_signed", "foreign_authority"))
def device_is_refused_when_it_connects(world, wrong):
    tls, reason = _wrong_device(world, wrong)
    _refused_client(world, _proxy(world, tls_verify_client="true"), tls, reason)


@scenario()
def device_without_certificate_is_refused(world):
    tls = world.device_tls(netns.PHONE, show=False)
    _refused_client(world, _proxy(world, tls_verify_client="true"), tls, NOTHING_SHOWN)


@scenario(version=("1_1", "1_2"))
def device_of_an_old_version_is_refused(world, version):
    tls, reason = _wrong_device(world, f"version_{version}")
    more = {"tls_min_version": "1.3"} if version == "1_2" else {}
    _refused_client(world, _proxy(world, **more), tls, reason)


@scenario()
def device_that_refuses_our_certificate(world):
    tls = Tls(device_identity(world.authority, netns.PHONE), Authority(world.folder, "foreign"))
    _refused_client(world, _proxy(world), tls, ("refused by the peer", "tls_refused_by_peer"))


# --- the wrong language --------------------------------------------------------------------------


def _lines(proxy, text, address):
    return [line for line in proxy.process.output().splitlines()
            if text in line and f"{address}:" in line]


@scenario()
def plain_sip_on_the_tls_port(world):
    """Closed, counted each time, logged once for each address and minute."""
    proxy = _proxy(world)
    for address, namespace in ((netns.PHONE, world.net.phone), (netns.CALLER, world.net.caller)):
        target = netns.PROXY if namespace is world.net.phone else netns.PROXY_NEAR_CALLER
        for _ in range(3):
            equal(options_ping(namespace, (target, TLS_PORT), "tcp", address, 5), None, "answer")
    text = "does not speak TLS"
    check(proxy.log_matches(text, 5), "no log line")
    eventually(lambda: proxy.counters()["plain_on_tls"] == 6, 5, "not counted six times")
    for address in (netns.PHONE, netns.CALLER):
        equal(len(_lines(proxy, text, address)), 1, f"log lines about {address}")
    world.registered_phone(transport="tls")


@scenario()
def client_hello_on_the_sip_port(world):
    proxy = _proxy(world)
    phone = world.phone(transport="tls")
    caller = world.caller(transport="tls")
    for device in (phone, caller):
        for _ in range(3):
            try:
                device.connect(device.proxy, transport="tls")
            except OSError:
                continue
            raise AssertionError("TLS came about on the port of plain SIP")
    text = "speaks TLS where it is not spoken"
    check(proxy.log_matches(text, 5), "no log line")
    eventually(lambda: proxy.counters()["tls_on_plain"] == 6, 5, "not counted six times")
    for device in (phone, caller):
        equal(len(_lines(proxy, text, device.address)), 1, f"log lines about {device.address}")
    equal(phone.register().status, 200, "REGISTER")


# --- certificates by reload ----------------------------------------------------------------------


def _reload(proxy, text="configuration reloaded"):
    mark = time.monotonic()
    proxy.write()
    proxy.reload()
    check(proxy.log_matches(text, 5, mark), f"no log line says: {text}")


def _shown(world, device):
    """What the proxy shows to a new connection of this device, which is closed again."""
    device.tls.session = None
    conn = device.connect(device.proxy_at("tls"), transport="tls")
    found = conn.sock.getpeercert(binary_form=True)
    conn.close()
    return found


@scenario()
def certificate_changes_while_a_call_is_up(world):
    proxy = _proxy(world)
    phone = world.registered_phone(transport="tls")
    caller = world.caller(transport="tls")
    call, incoming = complete_call(caller, "1001", phone)
    old = _shown(world, phone)
    proxy.options.update(world.tls_options(proxy_identity(world.authority, "renewed")))
    _reload(proxy)
    check(_shown(world, phone) != old, "the old certificate is shown")
    equal(call.reinvite().wait_final(5).status, 200, "re-INVITE after the reload")
    equal([c.closed for c in (phone.registered_by, caller.connections[0])], [None, None],
          "connections that were up")
    hang_up(incoming, call)


@scenario()
def same_files_with_another_certificate(world):
    """As certbot does it: the names stay, what is in them changes."""
    identity = proxy_identity(world.authority)
    proxy = world.proxy({**world.tls_options(identity), **BRISK}, EXTENSION)
    phone = world.registered_phone(transport="tls")
    old = _shown(world, phone)
    proxy_identity(world.authority)
    _reload(proxy)
    check(_shown(world, phone) != old, "the old certificate is shown")
    equal(phone.registered_by.closed, None, "the connection that was up")


@scenario()
def bad_certificate_at_reload_keeps_the_old_one(world):
    proxy = _proxy(world)
    phone = world.registered_phone(transport="tls")
    old, good = _shown(world, phone), dict(proxy.options)
    other = proxy_identity(world.authority, "other")
    for change in ({"tls-certificate": world.path("missing.pem")},
                   {"tls-private-key": other.key},
                   {"tls-ca": world.path("missing.pem")}):
        proxy.options = {**good, **change}
        _reload(proxy, re.escape(next(iter(change.values()))))
        equal(_shown(world, phone), old, "the certificate that is shown")
    call, incoming = complete_call(world.caller(transport="tcp"), "1001", phone)
    hang_up(call, incoming)


@scenario()
def authority_changes_by_reload(world):
    """A device of another authority is refused, and accepted once that authority is known."""
    foreign = Authority(world.folder, "foreign")
    made = device_identity(foreign, netns.PHONE)
    dns = {**EXTENSION, "1001": {"type": "extension", "contact": uri_of_phone("tls")}}
    proxy = _proxy(world, dns)
    phone = world.phone(transport="tls", tls=Tls(made, world.authority))
    caller = world.caller(transport="tcp")
    equal(caller.invite("1001").transaction.wait_final(5).status, 480, "final response")
    both = world.path("both.pem")
    with open(both, "w") as out:
        out.writelines(open(a.certificate).read() for a in (world.authority, foreign))
    proxy.options["tls-ca"] = both
    _reload(proxy)
    fresh = phone.connect(phone.proxy_at("tls"), transport="tls")
    equal(phone.register(conn=fresh).status, 200, "REGISTER")
    fresh.close()
    hang_up(*complete_call(caller, "1001", phone))


# --- resumption ----------------------------------------------------------------------------------


@scenario()
def reopened_connection_resumes_its_session(world):
    """We opened both: the second one is one round trip."""
    rig = Rig(world, TLS_OURS)
    check(not rig.conn.resumed, "the first connection resumed something")
    rig.forget()
    rig.mark()
    hang_up(*rig.complete_call())
    rig.only_one_fresh()
    check(rig.fresh()[0].resumed, "the reopened connection has not resumed the session")
    check(rig.proxy.counters()["tls_resumed"] >= 1, "tls_resumed")


@scenario()
def phone_resumes_its_session_after_a_reload_too(world):
    proxy = _proxy(world)
    phone = world.registered_phone(transport="tls")
    phone.registered_by.close()
    again = phone.connect(phone.proxy_at("tls"), transport="tls")
    check(again.resumed, "the session was not resumed")
    equal(phone.register(conn=again).status, 200, "REGISTER")
    _reload(proxy)
    last = phone.connect(phone.proxy_at("tls"), transport="tls")
    check(last.resumed, "the session was not resumed after the reload")


@scenario()
def session_is_not_resumed_under_stricter_rules(world):
    """After tls-verify-client came by reload, an old ticket does not spare the certificate."""
    proxy = _proxy(world)
    phone = world.phone(transport="tls", tls=world.device_tls(netns.PHONE, show=False))
    equal(phone.register().status, 200, "REGISTER")
    check(phone.tls.session is not None, "no ticket came")
    proxy.options["tls-verify-client"] = "true"
    _reload(proxy)
    try:
        conn = phone.connect(phone.proxy_at("tls"), transport="tls")
        phone.register(conn=conn, timeout=0)
        check(conn.wait_closed(5), "the connection was not closed")
    except OSError:
        pass
    equal(len(phone.seen(status=200)), 1, "responses at the device")
    _known(proxy, NOTHING_SHOWN)


# --- storm ---------------------------------------------------------------------------------------


@scenario()
def storm_of_half_open_handshakes(world):
    """400 connections that never finish a handshake: calls go on, other addresses get in, the
    proxy's sockets have a bound, and all is over after tcp-connect-timeout."""
    proxy = _proxy(world, tls_max_handshakes="16")
    phone = world.registered_phone(transport="tls")
    caller = world.caller(transport="tls")
    hang_up(*complete_call(caller, "1001", phone))
    before, began = proxy.process.descriptors(), proxy.process.cpu_seconds()
    hello = bytes.fromhex("160301020001000001fc0303")       # the beginning of a ClientHello
    socks = []
    for i in range(400):
        with world.net.phone.inside():
            sock = socket.socket()
        sock.bind((netns.phone_address(3), 0))
        sock.setblocking(False)
        sock.connect_ex((netns.PROXY, TLS_PORT))
        socks.append(sock)
        if i % 100 == 50:
            hang_up(*complete_call(caller, "1001", phone, timeout=3))
    for sock in socks[::2]:
        try:
            sock.send(hello)
        except OSError:
            continue
    hang_up(*complete_call(caller, "1001", phone, timeout=3))
    world.registered_phone("1002", 1, transport="tls")
    check(proxy.process.descriptors() - before <= 4 * 16 * world.workers + 16,
          f"{proxy.process.descriptors() - before} descriptors more than before")
    eventually(lambda: proxy.process.descriptors() - before <= 4, 2 * 1.0 + 2 * SLACK,
               "half-open connections are left")
    found = proxy.counters()
    check(found["tls_timed_out"] + found["tls_busy"] >= 100, "refusals were not counted")
    check(proxy.process.cpu_seconds() - began < 5, "the storm took five seconds of CPU")
    for sock in socks:
        sock.close()


# --- sips ----------------------------------------------------------------------------------------


@scenario()
def sips_call_is_tls_all_the_way(world):
    """RFC 5630: a sips: request goes by TLS, and Record-Route says so; inside the dialog as well."""
    _proxy(world)
    phone, caller = world.phone(transport="tls"), world.caller(transport="tls")
    phone.scheme = caller.scheme = "sips"
    equal(phone.register().status, 200, "REGISTER")
    call, incoming = complete_call(caller, "1001", phone)
    check(incoming.invite.uri.startswith("sips:"), f"Request-URI {incoming.invite.uri}")
    check(all(uri_of(r).startswith("sips:") for r in incoming.invite.all("record-route")),
          f"Record-Route {incoming.invite.all('record-route')}")
    equal({c.transport for c in phone.connections}, {"tls"}, "transports at the phone")
    hang_up(call, incoming)


@scenario()
def sips_call_to_a_phone_without_tls_fails(world):
    """Never by another transport: 480, and nothing reaches the phone."""
    _proxy(world)
    phone = world.registered_phone(transport="tcp")
    caller = world.caller(transport="tls")
    caller.scheme = "sips"
    final = caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 480, "final response")
    equal(phone.new_calls(), [], "calls at the phone")
