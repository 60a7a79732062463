# SPDX-License-Identifier: Apache-2.0
"""Calls between devices of the harness: forwarding, forking, cancelling, order, address families."""

from lib import netns
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario
from lib.sip import Uri, uri_of


def _answered(world, caller_transport, phone_transport, options=None):
    world.proxy(options)
    phone = world.registered_phone(transport=phone_transport)
    caller = world.caller(transport=caller_transport)
    call, incoming = complete_call(caller, "1001", phone)
    check(180 in call.transaction.statuses(), "the caller did not see the 180")
    equal(len(phone.new_calls()), 1, "calls at the phone")
    return caller, phone, call, incoming


def _record_routes(incoming):
    """(transport, host) of each Record-Route the callee got."""
    uris = [Uri(uri_of(r)) for r in incoming.invite.all("record-route")]
    return [(u.transport or "udp", u.host) for u in uris]


@scenario()
def call_over_udp(world):
    _, _, call, incoming = _answered(world, "udp", "udp")
    hang_up(call, incoming)


@scenario()
def call_over_tcp(world):
    _, phone, call, incoming = _answered(world, "tcp", "tcp")
    equal(phone.new_calls()[0].conns, [phone.registered_by], "connection of the INVITE")
    hang_up(incoming, call)


@scenario()
def call_from_udp_to_tcp(world):
    """RFC 5658: where the transport changes, two Record-Route values, one for each side."""
    _, _, call, incoming = _answered(world, "udp", "tcp")
    equal([t for t, _ in _record_routes(incoming)], ["tcp", "udp"], "Record-Route transports")
    final = call.reinvite().wait_final(5)
    equal(final and final.status, 200, "re-INVITE")
    hang_up(incoming, call)


@scenario()
def call_from_tcp_to_udp(world):
    _, _, call, incoming = _answered(world, "tcp", "udp")
    equal([t for t, _ in _record_routes(incoming)], ["udp", "tcp"], "Record-Route transports")
    final = incoming.reinvite().wait_final(5)
    equal(final and final.status, 200, "re-INVITE from the callee")
    hang_up(call, incoming)


@scenario()
def call_over_ipv6(world):
    world.proxy()
    phone = world.phone6(transport="tcp")
    equal(phone.register().status, 200, "REGISTER over IPv6")
    caller = world.caller6(transport="udp")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(incoming, call)


@scenario()
def call_from_ipv4_to_ipv6(world):
    """RFC 5658 again: the address family changes."""
    world.proxy()
    phone = world.phone6(transport="udp")
    equal(phone.register().status, 200, "REGISTER over IPv6")
    caller = world.caller(transport="udp")
    call, incoming = complete_call(caller, "1001", phone)
    hosts = [":" in h for _, h in _record_routes(incoming)]
    equal(hosts, [True, False], "Record-Route families, IPv6 first")
    hang_up(call, incoming)
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(incoming, call)


@scenario()
def reinvite_in_dialog_goes_by_the_route_set(world):
    _, phone, call, incoming = _answered(world, "tcp", "tcp")
    final = call.reinvite().wait_final(5)
    equal(final and final.status, 200, "re-INVITE from the caller")
    check(incoming.wait_request("INVITE"), "the callee did not get the re-INVITE")
    final = incoming.reinvite().wait_final(5)
    equal(final and final.status, 200, "re-INVITE from the callee")
    equal(len(phone.new_calls()), 1, "calls at the phone")
    for method in ("INFO", "UPDATE", "OPTIONS", "MESSAGE", "X-UNKNOWN"):
        final = call.request(method).wait_final(5)
        equal(final and final.status, 200, f"{method} inside the dialog")
    hang_up(call, incoming)


@scenario()
def calls_without_record_route_end_between_the_devices(world):
    world.proxy({"record-route": "false"})
    # They talk to each other past the proxy, so its host has to be a router for once.
    world.net.proxy.sysctl(ipv4__ip_forward=1)
    world.net.fw.ip("route", "add", "10.77.8.0/24", "via", netns.PROXY)
    phone = world.registered_phone(transport="udp")
    caller = world.caller(transport="udp")
    call, incoming = complete_call(caller, "1001", phone)
    equal(incoming.invite.all("record-route"), [], "Record-Route")
    hang_up(call, incoming)


def _cancel(world, transport):
    world.proxy()
    phone = world.registered_phone(transport=transport)
    phone.script = [(0.0, 180)]
    caller = world.caller(transport=transport)
    call = caller.invite("1001")
    check(call.transaction.wait_status(180), "no 180")
    equal(call.cancel().wait_final(5).status, 200, "response to CANCEL")
    final = call.transaction.wait_final(5)
    equal(final and final.status, 487, "final response to the cancelled INVITE")
    equal(len(phone.transactions("CANCEL")), 1, "CANCELs at the phone")
    invite = phone.new_calls()[0]
    check(phone.wait(lambda: invite.acks, 5), "the phone's 487 was not acknowledged")


@scenario()
def cancel_over_udp(world):
    _cancel(world, "udp")


@scenario()
def cancel_over_tcp(world):
    _cancel(world, "tcp")


@scenario()
def cancel_before_any_response_of_the_phone(world):
    """RFC 3261 9.1: the CANCEL waits at the proxy until the phone has answered something."""
    world.proxy()
    phone = world.registered_phone(transport="tcp")
    phone.script = [(0.4, 180)]
    caller = world.caller(transport="tcp")
    call = caller.invite("1001")
    check(call.transaction.wait_status(100), "no 100 from the proxy")
    check(phone.wait_transaction("INVITE"), "the phone has no INVITE")
    call.cancel()
    final = call.transaction.wait_final(5)
    equal(final and final.status, 487, "final response")
    cancel = phone.wait_transaction("CANCEL")
    check(cancel, "the phone was not cancelled")
    first = next(e for e in phone.seen("out", status=180))
    check(cancel.arrivals[0] >= first.t, "the CANCEL came before the phone had answered")


@scenario()
def reject_is_passed_on(world):
    world.proxy()
    phone = world.registered_phone(transport="tcp")
    caller = world.caller(transport="udp")
    for status in (486, 603, 404, 302):
        phone.script = [(0.0, 180), (0.05, status)]
        before = len(phone.new_calls())
        call = caller.invite("1001")
        final = call.transaction.wait_final(5)
        equal(final and final.status, status, "final response")
        invite = phone.new_calls()[before]
        check(phone.wait(lambda: invite.acks, 5), f"the {status} was not acknowledged")


@scenario()
def no_answer_ends_by_timer_c(world):
    """RFC 3261 16.6 step 11, 16.8: after a provisional response the branch is cancelled, 408 upstream."""
    world.proxy({"timer-c": "2"})
    phone = world.registered_phone(transport="tcp")
    phone.script = [(0.0, 180)]
    caller = world.caller(transport="tcp")
    call = caller.invite("1001")
    check(call.transaction.wait_status(180), "no 180")
    final = call.transaction.wait_final(10)
    check(final is not None, "no final response")
    check(final.status in (408, 487), f"final response {final.status}")
    check(phone.wait_transaction("CANCEL"), "the phone rings on")


@scenario(timeout=90)
def silent_phone_over_udp_ends_by_timer_b(world):
    """RFC 3261 17.1.1.2: repeated as Timer A says, until Timer B = 64 * T1; then 408."""
    world.proxy({"timer-t1": "100ms"})
    phone = world.registered_phone(transport="udp")
    phone.silent = {"INVITE"}
    caller = world.caller(transport="udp")
    call = caller.invite("1001")
    final = call.transaction.wait_final(40)
    equal(final and final.status, 408, "final response")
    equal(len(phone.new_calls()), 1, "INVITE transactions at the phone")
    check(phone.new_calls()[0].copies >= 6, "the INVITE was not repeated as Timer A says")


@scenario()
def forked_call_first_answer_wins(world):
    world.proxy()
    fast = world.registered_phone(index=0, transport="tcp")
    slow = world.registered_phone(index=1, transport="udp")
    slow.script = [(0.0, 180)]
    fast.script = [(0.0, 180), (0.3, 200)]
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", fast)
    check(slow.wait_transaction("CANCEL"), "the other phone rings on")
    lost = slow.new_calls()[0]
    check(slow.wait(lambda: lost.acks, 5), "the other phone's 487 was not acknowledged")
    equal([s for s in call.transaction.statuses() if s >= 200], [200], "final responses upstream")
    hang_up(call, incoming)


@scenario()
def forked_call_both_answer(world):
    """RFC 3261 16.7 step 5: every 2xx goes upstream, also a late one."""
    world.proxy()
    one = world.registered_phone(index=0, transport="tcp")
    two = world.registered_phone(index=1, transport="tcp")
    for phone in (one, two):
        phone.script = [(0.0, 180), (0.2, 200)]
    caller = world.caller(transport="udp")
    call = caller.invite("1001")
    check(call.wait_established(5), "no 200")

    def settled():
        tags = {m.tag("to") for _, m, _ in call.transaction.responses if m.status == 200}
        answered = sum(1 for p in (one, two) for c in p.calls if c.established)
        return len(tags) == answered and all(c.acked for p in (one, two) for c in p.calls
                                             if c.established)
    check(caller.wait(settled, 5), "a 2xx was lost, or its ACK")


@scenario()
def forked_call_best_of_failures(world):
    """RFC 3261 16.7 step 6: a 6xx wins; it cancels the other branch."""
    world.proxy()
    one = world.registered_phone(index=0, transport="tcp")
    two = world.registered_phone(index=1, transport="tcp")
    caller = world.caller(transport="tcp")
    one.script, two.script = [(0.0, 180), (0.1, 486)], [(0.0, 180), (0.2, 404)]
    final = caller.invite("1001").transaction.wait_final(5)
    check(final and final.status in (486, 404), f"best of 486 and 404: {final and final.status}")
    one.script, two.script = [(0.0, 180), (0.2, 603)], [(0.0, 180)]
    final = caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 603, "best response")
    check(two.wait_transaction("CANCEL"), "the 6xx did not cancel the other branch")


@scenario()
def sequential_fork_tries_one_after_the_other(world):
    world.proxy({"fork": "sequential"})
    one = world.registered_phone(index=0, transport="tcp")
    two = world.registered_phone(index=1, transport="tcp")
    for phone in (one, two):
        phone.script = [(0.0, 180), (0.15, 486)]
    caller = world.caller(transport="tcp")
    final = caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 486, "final response")
    starts = sorted((p.new_calls()[0].arrivals[0], p) for p in (one, two))
    ended = starts[0][1].seen("out", status=486)[0].t
    check(starts[1][0] >= ended, "the second was tried before the first had ended")


@scenario(timeout=120)
def ringing_and_answer_stay_in_order(world):
    """180 and 200 sent back to back, 200 times: the caller never sees the 180 after the 200."""
    world.proxy()
    phone = world.registered_phone(transport="tcp")
    phone.script = [(0.0, 180), (0.0, 200)]
    phone.retransmit_2xx = False
    caller = world.caller(transport="tcp")
    for number in range(200):
        call = caller.invite("1001")
        check(call.wait_established(5), f"call {number} not established")
        check(caller.wait(lambda: 180 in call.transaction.statuses(), 2), f"180 of call {number}")
        seen = [s for s in call.transaction.statuses() if s > 100]
        equal(seen[:2], [180, 200], f"order of responses in call {number}")


@scenario(timeout=90)
def requests_of_one_call_stay_in_order(world):
    """ACK and INFOs sent back to back leave in the order in which they came."""
    world.proxy()
    phone = world.registered_phone(transport="tcp")
    caller = world.caller(transport="tcp")
    for _ in range(10):
        call, incoming = complete_call(caller, "1001", phone)
        pending = [call.request("INFO") for _ in range(20)]
        for txn in pending:
            equal(txn.wait_final(5) and txn.final.status, 200, "INFO")
        numbers = [m.cseq[0] for m in incoming.requests if m.method == "INFO"]
        equal(numbers, sorted(numbers), "order of CSeq")
        hang_up(call, incoming)


@scenario()
def large_request_goes_by_tcp_where_the_peer_has_it(world):
    """RFC 3261 18.1.1: above 1300 bytes a congestion controlled transport is used."""
    world.proxy()
    phone = world.registered_phone(transport="udp")
    caller = world.caller(transport="tcp")
    body = b"v=0\r\n" + b"a=x-filler:" + b"x" * 3000 + b"\r\n"
    call, incoming = complete_call(caller, "1001", phone, body=body)
    equal(incoming.invite.body, body, "body at the phone")
    equal(phone.new_calls()[0].conns[0].transport, "tcp", "transport of the large request")
    hang_up(call, incoming)


@scenario()
def large_request_falls_back_to_udp(world):
    """The same towards a phone that has no TCP."""
    world.proxy()
    phone = world.registered_phone(transport="udp", tcp=False)
    caller = world.caller(transport="tcp")
    body = b"v=0\r\n" + b"a=x-filler:" + b"x" * 3000 + b"\r\n"
    call, incoming = complete_call(caller, "1001", phone, body=body)
    equal(incoming.invite.body, body, "body at the phone")
    equal(phone.new_calls()[0].conns[0].transport, "udp", "transport of the large request")
    equal(len(phone.new_calls()), 1, "calls at the phone")
    hang_up(call, incoming)


@scenario(timeout=120)
def calls_survive_packet_loss_over_udp(world):
    """A fifth of the datagrams is lost in both directions; retransmission repairs every call."""
    world.proxy()
    phone = world.registered_phone(transport="udp")
    caller = world.caller(transport="udp")
    world.firewall.lose(20)
    calls = []
    # Datagrams of one turn to one address pass the firewall as one: it may take some calls until
    # both directions have lost one.
    while len(calls) < 12 or (min(world.firewall.dropped()) == 0 and len(calls) < 48):
        calls += [caller.invite("1001") for _ in range(6)]
        for call in calls[-6:]:
            check(call.wait_established(30), f"call not established: {call.transaction.statuses()}")
    equal(len(phone.new_calls()), len(calls), "INVITE transactions at the phone")
    check(min(world.firewall.dropped()) > 0, "the firewall dropped nothing in one direction")
    ends = [call.bye() for call in calls]
    for txn in ends:
        equal(txn.wait_final(30) and txn.final.status, 200, "BYE")


@scenario()
def first_datagram_of_every_pair_lost(world):
    world.proxy()
    phone = world.registered_phone(transport="udp")
    caller = world.caller(transport="udp")
    world.firewall.lose_every(2, "toproxy")
    for _ in range(3):
        call, incoming = complete_call(caller, "1001", phone)
        hang_up(call, incoming)
    equal(len(phone.new_calls()), 3, "INVITE transactions at the phone")
    check(world.firewall.dropped()[0] > 0, "the firewall dropped nothing")


@scenario()
def lost_packets_over_tcp_are_the_kernels_matter(world):
    """Random loss on TCP costs time, no call and no duplicate."""
    world.proxy()
    phone = world.registered_phone(transport="tcp")
    caller = world.caller(transport="tcp")
    world.firewall.lose(10, "meta l4proto tcp")
    for _ in range(5):
        call, incoming = complete_call(caller, "1001", phone, timeout=20)
        hang_up(call, incoming, 20)
    equal(len(phone.new_calls()), 5, "INVITE transactions at the phone")


@scenario()
def phone_on_the_proxys_own_host(world):
    """Our address with a foreign port is not us: a phone on the same host is reached through it."""
    world.proxy()
    phone = world._device(world.net.proxy, netns.PROXY, "1001", (netns.PROXY, 5060),
                          {"port": 5070, "transport": "tcp"})
    equal(phone.register().status, 200, "REGISTER")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)
    call = caller.invite("1001", uri=f"sip:1001@{netns.PROXY}:5070;transport=tcp")
    check(call.wait_established(5), "the phone's own URI through the proxy")
    eventually(lambda: len(phone.new_calls()) == 2, 2, "the second call did not arrive")
