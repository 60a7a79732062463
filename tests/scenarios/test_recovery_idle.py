# SPDX-License-Identifier: Apache-2.0
"""Idle connections that die (cases 1 and 2 of the recovery design), and the option off (case 13)."""

import time

from lib import netns
from lib.recovery import (ALL, CROSS, D_QUICK, EXTENSION, QUICK, REOPEN_DELAY, Rig, SAID, SLOW,
                          proxy_end_gone, wait_idle_death)
from lib.scenario import check, equal, eventually, hang_up, scenario


@scenario(way=CROSS)
def case_1_idle_connection_dies_and_is_not_reopened(world, way):
    rig = Rig(world, way, dict(QUICK, **{"tcp-reopen-delay": "300ms"}))
    capture = world.capture()
    rig.forget()
    mark = time.monotonic()
    wait_idle_death(world, rig.conn)
    found = rig.proxy.log_matches(r"stale|keep-alive|connection.*(dead|lost|closed|timed out)", 2.0,
                                  mark)
    check(found, "no log line says that the connection was found dead")
    # The probes that found it are on the proxy's side of the firewall and not on the phone's.
    phone_port = rig.conn.local[1]
    probes = capture.select("toproxy", "tcp", src=netns.PROXY, dport=phone_port, since=mark)
    check(probes, "no keep-alive probe was sent")
    # Not reopened: nothing is sent towards the phone for longer than a reopening would take.
    check(not rig.phone.wait(rig.fresh, 3 * REOPEN_DELAY), "an idle connection was reopened")
    equal(len(capture.select("toproxy", "tcp", dst=rig.phone.address, flag="SYN", since=mark)), 0,
          "SYNs towards the phone")


@scenario(way=ALL)
def case_2_call_after_idle_death_reopens(world, way):
    rig = Rig(world, way, QUICK)
    rig.forget()
    wait_idle_death(world, rig.conn)
    rig.mark()
    call, incoming = rig.complete_call()
    rig.only_one_fresh()
    rig.one_call()
    hang_up(call, incoming)
    # The BYE went over the same new connection, and so does the next call.
    rig.only_one_fresh()
    call, incoming = rig.complete_call()
    hang_up(incoming, call)
    rig.only_one_fresh()


@scenario(way=CROSS)
def case_13_option_off_probes_nothing_reopens_nothing(world, way):
    rig = Rig(world, way, dict(QUICK, **{"sip-enable-tcp-keep-alive": "false",
                                         "tcp-reopen-delay": "300ms"}))
    capture = world.capture()
    rig.forget()
    mark = time.monotonic()
    # Longer than keep-alive would need: not a packet on the idle connection.
    rig.phone.wait(rig.fresh, D_QUICK + 1.0)
    equal(len(capture.select("toproxy", "tcp", src=netns.PROXY, dport=rig.conn.local[1],
                             since=mark)), 0, "packets on the idle connection")
    call = rig.caller.invite("1001")
    check(not rig.phone.wait(rig.new_calls, 4 * REOPEN_DELAY), "the INVITE reached the phone")
    equal(len(rig.fresh()), 0, "connections opened to the phone")
    equal(len(capture.select("toproxy", "tcp", dst=netns.PHONE, flag="SYN", since=mark)), 0,
          "SYNs towards the phone")
    check(call.transaction.final is None or call.transaction.final.status >= 400,
          "a call that cannot have been answered was")


@scenario(way=ALL)
def case_13_option_off_new_transaction_after_a_reset(world, way):
    """With the option off a connection that said it is dead is still replaced for new calls."""
    rig = Rig(world, way, dict(SLOW, **{"sip-enable-tcp-keep-alive": "false"}))
    rig.conn.reset()
    eventually(lambda: proxy_end_gone(world, rig.conn), 3, "the proxy still holds the connection")
    rig.mark()
    call, incoming = rig.complete_call()
    rig.only_one_fresh()
    rig.one_call()
    hang_up(call, incoming)


@scenario(way=ALL)
def case_13_option_off_nothing_is_reopened_inside_a_transaction(world, way):
    """Reset while ringing: nothing is opened or resent; the phone may answer by a way of its own."""
    rig = Rig(world, way, dict(SAID, **{"sip-enable-tcp-keep-alive": "false"}))
    call, invite = rig.ring()
    rig.conn.reset()
    check(not rig.phone.wait(rig.fresh, 3 * REOPEN_DELAY), "a connection was opened to the phone")
    equal(invite.copies, 1, "copies of the INVITE")
    rig.phone.respond(invite, 200)
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    rig.one_call()


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
