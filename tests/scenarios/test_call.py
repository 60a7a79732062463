"""Calls between devices, without faults on the way."""

from lib.scenario import check, complete_call, equal, hang_up, scenario
from lib.sip import Uri, params_of, uri_of


def _answered(world, caller_transport, phone_transport):
    world.proxy()
    phone = world.registered_phone(transport=phone_transport)
    caller = world.caller(transport=caller_transport)
    call, incoming = complete_call(caller, "1001", phone)
    check(180 in call.transaction.statuses(), "the caller did not see the 180")
    equal(len(phone.new_calls()), 1, "calls at the phone")
    return caller, phone, call, incoming


@scenario()
def call_over_udp(world):
    _, _, call, incoming = _answered(world, "udp", "udp")
    hang_up(call, incoming)


@scenario()
def call_over_tcp(world):
    _, _, call, incoming = _answered(world, "tcp", "tcp")
    hang_up(incoming, call)
