# SPDX-License-Identifier: Apache-2.0
"""Devices that cannot be reached again (cases 8, 9 and 10 of the recovery design)."""

import re
import time

from lib import netns
from lib.recovery import (ALL, BRISK, CONNECT_TIMEOUT, CROSS, EXTENSION, REOPEN_DELAY, Rig, SAID,
                          SLACK, TCP, TLS, TLS_OURS, settled, uri_of_phone, with_tls)
from lib.scenario import check, complete_call, equal, hang_up, scenario

LIMIT = REOPEN_DELAY + CONNECT_TIMEOUT


# --- case 8: Voice over IP Service ---------------------------------------------------------------


def _voip_service(world, transport, options):
    """A VoIP service DN with a fixed contact in the phone's place, its device after one call."""
    dns = {"msml1": {"type": "voip-service", "service-type": "msml",
                     "contact": uri_of_phone(transport, "msml1")},
           "2001": {"type": "extension"}}
    world.proxy(with_tls(world, transport, options), dns)
    service, caller = world.phone("msml1", transport=transport), world.caller(transport="tcp")
    call, incoming = complete_call(caller, "msml1", service)
    hang_up(call, incoming)
    return service, caller


@scenario(transport=("tcp", "tls"))
def case_8_voip_service_is_not_reopened_within_a_transaction(world, transport):
    service, caller = _voip_service(world, transport, SAID)
    conn = service.accepted()[0]
    # The proxy's TCP owes nothing more, so that the INVITE is the first to meet the reset.
    settled(world, conn)
    world.firewall.drop_all()
    service.forget_everything()
    world.firewall.heal()
    mark = time.monotonic()
    lost = caller.invite("msml1")
    final = lost.transaction.wait_final(5)
    check(final is not None, "no final response although the connection was reset")
    check(final.status in (480, 500, 503), f"final response {final.status}")
    equal(len(service.new_calls(mark)), 0, "INVITEs resent to the service")
    equal(len(service.accepted()), 1, "connections opened to the service")
    # The next new transaction opens the connection.
    call, incoming = complete_call(caller, "msml1", service)
    equal(len(service.accepted()), 2, "connections opened to the service")
    hang_up(call, incoming)
    check(conn.closed, "the first connection is not closed at the device")


@scenario(transport=("tcp", "tls"))
def case_8_voip_service_silent_firewall(world, transport):
    """The same when nobody says so: it fails by tcp-unacked-timeout and is not resent."""
    service, caller = _voip_service(world, transport, dict(BRISK, **{"tcp-unacked-timeout": "1"}))
    world.firewall.forget(service.accepted()[0].pair)
    mark = time.monotonic()
    final = caller.invite("msml1").transaction.wait_final(2 * 1.0 + 2 * SLACK)
    check(final is not None and final.status in (408, 480, 500, 503),
          f"final response {final and final.status}")
    equal(len(service.new_calls(mark)), 0, "INVITEs resent to the service")
    call, incoming = complete_call(caller, "msml1", service)
    hang_up(call, incoming)


@scenario(transport=("tcp", "tls"))
def case_8_voip_service_next_target_is_tried(world, transport):
    """Two bindings, one after the other: the first is dead, so the second gets the call at once."""
    options = with_tls(world, transport, dict(SAID, fork="q"))
    world.proxy(options, {"gw": {"type": "voip-service", "service-type": "softswitch"},
                          "2001": {"type": "extension"}})
    first, second = (world.phone("gw", i, transport=transport) for i in range(2))
    for device, q in ((first, "0.9"), (second, "0.1")):
        final = device.register(contacts=[device.contact(params=f";q={q}")])
        equal(final and final.status, 200, "REGISTER")
    caller = world.caller(transport="tcp")
    # The 200 to its REGISTER is so old that a reset cannot have taken it: nothing is to be repeated.
    caller.wait(lambda: False, 1.2)
    world.firewall.drop_all()
    first.forget_everything()
    world.firewall.heal()
    call, incoming = complete_call(caller, "gw", second, timeout=5)
    equal(len(first.new_calls()), 0, "INVITEs resent to the first target")
    equal(len(first.accepted()), 0, "connections opened to the first target")
    hang_up(call, incoming)
    call, incoming = complete_call(caller, "gw", first)
    equal(len(first.accepted()), 1, "connections opened by the next transaction")
    hang_up(call, incoming)


# --- case 9: the device does not accept ----------------------------------------------------------


def _refused(rig, prepare, limit=LIMIT):
    """Dead connection and no way to reopen; the caller has its final response within the bound."""
    prepare()
    rig.mark()
    call = rig.caller.invite("1001")
    final = call.transaction.wait_final(limit + SLACK)
    check(final is not None, f"no final response within {limit:g} s; "
                             f"got {call.transaction.statuses()}")
    equal(final.status, 480, "final response")
    check("SIP" in final.get("reason"), f"Reason of the 480: {final.get('reason')!r}")
    equal(len(rig.new_calls()), 0, "INVITEs at the phone")
    # The call that is named may be an earlier one, whose ACK was under way too. None is lost where
    # the end of the connection was seen before the INVITE came.
    check(rig.proxy.log_matches(r" event=41003 .* dn=1001 .* lost=(0|\d+ call_id=\S+)", 3.0),
          "no line says whose connection was given up, with which call")


def _out_of_service_then_back(world, rig):
    check(rig.proxy.log_matches(r"DN out of service event=42001 dn=1001 .*peer=10\.77\.1\.2:\d+ cause=.* ms=\d+",
                                3.0), "no log line says which DN is out of service, where, why")
    # Answered for at once while out of service, and the caller told when to try again.
    before = rig.proxy.counters()["connections_open_failed"]
    final = rig.caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 480, "final response while out of service")
    check(final.get("retry-after").split(";")[0].split("(")[0].strip().isdigit(),
          f"Retry-After {final.get('retry-after')!r}")
    equal(rig.proxy.counters()["connections_open_failed"], before, "attempts while out of service")
    # Back after REGISTER.
    world.firewall.heal()
    rig.phone.listen()
    rig.phone.script = [(0.0, 180), (0.05, 200)]
    fresh = rig.phone.connect(rig.phone.proxy_at(rig.transport), transport=rig.transport)
    equal(rig.phone.register(conn=fresh).status, 200, "REGISTER")
    hang_up(*rig.complete_call())


@scenario(way=(TCP, TLS))
def case_9_phone_refuses_the_new_connection(world, way):
    # The first connection may still heal until the bound, so a refusal alone ends nothing sooner.
    rig = Rig(world, way)
    _refused(rig, rig.reachable_no_more)
    _out_of_service_then_back(world, rig)


@scenario(way=(TCP, TLS))
def case_9_phone_is_unreachable(world, way):
    """New connections are dropped silently as well: tcp-reopen-delay and tcp-connect-timeout."""
    rig = Rig(world, way)
    _refused(rig, world.firewall.drop_all)
    _out_of_service_then_back(world, rig)


@scenario(way=ALL)
def case_9_phone_rebooted_and_listens_no_more(world, way):
    """The reset says so, the reopening is refused: the caller knows at once."""
    rig = Rig(world, way, SAID)

    def prepare():
        rig.phone.stop_listening()
        rig.reboot()
    _refused(rig, prepare, CONNECT_TIMEOUT)


@scenario(way=(TCP, TLS))
def case_9_other_binding_is_tried(world, way):
    """Forked DN: the phone that lives still gets the call."""
    rig = Rig(world, way)
    other = world.registered_phone(index=1, transport=way.transport)
    rig.reachable_no_more()
    call, incoming = complete_call(rig.caller, "1001", other)
    hang_up(call, incoming)


@scenario(way=ALL)
def case_9_refused_in_dialog_request_gets_408(world, way):
    """A request inside a dialog that cannot be delivered: 408, so that the caller ends it."""
    rig = Rig(world, way)
    call, _ = rig.complete_call()
    rig.reachable_no_more()
    final = call.request("INFO").wait_final(LIMIT + SLACK)
    equal(final and final.status, 408, "final response to INFO")


@scenario(transport=("tcp", "tls"))
def case_9_a_dn_with_a_fixed_contact_comes_back_by_its_own_connection(world, transport):
    """It cannot be reached, then its device opens a connection and registers: in service."""
    way = next(w for w in ALL if w.transport == transport and w.opened_by == "us")
    rig = Rig(world, way)
    _refused(rig, rig.reachable_no_more)
    _out_of_service_then_back(world, rig)


# --- case 10: a wrong certificate on the reopened connection -------------------------------------


WRONG = {
    "name": (lambda w: w.authority.issue("wrong", "IP:10.77.1.99", "DNS:other.test"),
             "tls_wrong_name", "certificate of another name"),
    "expired": (lambda w: w.authority.issue("wrong", f"IP:{netns.PHONE}", expired=True),
                "tls_expired", "certificate not valid now"),
    "self_signed": (lambda w: w.authority.issue("wrong", f"IP:{netns.PHONE}", self_signed=True),
                    "tls_untrusted", "certificate not trusted"),
}


@scenario(way=(TLS, TLS_OURS), wrong=tuple(WRONG))
def case_10_wrong_certificate_on_the_reopened_connection(world, way, wrong):
    """Verified as strictly as the first one: refused, the caller told in time, the reason logged."""
    make, counter, words = WRONG[wrong]
    rig = Rig(world, way)
    rig.phone.tls.use(make(world))
    _refused(rig, rig.forget)
    check(rig.phone.wait(lambda: rig.phone.refused, 2), "the phone saw no handshake refused")
    check(rig.proxy.log_matches(words, 2.0, rig.since), f"no log line with {words}")
    check(rig.proxy.counters()[counter] >= 1, f"counter {counter} is 0")
    # With the right one it is accepted again.
    rig.phone.tls.use(world.authority.issue("right", f"IP:{netns.PHONE}"))
    fresh = rig.phone.connect(rig.phone.proxy_at("tls"), transport="tls")
    equal(rig.phone.register(conn=fresh).status, 200, "REGISTER")
    rig.phone.script = [(0.0, 180), (0.05, 200)]
    hang_up(*rig.complete_call())


@scenario(way=CROSS)
def unacked_timeout_recovers_where_suspicion_is_off(world, way):
    """tcp-reopen-delay = 0: the kernel's TCP_USER_TIMEOUT finds it, then reopened and resent."""
    rig = Rig(world, way, dict(BRISK, **{"tcp-reopen-delay": "0", "tcp-unacked-timeout": "1"}))
    rig.forget()
    call = rig.caller.invite("1001")
    incoming = rig.established(call, 2 * 1.0 + 2 * SLACK)
    rig.one_call()
    rig.only_one_fresh()
    hang_up(call, incoming)


@scenario(transport=("tcp", "tls"))
def unacked_timeout_is_that_of_the_request_only(world, transport):
    """A second phone of the same name needs no recovery while the first is recovered."""
    options = with_tls(world, transport, BRISK)
    world.proxy(options, EXTENSION)
    first = world.registered_phone("1001", 0, transport=transport)
    second = world.registered_phone("1002", 1, transport=transport)
    caller = world.caller(transport="tcp")
    world.firewall.forget(first.registered_by.pair)
    lost, good = caller.invite("1001"), caller.invite("1002")
    check(good.wait_established(5), f"not established: {good.transaction.statuses()}")
    check(lost.wait_established(5), f"not established: {lost.transaction.statuses()}")
    equal(len(second.accepted()), 0, "connections opened to the other phone")
    equal(len(first.accepted()), 1, "connections opened to the phone")


@scenario()
def who_cannot_be_called_is_named(world):
    """Contacts at which nobody listens, of connections that several workers open."""
    users = [str(1001 + i) for i in range(6)]
    proxy = world.proxy(BRISK, {user: {"type": "extension"} for user in users + ["2001"]})
    caller = world.caller(transport="tcp")
    phone = world.phone(transport="udp")
    for i, user in enumerate(users):
        contact = f"<sip:{user}@{phone.address}:{6001 + i};transport=tcp>"
        equal(phone.register(user=user, contacts=[contact]).status, 200, "REGISTER")
        call = caller.invite(user)
        final = call.transaction.wait_final(5)
        equal(final and final.status, 480, "final response")
        line = rf" event=41005 .* dn={user} peer=\S+:{6001 + i} .* lost=1 call_id={re.escape(call.call_id)}"
        check(proxy.log_matches(line, 3.0), f"no line names {user} and its call")
