# SPDX-License-Identifier: Apache-2.0
"""A balanced group of three Kamailios: who gets which call, what stays where it began, and what
happens when one dies."""

import time
from collections import Counter

from lib import netns, pair
from lib.calls import Calls, Plan
from lib.kamailio import Kamailio, start_all
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario

ADDRESSES = [netns.phone_address(i) for i in range(3)]
NOTICED = 6.0
BRIEF = {"seconds": 0.6, "ring": 0.0, "hold": 0.1, "reinvite_every": 0, "callee_ends_every": 0}


class Group:
    """Three servers that know nothing of each other."""

    def __init__(self, world, transport="udp", **application):
        self.world = world
        self.servers = start_all(*(Kamailio(world, a, transport=transport) for a in ADDRESSES))
        self.proxy = world.proxy(
            pair.OPTIONS, pair.DNS,
            sections={"application main": {
                "role": "balanced", "members": ", ".join(s.uri(transport) for s in self.servers),
                **{name.replace("_", "-"): value for name, value in application.items()}}})
        for server in self.servers:
            _wait_member(self, server, "up")

    def devices(self):
        caller = self.world.caller(port=5070)
        callee = self.world.caller("1001", address=pair.CALLEES[0], port=pair.CALLEES[1])
        caller.transport = callee.transport = "udp"
        return caller, callee

    def calls(self, **plan):
        return Calls(self.world, Plan(**plan), pair.PROXY_HERE, pair.CALLERS, pair.CALLEES)

    def spread(self, **plan):
        """Short calls; how many each server had, in the order of the servers."""
        calls = self.calls(**{**BRIEF, "rate": 100, **plan}).start()
        calls.finish()
        lost = {c.fault for c in calls.calls} - {None}
        check(not lost, f"calls lost: {lost}")
        return served(calls.calls)


def served(calls):
    count = Counter(c.servers[0] for c in calls)
    return [count[a] for a in ADDRESSES]


@scenario()
def balanced_round_robin(world):
    found = Group(world, policy="round-robin").spread()
    check(all(abs(n - 20) <= world.workers for n in found), f"60 calls fell on them as {found}")


@scenario()
def balanced_by_weight(world):
    found = Group(world, policy="weighted", weights="1, 2, 3").spread()
    # By turns or by chance.
    check(found[0] < found[1] < found[2] and found[0] >= 3, f"60 calls fell on them as {found}")


@scenario()
def balanced_by_call_id(world):
    found = Group(world, policy="hash-call-id").spread()
    check(all(n >= 6 for n in found), f"60 calls fell on them as {found}")


def _who(group, caller, callee, **more):
    call, incoming = complete_call(caller, "1001", callee, **more)
    hang_up(call, incoming)
    return incoming.invite.get("x-server")


@scenario()
def balanced_by_caller(world):
    """One caller, one server; another one may have another."""
    group = Group(world, policy="hash-from")
    caller, callee = group.devices()
    found = {}
    for user in [f"20{n:02}" for n in range(8)] * 2:
        caller.user = user
        found.setdefault(user, set()).add(_who(group, caller, callee))
    check(all(len(servers) == 1 for servers in found.values()), f"{found}")
    check(len(set.union(*found.values())) >= 2, f"all callers have the same server: {found}")


@scenario()
def balanced_hash_is_consistent(world):
    """When one dies only its callers move, and they return with it."""
    group = Group(world, policy="hash-from")
    caller, callee = group.devices()

    def everyone():
        found = {}
        for n in range(10):
            caller.user = f"20{n:02}"
            found[caller.user] = _who(group, caller, callee)
        return found
    before = everyone()
    victim = next(s for s in group.servers if s.address == before["2000"])
    victim.kill()
    _wait_member(group, victim, "down")
    during = everyone()
    for user, server in before.items():
        if server != victim.address:
            equal(during[user], server, f"server of {user}, whose own is alive")
        else:
            check(during[user] != victim.address, f"{user} went to the dead one")
    victim.start()
    _wait_member(group, victim, "up")
    equal(everyone(), before, "servers when all are back")


def _wait_member(group, server, state):
    """The proxy knows the state of that member."""
    def known():
        members = group.proxy.control("applications")["member"]
        return any(server.address in row["uri"] and row["state"] == state for row in members)
    eventually(known, NOTICED, f"{server.address} is not {state}", 0.1)


@scenario()
def balanced_least_calls(world):
    """While one server's calls go on, the others get the new ones."""
    group = Group(world, policy="least-calls")
    caller, callee = group.devices()
    held = [complete_call(caller, "1001", callee) for _ in range(6)]
    count = Counter(incoming.invite.get("x-server") for _, incoming in held)
    equal([count[a] for a in ADDRESSES], [2, 2, 2], "six calls at once")
    for call, incoming in held:
        if incoming.invite.get("x-server") == ADDRESSES[1]:
            hang_up(call, incoming)
    more = [complete_call(caller, "1001", callee) for _ in range(2)]
    equal([i.invite.get("x-server") for _, i in more], [ADDRESSES[1]] * 2,
          "servers of the calls after that")


@scenario(transport=("udp", "tcp"), timeout=90)
def balanced_member_dies_under_load(world, transport):
    """Its calls in setup go to others, new ones too; the dialogs of the others stay with them."""
    group = Group(world, transport, policy="round-robin")
    calls = group.calls(rate=40, seconds=3.0, ring=0.3, hold=1.2, reinvite_every=3,
                        patience=5.0).start()
    calls.wait_until(1.5)
    states = calls.mark()
    victim = group.servers[0]
    victim.kill()
    calls.finish()
    lost = Counter((c.state_then, c.fault) for c in calls.calls
                   if c.fault and (victim.address not in c.servers or c.state_then == "later"))
    equal(dict(lost), {}, f"calls lost that were not the dead one's; then {dict(states)}")
    mine = Counter((c.state_then, c.fault) for c in calls.calls if victim.address in c.servers)
    late = [c for c in calls.calls if c.state_then == "later" and c.number > 40 * 2.5]
    check(not any(c.servers[0] == victim.address for c in late), "new calls of the dead one")
    equal(min(served(late)[1:]) > 0, True, "both others have new calls")
    # What it had established is lost with it; where its connections say so, that is answered.
    check(transport == "udp" or not any(why and why.startswith("no answer") for _, why in mine),
          f"calls of the dead one without any answer: {dict(mine)}")
    for call in calls.calls:
        if call.state_then == "established" and victim.address not in call.servers:
            equal(call.fault, None, f"call {call.number} of a living server")


@scenario()
def balanced_dead_udp_member_says_so(world):
    """kill -9 by UDP: its host says that the port is closed. No check is due, and silence would take
    longer than a call waits here."""
    group = Group(world, policy="round-robin", oos_check="60", oos_force="1")
    caller, callee = group.devices()
    victim = group.servers[0]
    victim.kill()
    for _ in range(2 * len(group.servers) * world.workers):
        check(_who(group, caller, callee) != victim.address, "a call by the dead one")
        if group.proxy.counters()["icmp_requests"] != 0:
            break
    _wait_member(group, victim, "down")
    found = group.proxy.counters()
    check(found["icmp_requests"] >= 2, f"the call and the check were not refused: {found}")
    check(found["failovers"] >= 1, f"no call went to another one: {found}")


@scenario(transport=("udp", "tcp"), how=("kill", "freeze"))
def balanced_call_rings_on_without_its_member(world, transport, how):
    """The next one has it; what the dead one has sent on ends, or the phone would refuse the other."""
    group = Group(world, transport)
    caller, callee = group.devices()
    callee.script = [(0.0, 180)]
    call = caller.invite("1001")
    check(call.transaction.wait_status(180), f"{call.transaction.statuses()}")
    first = callee.wait_call()
    victim = next(s for s in group.servers if s.address == first.invite.get("x-server"))
    getattr(victim, how)()
    second = callee.wait_call(2 * NOTICED, 2)
    check(second, "no other member has sent it on")
    check(first.wait_ended(5), "what the dead one has sent on was not cancelled")
    callee.respond(second.transaction, 200)
    final = call.transaction.wait_final(5)
    equal(final and final.status, 200, "response to the INVITE")
    hang_up(second, call)


@scenario()
def balanced_group_of_none(world):
    """All dead: 503 with Retry-After at once; one is back: calls."""
    group = Group(world)
    caller, callee = group.devices()
    mark = time.monotonic()
    for server in group.servers:
        server.kill()
    check(group.proxy.log_matches(r"\bevent\W+40001\b", 2 * NOTICED, mark), "no event 40001")
    final = caller.invite("1001").transaction.wait_final(3)
    equal(final and final.status, 503, "final response while all are dead")
    check(final.get("retry-after")[:1].isdigit(), f"Retry-After {final.get('retry-after')!r}")
    mark = time.monotonic()
    group.servers[2].start()
    check(group.proxy.log_matches(r"\bevent\W+40002\b", 2 * NOTICED, mark), "no event 40002")
    hang_up(*complete_call(caller, "1001", callee))
