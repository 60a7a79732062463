# SPDX-License-Identifier: Apache-2.0
"""A pair of Kamailios as SIP Servers behind the proxy, without a virtual address: the active one
dies, stalls, is cut off or gives up its role, under load; who is taken for active, and when."""

import time

from lib import pair
from lib.pair import Pair, demand, run_fault, settle
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario
from lib.sip import uri_of

# With what the proxy may wait for OPTIONS, and a busy machine.
NOTICED = 6.0
# Nothing but these may tell within the time of a scenario that a member is dead.
NO_CHECKS = {"oos-check": "60", "oos-force": "1"}


def _survives(world, fault, transport):
    them = Pair(world, transport, takeover=0.2)
    settle(them)
    demand(run_fault(them, fault))


# 50 calls/s and a fault: each with one number of workers; bench/pair does all.
for _workers, _fault, _transport in ((1, "kill", "udp"), (1, "stop", "tcp"), (1, "drop_to", "udp"),
                                     (1, "role", "tcp"), (2, "kill", "tcp"), (2, "stop", "udp"),
                                     (2, "drop", "tcp"), (2, "drop_from", "udp"),
                                     (2, "role", "udp")):
    def _run(world, fault=_fault, transport=_transport):
        _survives(world, fault, transport)
    _run.__name__ = f"pair_under_load_{_fault}_over_{_transport}"
    scenario(timeout=120, workers=_workers)(_run)


@scenario(timeout=120, workers=2)
def pair_server_that_goes_on_makes_no_second_call(world):
    """SIGSTOP, and SIGCONT when B has taken over: what A then says of old calls reaches no caller."""
    them = Pair(world, takeover=0.2)
    settle(them)
    outcome = run_fault(them, "resume", callee_ends_every=0)
    equal((outcome.lost, outcome.doubled["answers"]), ({}, 0), str(outcome))


@scenario(timeout=120, workers=1, transport=("udp", "tcp"))
def pair_callee_that_refuses_what_it_rings_for(world, transport):
    """RFC 3261 8.2.2.2: the same INVITE by the other server is 482 while the first one goes on."""
    them = Pair(world, transport, takeover=0.2)
    settle(them)
    outcome = run_fault(them, "kill", at=1.0, rate=25, seconds=2.0, ring=4.0, hold=0.5,
                        reinvite_every=0, merged="refuse")
    check(outcome.states["ringing"] >= 10, f"too few ring: {dict(outcome.states)}")
    equal({"lost": outcome.lost, **outcome.doubled}, {"lost": {}, "confirmed": 0, "answers": 0,
                                                      "rung": 0}, str(outcome))


# --- one call at a time ---------------------------------------------------------------------------


def _rig(world, transport="udp", options=None, application=None, **more):
    """A pair, its proxy, a caller, and the phone 1001 that both servers know by the proxy."""
    them = Pair(world, transport, options, application, **more)
    caller = world.caller(port=5070)
    callee = world.caller("1001", address=pair.CALLEES[0], port=pair.CALLEES[1])
    for device in (caller, callee):
        device.transport = "udp"
    return them, caller, callee


def _by_whom(call):
    """Which server relayed the INVITE that this call of the callee began with?"""
    return call.invite.get("x-server")


def _expect_server(caller, callee, server):
    call, incoming = complete_call(caller, "1001", callee)
    equal(_by_whom(incoming), server.address, "the server that relayed the call")
    return call, incoming


@scenario()
def pair_backup_that_says_503_is_not_taken(world):
    """Before and after the primary has died: the one that answers 200 is active."""
    them, caller, callee = _rig(world)
    settle(them)
    hang_up(*_expect_server(caller, callee, them.a))
    mark = time.monotonic()
    them.a.kill()
    them.wait_event(40001, NOTICED, mark)
    refused = caller.invite("1001").transaction
    final = refused.wait_final(5)
    equal(final and final.status, 503, "a call while nobody is active")
    mark = time.monotonic()
    them.b.set("active", 1)
    them.wait_event(40002, NOTICED, mark)
    hang_up(*_expect_server(caller, callee, them.b))


@scenario(transport=("udp", "tcp"))
def pair_whose_backup_is_active_at_the_start(world, transport):
    them, caller, callee = _rig(world, transport, start=False)
    them.b.start()
    them.a.start()
    them.a.set("active", 0)
    them.b.set("active", 1)
    them.wait_event(40003, NOTICED)
    hang_up(*_expect_server(caller, callee, them.b))


@scenario()
def pair_does_not_fall_back(world):
    """The first comes back, and says that it is active, too: the second one stays."""
    them, caller, callee = _rig(world)
    settle(them)
    mark = time.monotonic()
    them.break_active("kill")
    them.wait_event(40003, NOTICED, mark)
    hang_up(*_expect_server(caller, callee, them.b))
    them.a.start()
    before = them.proxy.counters()["checks_sent"]
    eventually(lambda: them.proxy.counters()["checks_sent"] >= before + 2, NOTICED,
               "no further checks")
    call = _expect_server(caller, callee, them.b)
    them.b.kill()
    mark = time.monotonic()
    them.wait_event(40003, NOTICED, mark - 0.5)
    # The dialog goes on by the first.
    hang_up(*call)
    hang_up(*_expect_server(caller, callee, them.a))


@scenario(transport=("udp", "tcp"))
def pair_both_silent_and_back(world, transport):
    """503 with Retry-After at once, events 40001 and 40002."""
    them, caller, callee = _rig(world, transport)
    settle(them)
    mark = time.monotonic()
    them.a.kill()
    them.b.kill()
    them.wait_event(40001, NOTICED, mark)
    for _ in range(3):
        txn = caller.invite("1001").transaction
        final = txn.wait_final(3)
        equal(final and final.status, 503, "final response while both are silent")
        check(final.get("retry-after")[:1].isdigit(), f"Retry-After {final.get('retry-after')!r}")
        check(txn.final_after() < 1.0, f"503 only after {txn.final_after():.2f} s")
    equal(len(callee.calls), 0, "calls at the callee")
    found = them.proxy.counters()
    equal(found["application_out_of_service"], 1, "times out of service")
    check(found["application_requests_refused"] >= 3, f"refused {found}")
    mark = time.monotonic()
    them.b.start()
    them.b.set("active", 1)
    them.wait_event(40002, NOTICED, mark)
    hang_up(*_expect_server(caller, callee, them.b))


@scenario(transport=("udp", "tcp"))
def pair_switched_by_a_request(world, transport):
    """Checks are rare: the request of the other one is the switchover, at once."""
    them, caller, callee = _rig(world, transport, NO_CHECKS)
    settle(them)
    call = _expect_server(caller, callee, them.a)
    mark = time.monotonic()
    them.a.set("active", 0)
    them.b.set("active", 1)
    equal(them.speak(them.b), 200, "response to the request of B")
    them.wait_event(40003, 1.0, mark)
    hang_up(*call)
    hang_up(*_expect_server(caller, callee, them.b))
    equal(them.proxy.counters()["application_switchovers"], 1, "switchovers")


@scenario()
def pair_dead_connection_is_noticed_without_options(world):
    """RST or FIN of the member's machine: asked at once, although the check is far."""
    them, caller, callee = _rig(world, "tcp", NO_CHECKS)
    settle(them)
    hang_up(*_expect_server(caller, callee, them.a))
    mark = time.monotonic()
    them.break_active("kill")
    them.wait_event(40003, NOTICED, mark)
    hang_up(*_expect_server(caller, callee, them.b))


@scenario()
def pair_dead_udp_server_is_noticed_without_options(world):
    """Its host says that the port is closed: asked at once, although the check is far and nobody goes
    elsewhere for silence. A request inside a dialog meets it, and a call."""
    them, caller, callee = _rig(world, "udp", {**NO_CHECKS, "failover-time": "0"})
    settle(them)
    call = _expect_server(caller, callee, them.a)
    mark = time.monotonic()
    them.break_active("kill")
    final = call[0].request("INFO").wait_final(NOTICED)
    equal(final and final.status, 200, "response to INFO")
    them.wait_event(40003, NOTICED, mark)
    hang_up(*call)
    hang_up(*_expect_server(caller, callee, them.b))
    check(them.proxy.counters()["icmp_requests"] >= 2, "it was not ICMP")


@scenario()
def pair_dead_udp_server_costs_a_new_call_nothing(world):
    """The same, and the first that meets it is a new call."""
    them, caller, callee = _rig(world, "udp", {**NO_CHECKS, "failover-time": "0"})
    settle(them)
    hang_up(*_expect_server(caller, callee, them.a))
    mark = time.monotonic()
    them.break_active("kill")
    hang_up(*_expect_server(caller, callee, them.b))
    them.wait_event(40003, NOTICED, mark)


@scenario()
def pair_silent_connection_is_noticed_without_options(world):
    """Nothing is said: keep-alive finds it."""
    them, caller, callee = _rig(world, "tcp", NO_CHECKS)
    settle(them)
    hang_up(*_expect_server(caller, callee, them.a))
    mark = time.monotonic()
    them.break_active("drop")
    them.wait_event(40003, 2 * NOTICED, mark)
    hang_up(*_expect_server(caller, callee, them.b))


def _ringing(caller, callee, timeout=5.0):
    call = caller.invite("1001")
    check(call.transaction.wait_status(180, timeout), f"{call.transaction.statuses()}")
    return call, callee.wait_call(2.0, len(callee.calls))


@scenario(transport=("udp", "tcp"))
def pair_cancel_follows_the_replayed_call(world, transport):
    """The active one dies while it rings; the caller gives up: it stops ringing by the other."""
    them, caller, callee = _rig(world, transport)
    callee.script = [(0.0, 180)]
    settle(them)
    call, first = _ringing(caller, callee)
    them.break_active("kill")
    second = callee.wait_call(NOTICED, 2)
    check(second, "the INVITE was not replayed")
    equal((_by_whom(first), _by_whom(second)), (them.a.address, them.b.address), "relayed by")
    check(callee.wait(lambda: second.transaction.last is not None, 2), "no 180 for the second")
    equal(call.cancel().wait_final(5).status, 200, "response to CANCEL")
    final = call.transaction.wait_final(5)
    equal(final and final.status, 487, "response to the cancelled INVITE")
    check(second.wait_ended(5), "the CANCEL did not reach the callee by B")
    equal([s for s in call.transaction.statuses() if s >= 200], [487], "final responses")


@scenario(transport=("udp", "tcp"))
def pair_cancelled_call_stops_ringing_without_its_server(world, transport):
    """The active one has vanished and cannot pass on the CANCEL: the phone does not ring for nobody."""
    them, caller, callee = _rig(world, transport)
    callee.script = [(0.0, 180)]
    settle(them)
    call, incoming = _ringing(caller, callee)
    them.world.firewall.vanish(them.a.address)
    equal(call.cancel().wait_final(5).status, 200, "response to CANCEL")
    them.b.set("active", 1)
    final = call.transaction.wait_final(2 * NOTICED)
    equal(final and final.status, 487, "response to the cancelled INVITE")
    check(incoming.wait_ended(5), "the callee rings on")
    equal(len(callee.new_calls()), 1, "INVITEs at the callee")


@scenario(transport=("udp", "tcp"))
def pair_request_inside_a_dialog_is_replayed(world, transport):
    """A re-INVITE that is on its way to the server that stalls reaches the other one, once."""
    them, caller, callee = _rig(world, transport)
    settle(them)
    call, incoming = _expect_server(caller, callee, them.a)
    them.break_active("stop")
    final = call.reinvite().wait_final(NOTICED)
    equal(final and final.status, 200, "response to the re-INVITE")
    info = call.request("INFO").wait_final(NOTICED)
    equal(info and info.status, 200, "response to INFO")
    hang_up(incoming, call)
    equal([m.method for m in incoming.requests if m.method == "INFO"], ["INFO"], "INFO requests")


@scenario()
def pair_route_names_whom_it_names_without_shared_dialogs(world):
    """shared-dialogs = false: a dialog belongs to the server that began it."""
    them, caller, callee = _rig(world, application={"shared-dialogs": "false"})
    settle(them)
    call, _ = _expect_server(caller, callee, them.a)
    mark = time.monotonic()
    them.break_active("role")
    them.wait_event(40003, NOTICED, mark)
    server = uri_of(next(r for r in call.route if them.a.address in r))
    check(server, "no Route of A")
    final = call.request("INFO").wait_final(5)
    equal(final and final.status, 200, "response to INFO")
    found = callee.wait_seen(2.0, method="INFO")
    # A itself has relayed it: its Via is there.
    check(any(them.a.address in via for via in found[0].msg.all("via")),
          f"INFO came by {found[0].msg.all('via')}")
    hang_up(*_expect_server(caller, callee, them.b))
