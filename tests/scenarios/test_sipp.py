"""SIPp, a peer that is not ours, calls through the proxy over UDP and TCP."""

from lib import netns
from lib.scenario import check, scenario
from lib.sipp import Sipp, register

CALLS = 20


def _pair(world, transport, uas, uac, calls=CALLS, options=None, lose=0):
    """A registered SIPp callee behind the firewall and a SIPp caller; both must end well."""
    world.proxy(options)
    register(world, world.net.phone, netns.PHONE, 5060, netns.PROXY, transport)
    callee = Sipp(world, world.net.phone, netns.PHONE, uas, transport, calls).ready()
    if lose:
        world.firewall.lose(lose)
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
    _pair(world, "udp", "uas_no_answer", "uac_408", 3, {"timer-c": "2"})


@scenario(timeout=90)
def sipp_no_answer_over_tcp(world):
    _pair(world, "tcp", "uas_no_answer", "uac_408", 3, {"timer-c": "2"})


@scenario(timeout=90)
def sipp_calls_survive_loss_over_udp(world):
    """A tenth of the datagrams is lost both ways; every call is repaired by retransmission."""
    _pair(world, "udp", "uas_call_lossy", "uac_call", 10, lose=10)
    check(sum(world.firewall.dropped()) > 0, "the firewall dropped nothing")


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
