# SPDX-License-Identifier: Apache-2.0
"""Requests onto connections that have died (cases 3 to 7 of the recovery design)."""

import time

from lib.recovery import (ALL, BRISK, CROSS, D_QUICK, QUICK, REOPEN_DELAY, Rig, SAID, SLACK, SLOW,
                          TCP, TLS, with_tls, EXTENSION)
from lib.scenario import check, equal, hang_up, scenario


@scenario(way=ALL)
def case_3_call_onto_a_connection_that_died_unnoticed(world, way):
    """With the shipped times."""
    rig = Rig(world, way, SLOW)
    rig.forget()
    began = time.monotonic()
    call = rig.caller.invite("1001")
    limit = 1.0 + float(SLOW["tcp-reopen-delay"]) + SLACK
    check(rig.phone.wait(rig.new_calls, limit), "the INVITE was not delivered in time")
    invite = rig.new_calls()[0]
    check(invite.arrivals[0] - began <= limit, "the INVITE came too late")
    incoming = rig.established(call)
    rig.one_call()
    equal(invite.copies, 1, "copies of the INVITE that reached the phone")
    check(world.firewall.dropped()[0] > 0, "the INVITE was never sent into the dead connection")
    rig.only_one_fresh()
    hang_up(call, incoming)
    # The next call uses the new connection at once.
    call, incoming = rig.complete_call()
    rig.only_one_fresh()
    hang_up(incoming, call)


@scenario(way=ALL)
def case_3_calls_waiting_on_one_dead_connection(world, way):
    """One reopening for all that wait, whichever worker they are on; resent in order, each once."""
    rig = Rig(world, way)
    rig.forget()
    calls = [rig.caller.invite("1001") for _ in range(6)]
    for call in calls:
        check(call.wait_established(10), f"not established: {call.transaction.statuses()}")
    equal(len(rig.new_calls()), 6, "INVITE transactions at the phone")
    equal([t.copies for t in rig.new_calls()], [1] * 6, "copies of each INVITE")
    rig.only_one_fresh()
    check(world.firewall.dropped()[0] > 0, "nothing was sent into the dead connection")
    if world.workers == 1:
        equal([t.request.call_id for t in rig.new_calls()], [c.call_id for c in calls],
              "order of the INVITEs")


def _in_dialog_onto_dead(world, way, method, act, before=None):
    """An established call, the firewall forgets, `act`: the request arrives once and is answered."""
    rig = Rig(world, way)
    call, incoming = rig.complete_call()
    if before:
        before(call)
    rig.forget()
    rig.mark()
    final = act(call).wait_final(1.0 + REOPEN_DELAY + SLACK)
    equal(final and final.status, 200, f"final response to {method}")
    equal(len(rig.phone.transactions(method, rig.since)), 1, f"{method} transactions at the phone")
    rig.only_one_fresh()
    return rig, call, incoming


@scenario(way=ALL)
def case_4_bye_onto_a_dead_connection(world, way):
    _, _, incoming = _in_dialog_onto_dead(world, way, "BYE", lambda call: call.bye())
    check(incoming.ended, "the phone's call goes on")


@scenario(way=ALL)
def case_4_reinvite_onto_a_dead_connection(world, way):
    rig, call, incoming = _in_dialog_onto_dead(world, way, "INVITE", lambda call: call.reinvite())
    reinvite = rig.phone.transactions("INVITE")[-1]
    check(rig.phone.wait(lambda: reinvite.acks, 5), "the ACK of the re-INVITE's 2xx did not arrive")
    hang_up(call, incoming)


@scenario(way=ALL)
def case_4_info_onto_a_dead_connection(world, way):
    _, call, incoming = _in_dialog_onto_dead(world, way, "INFO", lambda call: call.request("INFO"))
    hang_up(call, incoming)


@scenario(way=ALL)
def case_4_update_onto_a_dead_connection(world, way):
    _, call, incoming = _in_dialog_onto_dead(world, way, "UPDATE",
                                             lambda call: call.request("UPDATE"))
    hang_up(incoming, call)


@scenario(way=ALL)
def case_4_ack_onto_a_dead_connection(world, way):
    """The 2xx came through, its ACK goes into nothing: it is sent again over the new connection."""
    rig = Rig(world, way)
    rig.caller.hold_acks = True
    call = rig.caller.invite("1001")
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    rig.forget()
    call.acknowledge()
    incoming = rig.incoming()
    check(incoming.wait_acked(1.0 + REOPEN_DELAY + SLACK), "the ACK did not reach the phone")
    check(len(rig.fresh()) <= 1, "more than one new connection")
    rig.caller.hold_acks = False
    hang_up(call, incoming)


@scenario(way=ALL)
def case_4_cancel_onto_a_dead_connection(world, way):
    """An ACK or CANCEL never before its INVITE: the phone gets both copies in order and stops."""
    rig = Rig(world, way)
    call, invite = rig.ring()
    rig.forget()
    equal(call.cancel().wait_final(5).status, 200, "response to CANCEL")
    final = call.transaction.wait_final(1.0 + REOPEN_DELAY + SLACK)
    equal(final and final.status, 487, "final response to the INVITE")
    equal(len(rig.phone.transactions("CANCEL")), 1, "CANCELs at the phone")
    cancel = rig.phone.transactions("CANCEL")[0]
    order = [e.msg.method for e in rig.phone.seen()
             if e.conn is cancel.conn and e.msg.method and e.msg.call_id == call.call_id]
    check("INVITE" not in order or order.index("INVITE") < order.index("CANCEL"),
          f"order on the new connection: {order}")
    check(invite.arrivals[0] < cancel.arrivals[0], "the CANCEL came before the INVITE")
    rig.one_call()


@scenario(way=ALL)
def case_4_cancel_of_an_invite_that_never_arrived(world, way):
    """INVITE and CANCEL both went into the dead connection."""
    rig = Rig(world, way)
    rig.phone.script = [(0.0, 180)]
    rig.forget()
    call = rig.caller.invite("1001")
    check(call.transaction.wait_status(100), "no 100")
    equal(call.cancel().wait_final(5).status, 200, "response to CANCEL")
    final = call.transaction.wait_final(1.0 + REOPEN_DELAY + SLACK)
    equal(final and final.status, 487, "final response to the INVITE")
    # The phone is left alone, or hears both in order; it never rings on.
    arrived = [e.msg.method for e in rig.phone.seen(since=rig.since)
               if e.msg.method and e.msg.call_id == call.call_id]
    check(arrived[:1] in ([], ["INVITE"]), f"order at the phone: {arrived}")
    check(rig.phone.wait(lambda: all(t.final_sent for t in rig.new_calls()), 5),
          "the phone rings on")


@scenario(way=ALL)
def case_5_connection_dies_while_ringing(world, way):
    """Found by keep-alive, INVITE resent on a new connection, the phone's 200 reaches the caller."""
    rig = Rig(world, way, QUICK)
    call, invite = rig.ring()
    rig.forget()
    check(rig.phone.wait(lambda: invite.copies > 1, 2 * D_QUICK + 1.0 + SLACK),
          "the INVITE was not sent again")
    rig.only_one_fresh()
    rig.phone.respond(invite, 200)
    incoming = rig.established(call)
    rig.one_call()
    equal(invite.copies, 2, "copies of the INVITE")
    hang_up(call, incoming)


@scenario(way=CROSS)
def case_5_several_calls_ring_when_the_connection_dies(world, way):
    """One reopening; each INVITE once more on it, whichever worker it is on."""
    rig = Rig(world, way, QUICK)
    rig.phone.script = [(0.0, 180)]
    calls = [rig.caller.invite("1001") for _ in range(5)]
    for call in calls:
        check(call.transaction.wait_status(180), "no 180")
    rig.forget()
    check(rig.phone.wait(lambda: all(t.copies > 1 for t in rig.new_calls()), 2 * D_QUICK + SLACK),
          "not every INVITE was sent again")
    rig.only_one_fresh()
    for invite in rig.new_calls():
        rig.phone.respond(invite, 200)
    for call in calls:
        check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    equal([t.copies for t in rig.new_calls()], [2] * 5, "copies of each INVITE")


@scenario(way=ALL)
def case_6_phone_rebooted(world, way):
    """RST on first use: reopened and resent at once."""
    rig = Rig(world, way, SAID)
    rig.reboot()
    rig.mark()
    call = rig.caller.invite("1001")
    incoming = rig.established(call)
    rig.one_call()
    rig.only_one_fresh()
    hang_up(incoming, call)


@scenario(way=ALL)
def case_6_phone_rebooted_during_a_call(world, way):
    """BYE meets the reset: it arrives over the new connection."""
    rig = Rig(world, way, SAID)
    call, incoming = rig.complete_call()
    rig.reboot()
    rig.mark()
    hang_up(call, incoming)
    equal(len(rig.phone.transactions("BYE", rig.since)), 1, "BYEs at the phone")
    rig.only_one_fresh()


@scenario(way=ALL)
def case_6_phone_rebooted_while_ringing(world, way):
    """RST with an active transaction: the INVITE is sent again at once and rings the phone anew."""
    rig = Rig(world, way, SAID)
    call, invite = rig.ring()
    rig.conn.reset()
    check(rig.phone.wait(lambda: invite.copies > 1, 5), "the INVITE was not resent")
    rig.phone.respond(invite, 200)
    incoming = rig.established(call)
    rig.one_call()
    rig.only_one_fresh()
    hang_up(call, incoming)


@scenario(way=ALL)
def phone_closes_with_fin_while_ringing(world, way):
    """FIN, over TLS after close_notify, with a transaction pending: reopened, resent."""
    rig = Rig(world, way, SAID)
    call, invite = rig.ring()
    rig.conn.close()
    check(rig.phone.wait(lambda: invite.copies > 1, 5), "the INVITE was not resent")
    rig.phone.respond(invite, 200)
    incoming = rig.established(call)
    rig.one_call()
    rig.only_one_fresh()
    hang_up(call, incoming)


@scenario(way=ALL)
def firewall_that_answers_with_a_reset(world, way):
    """The other sort of firewall: it says RST for what it forgot."""
    rig = Rig(world, way, SAID)
    world.firewall.reset_connection(rig.conn.pair)
    rig.mark()
    call = rig.caller.invite("1001")
    rig.established(call)
    rig.one_call()


def _phone_calls(world, transport, options):
    """The phone behind the firewall is the caller; it rings at a callee whose connection lives."""
    world.proxy(with_tls(world, transport, options), EXTENSION)
    callee = world.caller("2001", transport="tcp")
    equal(callee.register().status, 200, "REGISTER")
    callee.script = [(0.0, 180)]
    phone = world.registered_phone(transport=transport)
    call = phone.invite("2001")
    check(call.transaction.wait_status(180), "no 180")
    return phone, callee, call


def _answered_over_a_new_connection(phone, callee, call, limit):
    callee.respond(callee.new_calls()[0], 200)
    check(call.wait_established(limit), f"not established: {call.transaction.statuses()}")
    incoming = callee.wait_call(1)
    check(incoming.wait_acked(5), "no ACK at the callee")
    equal(len(phone.accepted()), 1, "connections opened to the phone")
    hang_up(incoming, call)


@scenario(transport=("tcp", "tls"))
def case_7_response_towards_a_caller_whose_connection_was_reset(world, transport):
    """Its 200 comes over a new connection to its Via (RFC 3261 18.2.2)."""
    phone, callee, call = _phone_calls(world, transport, SAID)
    phone.registered_by.reset()
    _answered_over_a_new_connection(phone, callee, call, 5)


@scenario(transport=("tcp", "tls"))
def case_7_response_towards_a_caller_whose_connection_was_forgotten(world, transport):
    """The same when nobody says so: the unacknowledged response is found and sent again."""
    options = dict(BRISK, **{"tcp-unacked-timeout": "1"})
    phone, callee, call = _phone_calls(world, transport, options)
    world.firewall.forget(phone.registered_by.pair)
    phone.registered_by.given_up = True
    _answered_over_a_new_connection(phone, callee, call, 1.0 + 2 * REOPEN_DELAY + 2 * SLACK)


@scenario(way=(TCP, TLS))
def case_7_response_of_the_proxy_itself(world, way):
    """A 404 of the proxy's own whose first copy went into the dead connection."""
    rig = Rig(world, way, dict(BRISK, **{"tcp-unacked-timeout": "1"}))
    # Only the way back is cut, so that the request arrives and its response does not.
    world.firewall.drop_to_phone()
    call = rig.phone.invite("7777", conn=rig.conn)
    rig.phone.wait(lambda: False, 0.1)      # it has arrived, and the answer is lost
    world.firewall.forget(rig.conn.pair)
    world.firewall.drop_nothing()
    final = call.transaction.wait_final(1.0 + 2 * SLACK)
    equal(final and final.status, 404, "final response")


@scenario(way=CROSS)
def case_7_response_is_kept_as_long_as_tcp_unacked_timeout(world, way):
    """Lost with a connection that is found dead only after seven seconds, and not repeated."""
    rig = Rig(world, way, dict(BRISK, **{"tcp-unacked-timeout": "7"}))
    equal(rig.caller.register().status, 200, "REGISTER")
    rig.caller.silent.add("MESSAGE")
    txn = rig.phone.request("MESSAGE", rig.phone.aor("2001"), conn=rig.conn)
    check(rig.caller.wait(lambda: rig.caller.transactions("MESSAGE"), 5), "no MESSAGE")
    rig.forget()
    with rig.caller.cond:
        rig.caller.respond(rig.caller.transactions("MESSAGE")[0], 200)
    final = txn.wait_final(7 + 2 * SLACK)
    equal(final and final.status, 200, "final response")
