# SPDX-License-Identifier: Apache-2.0
"""DNs out of service and back: active checks by OPTIONS, and what else brings a DN back."""

import time

from lib import netns
from lib.recovery import (BRISK, CONNECT_TIMEOUT, REOPEN_DELAY, Rig, SAID, SLACK, TCP,
                          TCP_OURS, TLS_OURS)
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario

CHECKED = {"type": "extension", "oos-check": "1", "oos-force": "1"}
# From the last answered check to the state: one interval, oos-force, and what a check may wait.
NOTICED = 1.0 + 1.0 + 2 * SLACK


def _dns(**more):
    return {"1001": dict(CHECKED, **{k.replace("_", "-"): v for k, v in more.items()}),
            "2001": {"type": "extension"}}


def _checked(phone, since=0.0):
    return phone.transactions("OPTIONS", since)


def _wait_check(phone, timeout=NOTICED):
    mark = time.monotonic()
    check(phone.wait(lambda: _checked(phone, mark), timeout), "no OPTIONS came")


def _wait_state(rig, word, since):
    pattern = {"out": r"out.of.service", "in": r"(back )?in.service"}[word]
    check(rig.proxy.log_matches(rf"\b{pattern}\b.*1001|1001.*\b{pattern}\b", NOTICED, since),
          f"no log line says: {word} of service")


def _answered_at_once(rig):
    """A call is refused with 480 and Retry-After, and nothing of it reaches the phone."""
    rig.mark()
    final = rig.caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 480, "final response while out of service")
    check(final.get("retry-after")[:1].isdigit(), f"Retry-After {final.get('retry-after')!r}")
    equal(len(rig.new_calls()), 0, "calls at the phone while out of service")


@scenario(way=(TCP, TLS_OURS))
def checked_phone_stops_answering_and_comes_back(world, way):
    rig = Rig(world, way, dns=_dns())
    _wait_check(rig.phone)
    mark = time.monotonic()
    rig.phone.silent = {"OPTIONS"}
    _wait_state(rig, "out", mark)
    _answered_at_once(rig)
    mark = time.monotonic()
    rig.phone.silent = set()
    _wait_state(rig, "in", mark)
    hang_up(*rig.complete_call())


@scenario(way=(TCP, TLS_OURS))
def checked_phone_becomes_unreachable_and_comes_back(world, way):
    """Silent firewall without any call: found by the check, and back by the check."""
    rig = Rig(world, way, dns=_dns())
    _wait_check(rig.phone)
    mark = time.monotonic()
    world.firewall.drop_all()
    _wait_state(rig, "out", mark)
    _answered_at_once(rig)
    mark = time.monotonic()
    world.firewall.heal()
    _wait_state(rig, "in", mark)
    hang_up(*rig.complete_call())


@scenario()
def checked_phone_over_udp(world):
    world.proxy(BRISK, _dns())
    phone = world.registered_phone(transport="udp")
    caller = world.caller(transport="udp")
    _wait_check(phone)
    phone.silent = {"OPTIONS"}
    proxy = world.proxies[0]
    check(proxy.log_matches(r"out.of.service", NOTICED), "not out of service")
    equal(caller.invite("1001").transaction.wait_final(5).status, 480, "final response")
    mark = time.monotonic()
    phone.silent = set()
    check(proxy.log_matches(r"\bin.service", NOTICED, mark), "not back in service")
    hang_up(*complete_call(caller, "1001", phone))


@scenario()
def any_final_response_to_a_check_is_an_answer(world):
    rig = Rig(world, dns=_dns())
    rig.phone.replies = {"OPTIONS": 486}
    for _ in range(2):
        _wait_check(rig.phone)
    hang_up(*rig.complete_call())
    equal(rig.proxy.counters()["dn_out_of_service"], 0, "dn_out_of_service")


@scenario()
def listed_response_to_a_check_is_no_answer(world):
    rig = Rig(world, dns=_dns(oos_check_failure="503"))
    _wait_check(rig.phone)
    mark = time.monotonic()
    rig.phone.replies = {"OPTIONS": 503}
    _wait_state(rig, "out", mark)
    _answered_at_once(rig)
    mark = time.monotonic()
    rig.phone.replies = {"OPTIONS": 486}
    _wait_state(rig, "in", mark)


@scenario()
def phone_that_was_out_of_service_registers(world):
    """REGISTER brings it back before the next check does."""
    rig = Rig(world, dns=_dns(oos_check="300", oos_force="30", recovery_timeout="3600"))
    rig.reachable_no_more()
    equal(rig.caller.invite("1001").transaction.wait_final(5).status, 480, "final response")
    _answered_at_once(rig)
    world.firewall.heal()
    rig.phone.listen()
    mark = time.monotonic()
    fresh = rig.phone.connect((netns.PROXY, 5060))
    equal(rig.phone.register(conn=fresh).status, 200, "REGISTER")
    _wait_state(rig, "in", mark)
    hang_up(*rig.complete_call())


@scenario(way=(TCP_OURS,))
def phone_that_was_out_of_service_connects(world, way):
    """A new connection of the device is enough."""
    dns = {"1001": {"type": "extension", "recovery-timeout": "3600"},
           "2001": {"type": "extension"}}
    rig = Rig(world, way, dns=dns)
    rig.reachable_no_more()
    equal(rig.caller.invite("1001").transaction.wait_final(5).status, 480, "final response")
    _answered_at_once(rig)
    world.firewall.heal()
    rig.phone.listen()
    conn = rig.phone.connect((netns.PROXY, 5060))
    final = rig.phone.request("OPTIONS", f"sip:{netns.PROXY}", conn=conn).wait_final(5)
    equal(final and final.status, 200, "OPTIONS on the new connection")
    hang_up(*rig.complete_call())


@scenario(way=(TCP, TCP_OURS))
def recovery_timeout_lets_the_dn_be_tried_again(world, way):
    dns = {"1001": {"type": "extension", "recovery-timeout": "1"}, "2001": {"type": "extension"}}
    rig = Rig(world, way, dict(SAID, **{"tcp-connect-timeout": "1"}), dns)
    rig.phone.stop_listening()
    rig.reboot()
    equal(rig.caller.invite("1001").transaction.wait_final(5).status, 480, "final response")
    rig.phone.listen()
    eventually(lambda: rig.caller.invite("1001").wait_established(0.5), 1.0 + 2 * SLACK,
               "never tried again", interval=0.2)


@scenario()
def checks_are_spread_over_the_interval(world):
    """Thirty DNs with the same interval: no two tenths of a second hold a third of the checks."""
    names = [str(1100 + i) for i in range(30)]
    world.proxy(BRISK, {n: {"type": "extension", "oos-check": "2",
                            "contact": f"sip:{n}@{netns.PHONE}:5060"} for n in names})
    phone = world.phone("1100", transport="udp")
    phone.wait(lambda: len(_checked(phone)) >= 30, 4.0 + SLACK)
    when = sorted(t.arrivals[0] for t in _checked(phone))
    check(len(when) >= 30, f"only {len(when)} checks came")
    crowd = max(sum(1 for t in when if at <= t < at + 0.2) for at in when)
    check(crowd <= 10, f"{crowd} of {len(when)} checks within 0.2 s")


@scenario()
def unchecked_dn_gets_no_options(world):
    rig = Rig(world)
    rig.phone.wait(lambda: _checked(rig.phone), REOPEN_DELAY + CONNECT_TIMEOUT)
    equal(len(_checked(rig.phone)), 0, "OPTIONS at the phone")


@scenario(way=(TCP_OURS, TLS_OURS))
def fixed_contact_that_registers_too_is_called_once(world, way):
    """The same URI from two sources is one target (RFC 3261 16.5)."""
    rig = Rig(world, way)
    fresh = rig.phone.connect(rig.phone.proxy_at(rig.transport), transport=rig.transport)
    equal(rig.phone.register(conn=fresh).status, 200, "REGISTER")
    call, incoming = rig.complete_call()
    rig.one_call()
    hang_up(call, incoming)
