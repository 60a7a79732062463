# SPDX-License-Identifier: Apache-2.0
"""SIPp, a peer that is not ours, calls through the proxy over UDP and TCP."""

from lib import netns
from lib.scenario import check, scenario
from lib.sipp import Sipp, register

CALLS = 20


def _pair(world, transport, uas, uac, calls=CALLS, options=None, lose=None):
    """A registered SIPp callee behind the firewall and a SIPp caller; both must end well."""
    world.proxy(options)
    register(world, world.net.phone, netns.PHONE, 5060, netns.PROXY, transport)
    callee = Sipp(world, world.net.phone, netns.PHONE, uas, transport, calls).ready()
    if lose:
        lose()
    caller = Sipp(world, world.net.caller, netns.CALLER, uac, transport, calls,
                  remote=netns.PROXY_NEAR_CALLER)
    caller.finish()
    callee.finish()


@scenario(timeout=90)
def sipp_call_over_udp(world):
    _pair(world, "udp", "uas_call", "uac_call")


@scenario(timeout=90)
def sipp_call_over_tcp(world):
    _pair(world, "tcp", "uas_call", "uac_call")


@scenario(timeout=90)
def sipp_reinvite_over_udp(world):
    _pair(world, "udp", "uas_reinvite", "uac_reinvite")


@scenario(timeout=90)
def sipp_reinvite_over_tcp(world):
    _pair(world, "tcp", "uas_reinvite", "uac_reinvite")


@scenario(timeout=90)
def sipp_cancel_over_udp(world):
    _pair(world, "udp", "uas_cancel", "uac_cancel")


@scenario(timeout=90)
def sipp_cancel_over_tcp(world):
    _pair(world, "tcp", "uas_cancel", "uac_cancel")


@scenario(timeout=90)
def sipp_reject_over_udp(world):
    _pair(world, "udp", "uas_reject", "uac_486")


@scenario(timeout=90)
def sipp_reject_over_tcp(world):
    _pair(world, "tcp", "uas_reject", "uac_486")


@scenario(timeout=90)
def sipp_no_answer_over_udp(world):
    _pair(world, "udp", "uas_no_answer", "uac_no_answer", 3, {"timer-c": "2"})


@scenario(timeout=90)
def sipp_no_answer_over_tcp(world):
    _pair(world, "tcp", "uas_no_answer", "uac_no_answer", 3, {"timer-c": "2"})


def _lossy(world, interface):
    """One datagram of six is lost on its way in by this interface of the firewall."""
    _pair(world, "udp", "uas_call_lossy", "uac_call_lossy", 10,
          lose=lambda: world.firewall.lose_every(6, interface))
    check(sum(world.firewall.dropped()) >= 5, "the firewall dropped almost nothing")


@scenario(timeout=90)
def sipp_retransmission_of_lost_requests(world):
    _lossy(world, "toproxy")


@scenario(timeout=90)
def sipp_retransmission_of_lost_responses(world):
    _lossy(world, "tophone")


def _forked(world, transport):
    """Two bindings of a DN: one answers, the other rings and gets CANCEL, in every call."""
    world.proxy()
    second = netns.phone_address(1)
    register(world, world.net.phone, netns.PHONE, 5060, netns.PROXY, transport)
    register(world, world.net.phone, second, 5060, netns.PROXY, transport)
    answering = Sipp(world, world.net.phone, netns.PHONE, "uas_call", transport, CALLS).ready()
    ringing = Sipp(world, world.net.phone, second, "uas_cancel", transport, CALLS).ready()
    caller = Sipp(world, world.net.caller, netns.CALLER, "uac_call", transport, CALLS,
                  remote=netns.PROXY_NEAR_CALLER)
    for peer in (caller, answering, ringing):
        peer.finish()


@scenario(timeout=90)
def sipp_forked_call_over_udp(world):
    _forked(world, "udp")


@scenario(timeout=90)
def sipp_forked_call_over_tcp(world):
    _forked(world, "tcp")
