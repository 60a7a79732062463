# SPDX-License-Identifier: Apache-2.0
"""Two baresip phones register through the proxy and call each other; audio without a sound card."""

from lib import netns
from lib.baresip import Baresip
from lib.scenario import equal, scenario


def _two_phones(world, transport):
    world.proxy(dns={"1001": {"type": "extension"}, "1002": {"type": "extension"}})
    one = Baresip(world, world.net.phone, netns.PHONE, "1001", netns.PROXY, transport)
    two = Baresip(world, world.net.caller, netns.CALLER, "1002", netns.PROXY_NEAR_CALLER, transport)
    one.wait_registered()
    two.wait_registered()
    return one, two


def _call(caller, callee, ends):
    """One call; `ends` hangs up; both sides see it established and closed."""
    count = caller.count_event("CALL_ESTABLISHED") + 1
    closed = caller.count_event("CALL_CLOSED") + 1
    caller.dial(callee.user)
    for phone in (caller, callee):
        phone.wait_event("CALL_ESTABLISHED", 10, count)
    ends.hang_up()
    for phone in (caller, callee):
        phone.wait_event("CALL_CLOSED", 10, closed)
    equal(callee.count_event("CALL_ESTABLISHED"), count, "calls established at the callee")


@scenario(timeout=90)
def baresip_calls_over_tcp(world):
    one, two = _two_phones(world, "tcp")
    _call(one, two, one)
    _call(one, two, two)
    _call(two, one, one)
    _call(two, one, two)


@scenario(timeout=90)
def baresip_calls_over_udp(world):
    one, two = _two_phones(world, "udp")
    _call(one, two, one)
    _call(one, two, two)
    _call(two, one, one)
    _call(two, one, two)
