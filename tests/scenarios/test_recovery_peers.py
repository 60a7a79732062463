# SPDX-License-Identifier: Apache-2.0
"""Recovery beside peers that make mistakes, and firewalls that pass half of what they should."""

import socket
import time

from lib import netns
from lib.recovery import (ALL, BRISK, CONNECT_TIMEOUT, CROSS, REOPEN_DELAY, Rig, SAID, SLACK, TCP,
                          TCP_OURS, TLS, TLS_OURS)
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario

LIMIT = REOPEN_DELAY + CONNECT_TIMEOUT
LARGE = b"v=0\r\n" + b"a=filler:" + b"x" * 50000 + b"\r\n"


# --- answers by other ways than expected ---------------------------------------------------------


@scenario(way=ALL)
def answer_over_a_connection_of_the_phones_own(world, way):
    """The phone noticed as well and opens a connection to our Via for its 200: matched by branch."""
    rig = Rig(world, way)
    call, invite = rig.ring()
    rig.forget()
    rig.conn.close()
    rig.phone.respond(invite, 200)
    incoming = rig.established(call, 5)
    rig.one_call()
    hang_up(call, incoming, 5 + SLACK)


@scenario(way=ALL)
def answer_on_the_old_connection_after_reopening(world, way):
    """The phone answers where the request first came, though we have closed that connection: its
    first 200 is lost, the repeated one comes by another way."""
    rig = Rig(world, way)
    rig.phone.answer_on = "first"
    call, invite = rig.ring()
    rig.forget()
    # A second call finds the connection dead; the first one's INVITE is sent again with it.
    other = rig.caller.invite("1001")
    check(other.transaction.wait_status(180), "no 180 to the second call")
    check(rig.phone.wait(lambda: invite.copies > 1, SLACK), "the first INVITE was not sent again")
    world.firewall.heal()
    rig.phone.respond(invite, 200)
    check(call.wait_established(10), f"not established: {call.transaction.statuses()}")
    check(invite.call.wait_acked(5), "no ACK at the phone")
    equal(len(rig.new_calls()), 2, "INVITE transactions at the phone")
    rig.only_one_fresh()


@scenario(way=ALL)
def answer_on_the_old_connection_while_the_new_one_is_opened(world, way):
    """Only the way towards the phone is dead, and new connections are not let through yet: the 200
    comes on the old connection and is good; its ACK arrives by the new one."""
    rig = Rig(world, way, dict(BRISK, **{"tcp-connect-timeout": "10", "tcp-unacked-timeout": "0"}))
    call, invite = rig.ring()
    world.firewall.forget_towards_phone(rig.conn.pair)
    world.firewall.drop_new()
    rig.caller.hold_acks = True
    rig.phone.respond(invite, 200)
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    call.acknowledge()
    rig.caller.hold_acks = False
    check(not invite.call.wait_acked(2 * REOPEN_DELAY), "the ACK passed the firewall")
    world.firewall.drop_nothing()
    check(invite.call.wait_acked(10), "no ACK at the phone")
    rig.one_call()
    check(len(rig.fresh()) <= 1, f"{len(rig.fresh())} connections opened to the phone")


@scenario(way=(TCP, TLS))
def phone_registers_by_a_new_connection_while_we_reopen(world, way):
    """Both sides noticed at once: the call arrives once, at most one connection too many."""
    rig = Rig(world, way)
    rig.forget()
    call = rig.caller.invite("1001")
    check(call.transaction.wait_status(100), "no 100")
    fresh = rig.phone.connect(rig.phone.proxy_at(rig.transport), transport=rig.transport)
    equal(rig.phone.register(conn=fresh).status, 200, "REGISTER")
    incoming = rig.established(call)
    rig.one_call()
    check(len(rig.fresh()) <= 1, f"{len(rig.fresh())} connections opened to the phone")
    hang_up(call, incoming)
    # From now on the phone's own connection is used.
    rig.mark()
    call, incoming = rig.complete_call()
    equal(rig.new_calls()[0].conns, [fresh], "connection of the next INVITE")
    hang_up(incoming, call)


@scenario(way=ALL)
def fin_right_before_the_request(world, way):
    """FIN and INVITE cross, several times: each call arrives once."""
    rig = Rig(world, way, SAID)
    for _ in range(5):
        rig.mark()
        for conn in rig.phone.connections:
            conn.close()
        call = rig.caller.invite("1001")
        incoming = rig.established(call)
        rig.one_call()
        check(len(rig.fresh()) <= 1, f"{len(rig.fresh())} connections opened to the phone")
        hang_up(call, incoming)


@scenario(way=ALL)
def half_closed_by_the_phone(world, way):
    """FIN, and the phone goes on reading: its connection is not used any more."""
    rig = Rig(world, way, SAID)
    # Below TLS: an SSLSocket that is shut down reads no more.
    socket.socket.shutdown(rig.conn.sock, socket.SHUT_WR)
    check(rig.conn.wait_closed(5), "the proxy does not close")
    rig.mark()
    call, incoming = rig.complete_call()
    rig.only_one_fresh()
    hang_up(call, incoming)


@scenario(way=(TLS, TLS_OURS))
def close_notify_without_fin_while_ringing(world, way):
    """The connection below stays open; TLS has ended all the same."""
    rig = Rig(world, way, SAID)
    call, invite = rig.ring()
    rig.conn.say_goodbye()
    check(rig.phone.wait(lambda: invite.copies > 1, 5), "the INVITE was not resent")
    rig.phone.respond(invite, 200)
    hang_up(call, rig.established(call))
    rig.one_call()


@scenario(way=ALL)
def reset_in_the_middle_of_a_written_message(world, way):
    """A large INVITE is partly written to a phone with a full window when the reset comes."""
    world.net.proxy.sysctl(ipv4__tcp_wmem="4096 8192 16384")
    rig = Rig(world, way, SAID, receive_buffer=4096)
    rig.conn.pause()
    call = rig.caller.invite("1001", body=LARGE)
    check(call.transaction.wait_status(100), "no 100")
    eventually(lambda: rig.conn.readable() > 0, 5, "nothing of the INVITE has come")
    rig.conn.reset()
    rig.established(call)
    rig.one_call()
    equal(rig.new_calls()[0].request.body, LARGE, "body of the INVITE")
    rig.only_one_fresh()


# --- devices that take connections and do nothing with them --------------------------------------


@scenario(way=(TCP, TCP_OURS))
def phone_accepts_and_never_reads(world, way):
    """Its kernel takes connections and bytes until the window is full: the callers are told, in
    order of the bounds, and others are served."""
    world.net.proxy.sysctl(ipv4__tcp_wmem="4096 8192 16384")
    rig = Rig(world, way, dict(BRISK, **{"tcp-unacked-timeout": "1", "timer-b": "3"}),
              receive_buffer=4096)
    rig.phone.deaf = True
    rig.conn.pause()
    calls = [rig.caller.invite("1001", body=LARGE) for _ in range(5)]
    other = world.registered_phone("1002", 1, transport="tcp")
    hang_up(*complete_call(rig.caller, "1002", other))
    for call in calls:
        final = call.transaction.wait_final(3.0 + 2 * SLACK)
        check(final is not None and final.status in (408, 480, 503),
              f"final response {final and final.status}")
    check(len(rig.fresh()) <= 3, f"{len(rig.fresh())} connections opened to the phone")


@scenario(way=(TLS, TLS_OURS))
def phone_accepts_and_never_shakes_hands(world, way):
    """Its kernel takes the connection, TLS never begins: tcp-connect-timeout holds for both."""
    rig = Rig(world, way)
    rig.forget()
    rig.phone.unwatch(rig.phone.tls_listener)
    began = time.monotonic()
    call = rig.caller.invite("1001")
    final = call.transaction.wait_final(LIMIT + SLACK)
    equal(final and final.status, 480, "final response")
    check(time.monotonic() - began >= CONNECT_TIMEOUT, "it was not waited for")


@scenario(way=ALL)
def wedged_phone(world, way):
    """Its kernel acknowledges, it answers nothing: after three calls the connection is closed and
    the DN suspected; when it works again, the next call goes by a new connection."""
    rig = Rig(world, way, dict(BRISK, **{"timer-b": "500ms", "tcp-wedged-transactions": "3"}))
    rig.phone.silent = {"INVITE", "OPTIONS"}
    for _ in range(3):
        check(not rig.conn.closed, "closed too early")
        final = rig.caller.invite("1001").transaction.wait_final(5)
        equal(final and final.status, 408, "final response")
    check(rig.conn.wait_closed(5), "the connection of the wedged phone stays")
    check(rig.proxy.log_matches(r"wedged|answers nothing", 2.0), "no log line says: wedged")
    found = rig.proxy.counters()
    equal(found["connections_wedged"], 1, "connections_wedged")
    check(found["dn_suspect"] >= 1, "the DN is not suspect")
    rig.phone.silent = set()
    call, incoming = rig.complete_call()
    rig.only_one_fresh()
    equal(incoming.transaction.conns, rig.fresh(), "connection of the INVITE")
    hang_up(call, incoming)


@scenario(way=(TCP, TLS))
def slow_phone_is_not_wedged(world, way):
    """One byte from the peer between unanswered calls, here a keep-alive, begins the count anew."""
    rig = Rig(world, way, dict(BRISK, **{"timer-b": "500ms", "tcp-wedged-transactions": "2"}))
    rig.phone.silent = {"INVITE"}
    for _ in range(3):
        final = rig.caller.invite("1001").transaction.wait_final(5)
        equal(final and final.status, 408, "final response")
        pongs = rig.conn.framer.pongs
        rig.conn.send(b"\r\n\r\n")
        check(rig.phone.wait(lambda: rig.conn.framer.pongs > pongs, 5), "no pong")
    check(not rig.conn.closed, "the connection was closed")


# --- firewalls that pass one direction only ------------------------------------------------------


def _one_way_firewall(world, way, drop):
    """Nothing passes in one direction: the caller has its answer in time; then it heals."""
    rig = Rig(world, way)
    drop()
    call = rig.caller.invite("1001")
    final = call.transaction.wait_final(LIMIT + SLACK)
    equal(final and final.status, 480, "final response")
    check(len(rig.new_calls()) <= 1, "more than one call at the phone")
    world.firewall.heal()
    fresh = rig.phone.connect(rig.phone.proxy_at(rig.transport), transport=rig.transport)
    equal(rig.phone.register(conn=fresh).status, 200, "REGISTER")
    rig.mark()
    hang_up(*rig.complete_call())
    rig.one_call()


@scenario(way=(TCP, TLS))
def firewall_passes_nothing_towards_the_phone(world, way):
    _one_way_firewall(world, way, world.firewall.drop_to_phone)


@scenario(way=(TCP, TLS))
def firewall_passes_nothing_towards_the_proxy(world, way):
    _one_way_firewall(world, way, world.firewall.drop_to_proxy)


@scenario(way=ALL)
def connection_passes_nothing_towards_the_phone(world, way):
    """Half of the old connection is dead; a new one works."""
    rig = Rig(world, way)
    world.firewall.forget_towards_phone(rig.conn.pair)
    call = rig.caller.invite("1001")
    incoming = rig.established(call)
    rig.one_call()
    rig.only_one_fresh()
    rig.conn.given_up = True
    hang_up(call, incoming)


@scenario(way=ALL)
def connection_passes_nothing_towards_the_proxy(world, way):
    """The other half: the INVITE arrives, neither acknowledgement nor answer do. It is sent again,
    and the phone repeats its answers on the new connection."""
    rig = Rig(world, way)
    world.firewall.forget_towards_proxy(rig.conn.pair)
    call = rig.caller.invite("1001")
    incoming = rig.established(call)
    rig.one_call()
    equal(rig.new_calls()[0].copies, 2, "copies of the INVITE")
    rig.only_one_fresh()
    rig.conn.given_up = True
    hang_up(call, incoming)


# --- devices that move ---------------------------------------------------------------------------


@scenario(way=(TCP, TLS))
def phone_has_another_address_and_has_registered(world, way):
    """The old address answers nobody; the new binding gets the call, once."""
    rig = Rig(world, way)
    world.firewall.vanish(netns.PHONE)
    moved = world.registered_phone("1001", 1, transport=way.transport)
    call, incoming = complete_call(rig.caller, "1001", moved, timeout=LIMIT + SLACK)
    equal(len(moved.new_calls()), 1, "calls at the new address")
    hang_up(call, incoming)


@scenario(way=(TCP, TLS))
def phone_has_another_address_and_registers_too_late(world, way):
    """Nobody is at the old address: the caller is told in time; back in service by REGISTER."""
    rig = Rig(world, way)
    world.firewall.vanish(netns.PHONE)
    final = rig.caller.invite("1001").transaction.wait_final(LIMIT + SLACK)
    equal(final and final.status, 480, "final response")
    moved = world.registered_phone("1001", 1, transport=way.transport)
    call, incoming = complete_call(rig.caller, "1001", moved, timeout=LIMIT + SLACK)
    hang_up(call, incoming)


@scenario(way=CROSS)
def phone_has_another_address_in_the_middle_of_a_call(world, way):
    """It re-registers from there; the caller's request in the dialog still names the old one."""
    rig = Rig(world, way)
    call, _ = rig.complete_call()
    world.firewall.vanish(netns.PHONE)
    world.registered_phone("1001", 1, transport=way.transport)
    final = call.request("INFO").wait_final(LIMIT + SLACK)
    equal(final and final.status, 408, "final response to INFO")
