# SPDX-License-Identifier: Apache-2.0
"""Stalls that heal (case 11 of the recovery design): no duplicate call, no error."""

from lib.recovery import ALL, BRISK, CROSS, REOPEN_DELAY, Rig, SLACK, SLOW
from lib.scenario import check, equal, hang_up, scenario

STALL = 3.0


@scenario(way=ALL)
def case_11_stall_of_three_seconds_that_heals(world, way):
    """No duplicate call, no error, at most one extra connection."""
    rig = Rig(world, way, SLOW)
    world.firewall.drop_all()
    call = rig.caller.invite("1001")
    rig.caller.wait(lambda: False, STALL)     # the stall itself
    world.firewall.heal()
    incoming = rig.established(call, 10)
    rig.one_call()
    check(len(rig.fresh()) <= 1, f"{len(rig.fresh())} extra connections")
    equal([s for s in call.transaction.statuses() if s >= 200][:1], [200], "final response")
    hang_up(call, incoming)
    rig.one_call()


@scenario(way=ALL)
def case_11_stall_in_a_call_that_heals(world, way):
    """The same for a BYE: answered once, seen once."""
    rig = Rig(world, way, SLOW)
    call, incoming = rig.complete_call()
    rig.mark()
    world.firewall.drop_all()
    bye = call.bye()
    rig.caller.wait(lambda: False, STALL)     # the stall itself
    world.firewall.heal()
    final = bye.wait_final(10)
    equal(final and final.status, 200, "response to BYE")
    check(incoming.ended, "the phone's call goes on")
    equal(len(rig.phone.transactions("BYE", rig.since)), 1, "BYEs at the phone")
    check(len(rig.fresh()) <= 1, f"{len(rig.fresh())} extra connections")


@scenario(way=CROSS)
def case_11_short_stall_tears_nothing_down(world, way):
    """A stall shorter than tcp-reopen-delay opens no second connection; the old one lives."""
    options = dict(SLOW, **{"tcp-reopen-delay": "4", "tcp-unacked-timeout": "20"})
    rig = Rig(world, way, options)
    world.firewall.drop_all()
    call = rig.caller.invite("1001")
    check(call.transaction.wait_status(100), "no 100")
    rig.caller.wait(lambda: False, 0.7)     # the stall itself
    world.firewall.heal()
    check(call.wait_established(10), f"not established: {call.transaction.statuses()}")
    rig.one_call()
    equal(rig.new_calls()[0].conns, [rig.conn], "connections on which the INVITE came")
    check(not rig.conn.closed, "the old connection was closed")


@scenario(way=CROSS)
def case_11_first_connection_heals_before_the_second_is_up(world, way):
    """Only new connections are dropped for good: the old one acknowledges first and lives on."""
    rig = Rig(world, way, dict(BRISK, **{"tcp-connect-timeout": "5"}))
    world.firewall.drop_all()
    call = rig.caller.invite("1001")
    check(call.transaction.wait_status(100), "no 100")
    rig.caller.wait(lambda: False, 3 * REOPEN_DELAY)    # until the second one is being opened
    world.firewall.drop_new()
    incoming = rig.established(call, 5 + SLACK)
    rig.one_call()
    equal(len(rig.fresh()), 0, "connections opened to the phone")
    check(not rig.conn.closed, "the old connection was closed")
    hang_up(call, incoming)


@scenario(way=CROSS)
def phone_registers_again_over_a_new_connection(world, way):
    """The phone noticed first: it registers over a new connection, calls use that one."""
    rig = Rig(world, way)
    rig.forget()
    fresh = rig.phone.connect(rig.phone.proxy_at(rig.transport), transport=rig.transport)
    equal(rig.phone.register(conn=fresh).status, 200, "REGISTER")
    call, incoming = rig.complete_call()
    equal(rig.new_calls()[0].conns, [fresh], "connection of the INVITE")
    hang_up(incoming, call)
