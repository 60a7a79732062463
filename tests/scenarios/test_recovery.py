# SPDX-License-Identifier: Apache-2.0
"""Dead connections: the cases of the recovery design that concern TCP, each behind a silent firewall.

Every phone listens on 5060 and registers over a connection that it opened itself. Bounds are those
of the design (keep-alive D = idle + interval * probes; reopening after tcp-reopen-delay), with
SLACK for a busy machine.
"""

import time

from lib import netns
from lib.baresip import Baresip
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario

SLACK = 2.0
EXTENSION = {"1001": {"type": "extension"}, "1002": {"type": "extension"},
             "2001": {"type": "extension"}}
# Keep-alive finds an idle connection after D = 2 s.
QUICK = {"sip-enable-tcp-keep-alive": "true", "tcp-keep-alive-idle": "1",
         "tcp-keep-alive-interval": "1", "tcp-keep-alive-probes": "1"}
# Keep-alive would need a minute: what happens sooner is the work of the other rules.
SLOW = {"sip-enable-tcp-keep-alive": "true", "tcp-keep-alive-idle": "30",
        "tcp-keep-alive-interval": "10", "tcp-keep-alive-probes": "3",
        "tcp-unacked-timeout": "5", "tcp-reopen-delay": "1", "tcp-connect-timeout": "3"}
REOPEN_DELAY, CONNECT_TIMEOUT, D_QUICK = 1.0, 3.0, 2.0


def _setup(world, options, dns=None, **phone):
    """Proxy, one registered phone, a caller, a capture; (proxy, phone, caller, its connection)."""
    proxy = world.proxy(options, EXTENSION if dns is None else dns)
    device = world.registered_phone(transport="tcp", **phone)
    caller = world.caller(transport="tcp")
    return proxy, device, caller, device.registered_by


def _proxy_end_gone(world, conn):
    """True once the proxy's namespace has no socket for this connection."""
    (phone, port), _ = conn.pair
    out = world.net.proxy.run("ss", "-Htn", "state", "established", "dst", f"{phone}:{port}")
    return not out.strip()


def _wait_idle_death(world, conn, limit=2 * D_QUICK + SLACK):
    """Wait until the proxy has dropped the connection; seconds it took."""
    began = time.monotonic()
    eventually(lambda: _proxy_end_gone(world, conn), limit,
               "the proxy still holds the connection that the firewall forgot")
    return time.monotonic() - began


def _one_call(phone, since=0.0):
    """Exactly one new call, whatever the number of copies (RFC 3261 17.2.3)."""
    equal(len(phone.new_calls(since)), 1, "INVITE transactions at the phone")
    equal(sum(1 for c in phone.calls if not c.caller and c.invite is not None
              and c.transaction.arrivals[0] >= since), 1, "calls at the phone")


@scenario()
def case_1_idle_connection_dies_and_is_not_reopened(world):
    proxy, phone, _, conn = _setup(world, QUICK)
    capture = world.capture()
    world.firewall.forget(conn.pair)
    mark = time.monotonic()
    _wait_idle_death(world, conn)
    found = proxy.log_matches(r"stale|keep-alive|connection.*(dead|lost|closed|timed out)", 2.0, mark)
    check(found, "no log line says that the connection was found dead")
    # The probes that found it are on the proxy's side of the firewall and not on the phone's.
    probes = capture.select("toproxy", "tcp", src=netns.PROXY, dport=conn.local[1], since=mark)
    check(probes, "no keep-alive probe was sent")
    check(not capture.select("tophone", "tcp", src=netns.PROXY, dport=conn.local[1], since=mark),
          "the firewall let a packet pass")
    # Not reopened: nothing is sent towards the phone for longer than a reopening would take.
    check(not phone.wait(phone.accepted, REOPEN_DELAY + 1.0), "an idle connection was reopened")
    equal(len(capture.select("toproxy", "tcp", dst=phone.address, flag="SYN", since=mark)), 0,
          "SYNs towards the phone")


@scenario()
def case_2_call_after_idle_death_reopens(world):
    _, phone, caller, conn = _setup(world, QUICK)
    world.firewall.forget(conn.pair)
    _wait_idle_death(world, conn)
    call, incoming = complete_call(caller, "1001", phone)
    equal(len(phone.accepted()), 1, "connections opened to the phone")
    _one_call(phone)
    hang_up(call, incoming)
    # The BYE went over the same new connection.
    equal(len(phone.accepted()), 1, "connections opened to the phone")
    call, incoming = complete_call(caller, "1001", phone)
    conn.given_up = True
    hang_up(incoming, call)
    equal(len(phone.accepted()), 1, "connections opened to the phone after a second call")


@scenario()
def case_3_call_onto_a_connection_that_died_unnoticed(world):
    _, phone, caller, conn = _setup(world, SLOW)
    world.firewall.forget(conn.pair)
    began = time.monotonic()
    call = caller.invite("1001")
    invite = phone.wait_transaction("INVITE", 1.0 + REOPEN_DELAY + SLACK)
    check(invite, "the INVITE was not delivered in time")
    check(invite.arrivals[0] - began <= 1.0 + REOPEN_DELAY + SLACK, "the INVITE came too late")
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    incoming = phone.wait_call(1)
    check(incoming.wait_acked(5), "no ACK at the phone")
    _one_call(phone)
    equal(invite.copies, 1, "copies of the INVITE that reached the phone")
    check(world.firewall.dropped()[0] > 0, "the INVITE was never sent into the dead connection")
    equal(len(phone.accepted()), 1, "connections opened to the phone")
    hang_up(call, incoming)
    # The next call uses the new connection at once.
    call, incoming = complete_call(caller, "1001", phone)
    equal(len(phone.accepted()), 1, "connections opened to the phone")
    conn.given_up = True
    hang_up(incoming, call)


@scenario()
def case_3_both_calls_waiting_on_one_dead_connection(world):
    """One reopening for all that wait; resent in the original order, each once."""
    _, phone, caller, conn = _setup(world, SLOW)
    world.firewall.forget(conn.pair)
    calls = [caller.invite("1001") for _ in range(5)]
    for call in calls:
        check(call.wait_established(10), f"not established: {call.transaction.statuses()}")
    equal(len(phone.new_calls()), 5, "INVITE transactions at the phone")
    equal([t.copies for t in phone.new_calls()], [1] * 5, "copies of each INVITE")
    equal(len(phone.accepted()), 1, "connections opened to the phone")
    check(world.firewall.dropped()[0] > 0, "nothing was sent into the dead connection")
    if world.workers == 1:
        equal([t.request.call_id for t in phone.new_calls()], [c.call_id for c in calls],
              "order of the INVITEs")


@scenario(timeout=90)
def case_3_with_baresip(world):
    """The same with a real phone as callee."""
    world.proxy(SLOW, EXTENSION)
    phone = Baresip(world, world.net.phone, netns.PHONE, "1001", netns.PROXY, "tcp")
    phone.wait_registered()
    own = world.net.proxy.run("ss", "-Htn", "state", "established", "dst", netns.PHONE).split()
    port = int(own[-1].rsplit(":", 1)[1])
    world.firewall.forget(((netns.PHONE, port), (netns.PROXY, 5060)))
    caller = world.caller(transport="tcp")
    call = caller.invite("1001")
    check(call.wait_established(10), f"not established: {call.transaction.statuses()}")
    phone.wait_event("CALL_ESTABLISHED", 5)
    final = call.bye().wait_final(5)
    equal(final and final.status, 200, "BYE")
    phone.wait_event("CALL_CLOSED", 5)
    equal(phone.count_event("CALL_ESTABLISHED"), 1, "calls established at the phone")
    equal(phone.count_event("CALL_CLOSED"), 1, "calls closed at the phone")
    check(world.firewall.dropped()[0] > 0, "the INVITE was never sent into the dead connection")


def _forget_all(world, phone):
    """The firewall forgets every connection of this phone, whichever the dialog uses."""
    world.firewall.forget(*[c.pair for c in phone.connections if not c.closed])


def _in_dialog_onto_dead(world, act, method):
    """Establish a call, let the firewall forget, act; the request arrives once and is answered."""
    _, phone, caller, _ = _setup(world, SLOW)
    call, incoming = complete_call(caller, "1001", phone)
    before = len(phone.accepted())
    _forget_all(world, phone)
    mark = time.monotonic()
    txn = act(call)
    final = txn.wait_final(1.0 + REOPEN_DELAY + SLACK)
    equal(final and final.status, 200, f"final response to {method}")
    equal(len(phone.transactions(method, mark)), 1, f"{method} transactions at the phone")
    equal(len(phone.accepted()) - before, 1, "connections opened to the phone anew")
    return phone, call, incoming


@scenario()
def bye_onto_a_dead_connection(world):
    _, _, incoming = _in_dialog_onto_dead(world, lambda call: call.bye(), "BYE")
    check(incoming.ended, "the phone's call goes on")


@scenario()
def reinvite_onto_a_dead_connection(world):
    phone, call, incoming = _in_dialog_onto_dead(world, lambda call: call.reinvite(), "INVITE")
    reinvite = phone.transactions("INVITE")[-1]
    check(phone.wait(lambda: reinvite.acks, 5), "the ACK of the re-INVITE's 2xx did not arrive")
    hang_up(call, incoming)


@scenario()
def info_and_update_onto_a_dead_connection(world):
    _, call, incoming = _in_dialog_onto_dead(world, lambda call: call.request("INFO"), "INFO")
    final = call.request("UPDATE").wait_final(5)
    equal(final and final.status, 200, "UPDATE")
    hang_up(call, incoming)


@scenario()
def ack_onto_a_dead_connection(world):
    """The 2xx came through, its ACK goes into nothing: it is sent again over the new connection."""
    _, phone, caller, _ = _setup(world, SLOW)
    caller.hold_acks = True
    call = caller.invite("1001")
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    before = len(phone.accepted())
    _forget_all(world, phone)
    call.acknowledge()
    incoming = phone.wait_call(1)
    check(incoming.wait_acked(1.0 + REOPEN_DELAY + SLACK), "the ACK did not reach the phone")
    check(len(phone.accepted()) - before <= 1, "more than one new connection")
    caller.hold_acks = False
    hang_up(call, incoming)


@scenario()
def cancel_onto_a_dead_connection(world):
    """An ACK or CANCEL never before its INVITE: the phone gets both copies in order and stops."""
    _, phone, caller, _ = _setup(world, SLOW)
    phone.script = [(0.0, 180)]
    call = caller.invite("1001")
    check(call.transaction.wait_status(180), "no 180")
    _forget_all(world, phone)
    equal(call.cancel().wait_final(5).status, 200, "response to CANCEL")
    final = call.transaction.wait_final(1.0 + REOPEN_DELAY + SLACK)
    equal(final and final.status, 487, "final response to the INVITE")
    equal(len(phone.transactions("CANCEL")), 1, "CANCELs at the phone")
    invite, cancel = phone.new_calls()[0], phone.transactions("CANCEL")[0]
    check(invite.arrivals[0] < cancel.arrivals[0], "the CANCEL came before the INVITE")
    _one_call(phone)


@scenario()
def case_5_connection_dies_while_ringing(world):
    """Found by keep-alive, INVITE resent on a new connection, the phone's 200 reaches the caller."""
    _, phone, caller, conn = _setup(world, QUICK)
    phone.script = [(0.0, 180)]
    call = caller.invite("1001")
    check(call.transaction.wait_status(180), "no 180")
    world.firewall.forget(conn.pair)
    invite = phone.new_calls()[0]
    check(phone.wait(lambda: invite.copies > 1, 2 * D_QUICK + REOPEN_DELAY + SLACK),
          "the INVITE was not sent again")
    equal(len(phone.accepted()), 1, "connections opened to the phone")
    phone.respond(invite, 200)
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    check(invite.call.wait_acked(5), "no ACK at the phone")
    _one_call(phone)
    equal(invite.copies, 2, "copies of the INVITE")
    hang_up(call, invite.call)


@scenario()
def case_5_answer_over_a_connection_of_the_phones_own(world):
    """The phone noticed as well and opens a connection to our Via for its 200: matched by branch."""
    _, phone, caller, conn = _setup(world, SLOW)
    phone.script = [(0.0, 180)]
    call = caller.invite("1001")
    check(call.transaction.wait_status(180), "no 180")
    world.firewall.forget(conn.pair)
    conn.close()
    phone.respond(phone.new_calls()[0], 200)
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    incoming = phone.wait_call(1)
    check(incoming.wait_acked(2 * REOPEN_DELAY + SLACK + 2), "no ACK at the phone")
    _one_call(phone)
    hang_up(call, incoming, 2 * REOPEN_DELAY + SLACK + 2)


@scenario()
def case_6_phone_rebooted(world):
    """RST on first use: reopened and resent at once, not after a delay."""
    options = dict(SLOW, **{"tcp-reopen-delay": "5"})
    _, phone, caller, conn = _setup(world, options)
    world.firewall.drop_all()
    phone.forget_everything()
    world.firewall.heal()
    began = time.monotonic()
    call = caller.invite("1001")
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    invite = phone.new_calls()[0]
    check(invite.arrivals[0] - began < 5.0, "waited for tcp-reopen-delay although the RST said so")
    incoming = phone.wait_call(1)
    check(incoming.wait_acked(5), "no ACK at the phone")
    _one_call(phone)
    equal(len(phone.accepted()), 1, "connections opened to the phone")
    hang_up(incoming, call)


@scenario()
def case_6_phone_rebooted_while_ringing(world):
    """RST with an active transaction: the INVITE is sent again at once and rings the phone anew."""
    _, phone, caller, conn = _setup(world, SLOW)
    phone.script = [(0.0, 180)]
    call = caller.invite("1001")
    check(call.transaction.wait_status(180), "no 180")
    invite = phone.new_calls()[0]
    conn.reset()
    check(phone.wait(lambda: invite.copies > 1, REOPEN_DELAY + SLACK), "the INVITE was not resent")
    phone.respond(invite, 200)
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    hang_up(call, invite.call)


@scenario()
def phone_closes_with_fin_while_ringing(world):
    """FIN with transactions pending counts as dead: reopened, resent."""
    _, phone, caller, conn = _setup(world, SLOW)
    phone.script = [(0.0, 180)]
    call = caller.invite("1001")
    check(call.transaction.wait_status(180), "no 180")
    invite = phone.new_calls()[0]
    conn.close()
    check(phone.wait(lambda: invite.copies > 1, REOPEN_DELAY + SLACK), "the INVITE was not resent")
    phone.respond(invite, 200)
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    hang_up(call, invite.call)


@scenario()
def firewall_that_answers_with_a_reset(world):
    """The other sort of firewall: it says RST for what it forgot."""
    _, phone, caller, conn = _setup(world, dict(SLOW, **{"tcp-reopen-delay": "5"}))
    port = conn.local[1]
    world.firewall._mode(f"tcp dport {port} reject with tcp reset")
    began = time.monotonic()
    call = caller.invite("1001")
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    check(phone.new_calls()[0].arrivals[0] - began < 5.0, "waited although the RST said so")
    _one_call(phone)


@scenario()
def case_7_response_towards_a_caller_whose_connection_died(world):
    """The caller is behind the firewall: its 200 comes over a new connection to its Via (18.2.2)."""
    world.proxy(SLOW, EXTENSION)
    callee = world.caller("2001", transport="tcp")
    equal(callee.register().status, 200, "REGISTER")
    callee.script = [(0.0, 180)]
    phone = world.registered_phone(transport="tcp")
    call = phone.invite("2001")
    check(call.transaction.wait_status(180), "no 180")
    phone.registered_by.reset()
    callee.respond(callee.new_calls()[0], 200)
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    incoming = callee.wait_call(1)
    check(incoming.wait_acked(5), "no ACK at the callee")
    hang_up(incoming, call)


def _voip_service(world):
    """A VoIP service DN with a fixed contact in the phone's place, and its device."""
    dns = {"msml1": {"type": "voip-service", "service-type": "msml",
                     "contact": f"sip:msml1@{netns.PHONE}:5060;transport=tcp"},
           "2001": {"type": "extension"}}
    world.proxy(SLOW, dns)
    return world.phone("msml1", transport="tcp"), world.caller(transport="tcp")


@scenario()
def case_8_voip_service_is_not_reopened_within_a_transaction(world):
    service, caller = _voip_service(world)
    call, incoming = complete_call(caller, "msml1", service)
    hang_up(call, incoming)
    conn = service.accepted()[0]
    # The proxy's TCP owes nothing more, so that the INVITE is the first to meet the reset.
    eventually(lambda: conn.unacked() == 0, 5, "the proxy does not acknowledge")
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


@scenario()
def case_8_voip_service_silent_firewall(world):
    """The same when nobody says so: it fails by tcp-unacked-timeout and is not resent."""
    service, caller = _voip_service(world)
    call, incoming = complete_call(caller, "msml1", service)
    hang_up(call, incoming)
    (_, port), (peer, peer_port) = service.accepted()[0].pair
    world.firewall.forget(((netns.PHONE, port), (peer, peer_port)))
    mark = time.monotonic()
    final = caller.invite("msml1").transaction.wait_final(5 + 2 + SLACK)
    check(final is not None and final.status in (408, 480, 500, 503),
          f"final response {final and final.status}")
    equal(len(service.new_calls(mark)), 0, "INVITEs resent to the service")
    call, incoming = complete_call(caller, "msml1", service)
    hang_up(call, incoming)


@scenario()
def case_8_voip_service_next_target_is_tried(world):
    """Two bindings, one after the other: the first is dead, so the second gets the call at once."""
    world.proxy(dict(SLOW, fork="q"), {"gw": {"type": "voip-service", "service-type": "softswitch"},
                                       "2001": {"type": "extension"}})
    first, second = (world.phone("gw", i, transport="tcp") for i in range(2))
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


@scenario()
def unacked_timeout_recovers_where_suspicion_is_off(world):
    """tcp-reopen-delay = 0: the kernel's TCP_USER_TIMEOUT finds it, then reopened and resent."""
    _, phone, caller, conn = _setup(world, dict(SLOW, **{"tcp-reopen-delay": "0",
                                                         "tcp-unacked-timeout": "2"}))
    world.firewall.forget(conn.pair)
    call = caller.invite("1001")
    check(call.wait_established(2 * 2 + SLACK), f"not established: {call.transaction.statuses()}")
    _one_call(phone)
    equal(len(phone.accepted()), 1, "connections opened to the phone")
    hang_up(call, phone.wait_call(1))


def _refused(world, prepare, limit):
    """Dead connection and no way to reopen; the caller has its final response within the bound."""
    proxy, phone, caller, conn = _setup(world, SLOW)
    world.firewall.forget(conn.pair)
    phone.stop_listening()
    prepare()
    call = caller.invite("1001")
    final = call.transaction.wait_final(limit + SLACK)
    check(final is not None, f"no final response within {limit:g} s; "
                             f"got {call.transaction.statuses()}")
    equal(final.status, 480, "final response")
    equal(len(phone.new_calls()), 0, "INVITEs at the phone")
    return proxy, phone, caller, final


def _out_of_service_then_back(world, proxy, phone, caller):
    check(proxy.log_matches(r"out.of.service", 3.0), "no log line says: out of service")
    # Answered for at once while out of service.
    began = time.monotonic()
    final = caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 480, "final response while out of service")
    check(time.monotonic() - began < REOPEN_DELAY, "a DN out of service was tried again")
    # Back after REGISTER.
    world.firewall.heal()
    phone.listen()
    equal(phone.register(conn=phone.connect((netns.PROXY, 5060))).status, 200, "REGISTER")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)


@scenario()
def case_9_phone_refuses_the_new_connection(world):
    # The first connection may still heal until the bound, so a refusal alone ends nothing sooner.
    proxy, phone, caller, final = _refused(world, lambda: None, REOPEN_DELAY + CONNECT_TIMEOUT)
    check("reason" in {n.lower() for n, _ in final.headers}, "no Reason in the 480")
    _out_of_service_then_back(world, proxy, phone, caller)


@scenario()
def case_9_phone_is_unreachable(world):
    """New connections are dropped silently as well: tcp-reopen-delay and tcp-connect-timeout."""
    proxy, phone, caller, _ = _refused(world, world.firewall.drop_all,
                                       REOPEN_DELAY + CONNECT_TIMEOUT)
    _out_of_service_then_back(world, proxy, phone, caller)


@scenario()
def case_9_other_binding_is_tried(world):
    """Forked DN: the phone that lives still gets the call."""
    _, phone, caller, conn = _setup(world, SLOW)
    other = world.registered_phone(index=1, transport="tcp")
    world.firewall.forget(conn.pair)
    phone.stop_listening()
    call, incoming = complete_call(caller, "1001", other)
    hang_up(call, incoming)


@scenario()
def case_9_refused_in_dialog_request_gets_408(world):
    """A request inside a dialog that cannot be delivered: 408 at once, so that the caller ends it."""
    _, phone, caller, _ = _setup(world, SLOW)
    call, _ = complete_call(caller, "1001", phone)
    _forget_all(world, phone)
    phone.stop_listening()
    final = call.request("INFO").wait_final(REOPEN_DELAY + CONNECT_TIMEOUT + SLACK)
    equal(final and final.status, 408, "final response to INFO")


@scenario()
def case_11_stall_of_three_seconds_that_heals(world):
    """No duplicate call, no error, at most one extra connection."""
    _, phone, caller, conn = _setup(world, SLOW)
    world.firewall.drop_all()
    mark = time.monotonic()
    call = caller.invite("1001")
    caller.wait(lambda: False, 3.0)     # the stall itself
    world.firewall.heal()
    check(call.wait_established(10), f"not established: {call.transaction.statuses()}")
    incoming = phone.wait_call(1)
    check(incoming.wait_acked(5), "no ACK at the phone")
    _one_call(phone)
    check(len(phone.accepted()) <= 1, f"{len(phone.accepted())} extra connections")
    equal([s for s in call.transaction.statuses() if s >= 200][:1], [200], "final response")
    hang_up(call, incoming)
    check(len(phone.new_calls(mark)) == 1, "a duplicate came later")


@scenario()
def case_11_short_stall_tears_nothing_down(world):
    """A stall shorter than tcp-reopen-delay opens no second connection; the old one lives."""
    options = dict(SLOW, **{"tcp-reopen-delay": "4", "tcp-unacked-timeout": "20"})
    _, phone, caller, conn = _setup(world, options)
    world.firewall.drop_all()
    call = caller.invite("1001")
    check(call.transaction.wait_status(100), "no 100")
    caller.wait(lambda: False, 1.0)     # the stall itself
    world.firewall.heal()
    check(call.wait_established(10), f"not established: {call.transaction.statuses()}")
    _one_call(phone)
    equal(phone.new_calls()[0].conns, [conn], "connections on which the INVITE came")
    check(not conn.closed, "the old connection was closed")


@scenario()
def case_13_option_off_probes_nothing_reopens_nothing(world):
    options = dict(QUICK, **{"sip-enable-tcp-keep-alive": "false"})
    _, phone, caller, conn = _setup(world, options)
    capture = world.capture()
    mark = time.monotonic()
    world.firewall.forget(conn.pair)
    # Longer than keep-alive would need: not a packet on the idle connection.
    phone.wait(phone.accepted, 2 * D_QUICK)
    equal(len(capture.select("toproxy", "tcp", src=netns.PROXY, dport=conn.local[1], since=mark)),
          0, "packets on the idle connection")
    call = caller.invite("1001")
    check(not phone.wait(phone.new_calls, 4 * REOPEN_DELAY), "the INVITE reached the phone")
    equal(len(phone.accepted()), 0, "connections opened to the phone")
    equal(len(capture.select("toproxy", "tcp", dst=netns.PHONE, flag="SYN", since=mark)), 0,
          "SYNs towards the phone")
    check(call.transaction.final is None or call.transaction.final.status >= 400,
          "a call that cannot have been answered was")


@scenario()
def case_13_option_off_new_transaction_after_a_reset(world):
    """With the option off a connection that said it is dead is still replaced for new calls."""
    options = dict(SLOW, **{"sip-enable-tcp-keep-alive": "false"})
    _, phone, caller, conn = _setup(world, options)
    conn.reset()
    eventually(lambda: _proxy_end_gone(world, conn), 3, "the proxy still holds the connection")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)
    _one_call(phone)


@scenario()
def phone_registers_again_over_a_new_connection(world):
    """The phone noticed first: it registers over a new connection, calls use that one."""
    _, phone, caller, conn = _setup(world, SLOW)
    world.firewall.forget(conn.pair)
    fresh = phone.connect((netns.PROXY, 5060))
    equal(phone.register(conn=fresh).status, 200, "REGISTER")
    call, incoming = complete_call(caller, "1001", phone)
    equal(phone.new_calls()[0].conns, [fresh], "connection of the INVITE")
    hang_up(incoming, call)


@scenario(timeout=90)
def fifty_phones_die_together(world):
    """Many connections forgotten at once with calls under way: every call arrives once."""
    world.proxy(SLOW, {**{f"{1100 + i}": {"type": "extension"} for i in range(50)}, **EXTENSION})
    phones = []
    for i in range(50):
        phone = world.phone(str(1100 + i), 0, port=5100 + i, transport="tcp")
        equal(phone.register().status, 200, f"REGISTER of {phone.user}")
        phones.append(phone)
    caller = world.caller(transport="tcp")
    world.firewall.forget(*[p.registered_by.pair for p in phones])
    calls = [caller.invite(p.user) for p in phones]
    for call, phone in zip(calls, phones):
        check(call.wait_established(20), f"{phone.user}: {call.transaction.statuses()}")
        equal(len(phone.new_calls()), 1, f"calls at {phone.user}")
        check(len(phone.accepted()) <= 1, f"{phone.user}: more than one new connection")
