# SPDX-License-Identifier: Apache-2.0
"""Release: where one side of a call cannot be reached any more, it ends for all others, now."""

from lib import netns
from lib.recovery import (ALL, BRISK, CONNECT_TIMEOUT, CROSS, EXTENSION, REOPEN_DELAY, Rig, SLACK,
                          TCP, TLS, settled, with_tls)
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario

LIMIT = REOPEN_DELAY + CONNECT_TIMEOUT


def _no_calls(proxy, text="records of calls"):
    eventually(lambda: proxy.counters()["calls"] == 0, 5, f"{text} are left", 0.1)


def _released(rig, call, txn, limit=LIMIT):
    """The request gets 408, then the caller gets BYE and the record is gone."""
    final = txn.wait_final(limit + SLACK)
    equal(final and final.status, 408, f"final response to {txn.method}")
    check(call.wait_ended(5), "the caller did not get BYE")
    bye = call.requests[-1]
    equal(bye.method, "BYE", "last request to the caller")
    check(bye.get("reason").upper().startswith("SIP"), f"Reason of the BYE: {bye.get('reason')!r}")
    _no_calls(rig.proxy)
    check(rig.proxy.counters()["calls_released"] == 1, "calls_released")


@scenario()
def records_of_calls_come_and_go(world):
    rig = Rig(world)
    call, incoming = rig.complete_call()
    equal(rig.proxy.counters()["calls"], 1, "calls")
    hang_up(call, incoming)
    _no_calls(rig.proxy)
    call, incoming = rig.complete_call()
    hang_up(incoming, call)
    _no_calls(rig.proxy)
    rig.phone.script = [(0.0, 180), (0.0, 486)]
    equal(rig.caller.invite("1001").transaction.wait_final(5).status, 486, "final response")
    _no_calls(rig.proxy)
    call, _ = rig.ring()
    equal(rig.proxy.counters()["calls"], 1, "calls while it rings")
    call.cancel()
    equal(call.transaction.wait_final(5).status, 487, "final response")
    _no_calls(rig.proxy)


@scenario(way=ALL)
def callee_gone_for_good_reinvite_releases(world, way):
    """The reopening is refused: 408 at once, BYE to the caller; who comes back finds no ghost."""
    rig = Rig(world, way)
    call, _ = rig.complete_call()
    rig.phone.stop_listening()
    rig.reboot()
    rig.mark()
    _released(rig, call, call.reinvite(), CONNECT_TIMEOUT)
    # The phone comes back: not one request of the old call reaches it.
    rig.phone.listen()
    rig.phone.calls.clear()
    fresh = rig.phone.connect(rig.phone.proxy_at(rig.transport), transport=rig.transport)
    equal(rig.phone.register(conn=fresh).status, 200, "REGISTER")
    new, incoming = rig.complete_call()
    equal([e.msg.brief() for e in rig.phone.seen(since=rig.since)
           if e.msg.call_id == call.call_id], [], "messages of the old call")
    hang_up(new, incoming)


@scenario(way=CROSS)
def callee_unreachable_info_releases(world, way):
    """The same where nobody says so: within tcp-reopen-delay and tcp-connect-timeout."""
    rig = Rig(world, way)
    call, _ = rig.complete_call()
    world.firewall.drop_all()
    _released(rig, call, call.request("INFO"))


@scenario(way=CROSS)
def callee_unreachable_update_releases(world, way):
    rig = Rig(world, way)
    call, _ = rig.complete_call()
    rig.reachable_no_more()
    _released(rig, call, call.request("UPDATE"))


@scenario(way=CROSS)
def bye_to_a_callee_that_is_gone(world, way):
    """408, and no BYE back to the one who has hung up; the record is gone."""
    rig = Rig(world, way)
    call, _ = rig.complete_call()
    rig.reachable_no_more()
    final = call.bye().wait_final(LIMIT + SLACK)
    equal(final and final.status, 408, "final response to BYE")
    _no_calls(rig.proxy)
    equal([m.method for m in call.requests], [], "requests to the caller")


def _message_to_a_phone_that_is_gone(rig):
    """Final status of a MESSAGE from the caller."""
    rig.reachable_no_more()
    txn = rig.caller.request("MESSAGE", rig.caller.aor("1001"), body=b"hello",
                             headers=[("Content-Type", "text/plain")])
    final = txn.wait_final(LIMIT + SLACK)
    return final and final.status


@scenario(way=CROSS)
def other_requests_to_a_phone_that_is_gone(world, way):
    """Outside a dialog: 480 to a device."""
    rig = Rig(world, way)
    equal(rig.caller.register().status, 200, "REGISTER of the caller")
    equal(_message_to_a_phone_that_is_gone(rig), 480, "final response to MESSAGE")


@scenario(way=CROSS)
def other_requests_of_a_server_to_a_phone_that_is_gone(world, way):
    """One that may relay and is no device of ours: 503, so that it tries another way."""
    rig = Rig(world, way)
    equal(_message_to_a_phone_that_is_gone(rig), 503, "final response to MESSAGE")


@scenario(way=CROSS)
def two_calls_of_a_phone_that_is_gone_are_both_released(world, way):
    """Each when it has something to send; on whichever worker it lives."""
    rig = Rig(world, way)
    calls = [rig.complete_call()[0] for _ in range(4)]
    equal(rig.proxy.counters()["calls"], 4, "calls")
    rig.reachable_no_more()
    txns = [call.request("INFO") for call in calls]
    for call, txn in zip(calls, txns):
        final = txn.wait_final(LIMIT + SLACK)
        equal(final and final.status, 408, "final response to INFO")
        check(call.wait_ended(5), "the caller did not get BYE")
    _no_calls(rig.proxy)
    equal(rig.proxy.counters()["calls_released"], 4, "calls_released")


@scenario(way=(TCP, TLS))
def other_branch_goes_on_when_one_phone_is_gone(world, way):
    """Two phones ring; one dies and cannot be reached: the other one's answer still counts."""
    rig = Rig(world, way)
    other = world.registered_phone("1001", 1, transport=way.transport)
    other.script = [(0.0, 180)]
    call, _ = rig.ring()
    check(other.wait(other.new_calls, 5), "the other phone does not ring")
    rig.phone.stop_listening()
    rig.conn.reset()
    invite = other.new_calls()[0]
    other.respond(invite, 200)
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    check(invite.call.wait_acked(5), "no ACK at the other phone")
    hang_up(call, invite.call)


# --- the caller is gone --------------------------------------------------------------------------


def _ringing_at_callee(world, way):
    """A phone behind the firewall calls; it rings at a callee whose connection lives."""
    options = dict(BRISK, **{"tcp-unacked-timeout": "1"})
    proxy = world.proxy(with_tls(world, way.transport, options), EXTENSION)
    callee = world.caller("2001", transport="tcp")
    equal(callee.register().status, 200, "REGISTER")
    callee.script = [(0.0, 180)]
    phone = world.registered_phone(transport=way.transport)
    call = phone.invite("2001")
    check(call.transaction.wait_status(180), "no 180")
    return proxy, phone, callee, callee.new_calls()[0]


@scenario(way=(TCP, TLS))
def caller_gone_when_the_answer_comes(world, way):
    """The 200 goes into a dead connection and cannot be delivered: the callee has ACK and BYE."""
    proxy, phone, callee, invite = _ringing_at_callee(world, way)
    settled(world, phone.registered_by)
    phone.stop_listening()
    world.firewall.forget(phone.registered_by.pair)
    callee.respond(invite, 200)
    check(invite.call.wait_ended(1.0 + CONNECT_TIMEOUT + 2 * SLACK), "the callee did not get BYE")
    equal(invite.call.requests[-1].method, "BYE", "last request to the callee")
    check(invite.acks, "the callee's 200 was not acknowledged before the BYE")
    _no_calls(proxy)


@scenario(way=(TCP, TLS))
def caller_gone_while_ringing(world, way):
    """Its connection was reset and it takes no other: nobody rings on for a dead caller."""
    proxy, phone, callee, invite = _ringing_at_callee(world, way)
    phone.stop_listening()
    phone.registered_by.reset()
    callee.respond(invite, 183)
    check(callee.wait_transaction("CANCEL", CONNECT_TIMEOUT + 2 * SLACK), "the callee rings on")
    check(callee.wait(lambda: invite.final_sent, 5), "the callee's INVITE has no final response")
    _no_calls(proxy)


@scenario(way=(TCP, TLS))
def caller_gone_for_good_reinvite_releases(world, way):
    """The callee has something to say in an established call: 408 and BYE for it."""
    proxy, phone, callee, invite = _ringing_at_callee(world, way)
    callee.respond(invite, 200)
    check(invite.call.wait_acked(5), "no ACK at the callee")
    phone.stop_listening()
    phone.registered_by.reset()
    final = invite.call.reinvite().wait_final(CONNECT_TIMEOUT + 2 * SLACK)
    equal(final and final.status, 408, "final response to re-INVITE")
    check(invite.call.wait_ended(5), "the callee did not get BYE")
    _no_calls(proxy)


# --- calls that vanish ---------------------------------------------------------------------------


@scenario()
def record_of_a_silent_call_ends_by_call_timeout(world):
    """Only the record: the devices may talk on, and their BYE still passes."""
    rig = Rig(world, options=dict(BRISK, **{"call-timeout": "1"}))
    call, incoming = rig.complete_call()
    eventually(lambda: rig.proxy.counters()["calls_vanished"] == 1, 1.0 + 2 * SLACK,
               "the record did not vanish")
    _no_calls(rig.proxy)
    hang_up(call, incoming)


@scenario()
def more_calls_than_max_calls_go_on_without_a_record(world):
    """The ceiling, of each worker: calls above it are placed all the same, and counted."""
    rig = Rig(world, options=dict(BRISK, **{"max-calls": 1}))
    calls = [rig.complete_call() for _ in range(4)]
    found = rig.proxy.counters()
    check(found["calls"] <= world.workers, f"calls {found['calls']}")
    check(found["calls_unrecorded"] >= 4 - world.workers, f"unrecorded {found['calls_unrecorded']}")
    for call, incoming in calls:
        hang_up(call, incoming)
    _no_calls(rig.proxy)


@scenario()
def release_of_a_call_whose_phone_has_moved(world):
    """The phone re-registers from another address; what the caller sends into the old dialog cannot
    arrive: released, and the new registration is not out of service for it."""
    rig = Rig(world)
    call, _ = rig.complete_call()
    world.firewall.vanish(netns.PHONE)
    moved = world.registered_phone("1001", 1, transport="tcp")
    _released(rig, call, call.request("INFO"))
    call, incoming = complete_call(rig.caller, "1001", moved, timeout=LIMIT + SLACK)
    hang_up(call, incoming)
