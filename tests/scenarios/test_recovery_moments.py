# SPDX-License-Identifier: Apache-2.0
"""Connections that die in awkward moments: of both sides at once, while a side is on the move, while
the second connection is opened, while the daemon drains. Each call is up at both ends or at none
when it is over, and the daemon keeps nothing of it."""

from lib.recovery import BRISK, CONNECT_TIMEOUT, REOPEN_DELAY, SLACK, settled, with_tls
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario

LIMIT = REOPEN_DELAY + CONNECT_TIMEOUT
OPTIONS = dict(BRISK, **{"tcp-unacked-timeout": "1"})
# What is over and only absorbs what may come again (RFC 3261 17, RFC 6026).
LINGERS = {"completed", "confirmed", "accepted", "terminated"}
DNS = {user: {"type": "extension"} for user in ("1001", "1002")}


class Pair:
    """Two phones behind the same firewall, each registered by a connection of its own."""

    def __init__(self, world, transport="tcp"):
        self.world, self.transport = world, transport
        self.proxy = world.proxy(with_tls(world, transport, OPTIONS), DNS)
        self.caller = world.registered_phone("1001", 0, transport=transport)
        self.callee = world.registered_phone("1002", 1, transport=transport)

    def ring(self):
        """(caller's call, INVITE at the callee)"""
        self.callee.script = [(0.0, 180)]
        call = self.caller.invite("1002")
        check(call.transaction.wait_status(180), "no 180")
        check(self.callee.wait(self.callee.new_calls, 5), "the callee does not ring")
        return call, self.callee.new_calls()[-1]

    def talk(self):
        return complete_call(self.caller, "1002", self.callee)

    def forget(self, *phones):
        """The firewall forgets the connections of these phones, which do not use them any more."""
        conns = [c for phone in phones for c in phone.connections if not c.closed]
        for conn in conns:
            settled(self.world, conn)
        self.world.firewall.forget(*[c.pair for c in conns])
        for conn in conns:
            conn.given_up = True

    def register_anew(self, phone):
        """By a new connection, with the same Contact."""
        conn = phone.connect(phone.proxy_at(self.transport), transport=self.transport)
        equal(phone.register(conn=conn).status, 200, "REGISTER")
        return conn

    def nothing_left(self):
        """Nothing waits, no call is known; and no connection but those that the phones hold."""
        def waiting():
            return [row for row in self.proxy.control("transactions")["transaction"]
                    if row["state"] not in LINGERS]
        eventually(lambda: not waiting(), 5, "transactions wait", 0.1)
        eventually(lambda: not self.proxy.control("calls")["call"], 5, "calls are left", 0.1)
        for phone in (self.caller, self.callee):
            for conn in phone.connections:
                conn.close()
        eventually(lambda: not self.proxy.control("flows")["flow"], 8, "connections are left", 0.1)


def _final(txn, statuses, timeout=LIMIT + SLACK):
    final = txn.wait_final(timeout)
    check(final is not None and final.status in statuses,
          f"final response to {txn.method}: {final and final.status}, not one of {statuses}")


@scenario(transport=("tcp", "tls"))
def both_sides_are_forgotten_while_it_rings(world, transport):
    """The callee says so by registering anew and answers; its 200 finds a caller whose connection
    is dead as well."""
    pair = Pair(world, transport)
    call, invite = pair.ring()
    pair.forget(pair.caller, pair.callee)
    conn = pair.register_anew(pair.callee)
    invite.conn = conn
    pair.callee.respond(invite, 200)
    check(call.wait_established(1.0 + LIMIT + 2 * SLACK),
          f"not established: {call.transaction.statuses()}")
    check(invite.call.wait_acked(5), "no ACK at the callee")
    hang_up(call, invite.call)
    equal(len(pair.callee.new_calls()), 1, "calls at the callee")
    pair.nothing_left()


@scenario()
def byes_cross_when_both_sides_are_forgotten(world):
    """Each phone hangs up by a new connection; what goes to the other one finds a dead one."""
    pair = Pair(world)
    call, incoming = pair.talk()
    pair.forget(pair.caller, pair.callee)
    byes = [call.bye(), incoming.bye()]
    for bye in byes:
        _final(bye, (200, 481))
    pair.nothing_left()


@scenario()
def reinvites_cross_when_both_sides_are_forgotten(world):
    """Both are answered, and the call goes on."""
    pair = Pair(world)
    call, incoming = pair.talk()
    pair.forget(pair.caller, pair.callee)
    txns = [call.reinvite(), incoming.reinvite()]
    for txn in txns:
        _final(txn, (200,))
    for phone in (pair.caller, pair.callee):
        check(phone.wait(lambda p=phone: p.transactions("INVITE")[-1].acks, LIMIT + SLACK),
              f"no ACK of the re-INVITE at {phone.name}")
    equal(pair.proxy.counters()["calls_released"], 0, "calls released")
    hang_up(incoming, call)
    pair.nothing_left()


@scenario()
def phone_answers_by_a_new_connection_and_speaks_before_its_ack(world):
    """Its Contact accepts nothing. The ACK goes by the connection that is dead; meanwhile it has
    spoken on its own new one: the ACK arrives there, and nobody is released."""
    pair = Pair(world)
    pair.caller.hold_acks = True
    call, invite = pair.ring()
    pair.forget(pair.callee)
    pair.callee.stop_listening()
    pair.register_anew(pair.callee)
    invite.conn = pair.callee.registered_by
    pair.callee.respond(invite, 200)
    check(call.wait_established(5), f"not established: {call.transaction.statuses()}")
    _final(invite.call.request("INFO"), (200,))
    pair.caller.hold_acks = False
    call.acknowledge()
    check(invite.call.wait_acked(2 * LIMIT + SLACK), "no ACK at the callee")
    equal(pair.proxy.counters()["calls_released"], 0, "calls released")
    hang_up(call, invite.call)
    pair.nothing_left()


@scenario()
def phone_has_moved_and_spoken_in_a_call(world):
    """It speaks from another address inside the call: what the caller sends to where it was goes
    after it, once it is known that nobody is there."""
    pair = Pair(world)
    call, incoming = pair.talk()
    pair.forget(pair.callee)
    pair.callee.stop_listening()
    moved = world.phone("1002", 2, transport="tcp")
    moved.calls, incoming.device = pair.callee.calls, moved
    _final(incoming.request("INFO"), (200,))
    _final(call.request("UPDATE"), (200,))
    equal(len(moved.transactions("UPDATE")), 1, "UPDATEs at the new address")
    equal(pair.proxy.counters()["calls_released"], 0, "calls released")
    hang_up(incoming, call)
    pair.callee = moved
    pair.nothing_left()


@scenario()
def second_connection_dies_as_soon_as_it_is_there(world):
    """The firewall forgets that one as well; the phone registers by a third one: one call."""
    pair = Pair(world)
    pair.forget(pair.callee)
    pair.callee.silent = {"INVITE"}
    call = pair.caller.invite("1002")
    check(pair.callee.wait(pair.callee.accepted, LIMIT + SLACK), "no second connection")
    check(pair.callee.wait(pair.callee.new_calls, LIMIT + SLACK), "no INVITE")
    pair.forget(pair.callee)
    pair.register_anew(pair.callee)
    # What rings answers by the connection that it has.
    pair.callee.silent = set()
    invite = pair.callee.new_calls()[0]
    invite.conn = pair.callee.registered_by
    with pair.callee.cond:
        pair.callee._on_invite(invite)
    check(call.wait_established(LIMIT + SLACK), f"not established: {call.transaction.statuses()}")
    check(invite.call.wait_acked(LIMIT + SLACK), "no ACK at the callee")
    equal(len(pair.callee.new_calls()), 1, "calls at the callee")
    hang_up(call, invite.call)
    pair.nothing_left()


@scenario()
def drain_ends_with_a_call_whose_phone_is_gone(world):
    """A call that stands keeps the daemon; released since its phone is gone, it does no more."""
    pair = Pair(world)
    call, _ = pair.talk()
    pair.proxy.control("drain", "60")
    pair.forget(pair.callee)
    pair.callee.stop_listening()
    pair.proxy.may_end = True
    _final(call.request("INFO"), (408,))
    check(call.wait_ended(5), "the caller did not get BYE")
    equal(pair.proxy.wait_exit(15), 0, "exit status when it has drained")
