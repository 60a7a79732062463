# SPDX-License-Identifier: Apache-2.0
"""sips: URIs (RFC 5630) among devices that speak TLS."""

from lib.recovery import BRISK
from lib.scenario import check, complete_call, equal, hang_up, scenario
from lib.sip import Uri, uri_of

DNS = {"1001": {"type": "extension"}, "1003": {"type": "extension"}}


def _proxy(world):
    return world.proxy({**world.tls_options(), **BRISK}, DNS)


@scenario()
def sips_call(world):
    """Each hop is TLS, by Via and Record-Route too; both sides speak inside the dialog; a device
    that has no sips contact is not called, and the caller is told why."""
    _proxy(world)
    phone = world.phone(transport="tls")
    phone.scheme = "sips"
    equal(phone.register().status, 200, "REGISTER with a sips contact")
    plain = world.registered_phone("1003", 1, transport="tls")
    caller = world.caller(transport="tls")
    caller.scheme = "sips"

    call, incoming = complete_call(caller, "1001", phone)
    invite = incoming.invite
    check(invite.uri.startswith("sips:1001@"), f"Request-URI {invite.uri}")
    equal({v.split()[0] for v in invite.all("via")}, {"SIP/2.0/TLS"}, "transports in Via")
    routes = [Uri(uri_of(r)) for r in invite.all("record-route")]
    equal({(u.scheme, u.port, u.transport) for u in routes}, {("sips", 5061, "")}, "Record-Route")
    for side in (call, incoming):
        equal(side.reinvite().wait_final(5).status, 200, "re-INVITE")
    hang_up(incoming, call)

    final = caller.invite("1003").transaction.wait_final(5)
    equal(final and final.status, 480, "final response for a device without sips contact")
    check('380' in final.get("warning") and '"SIPS Not Allowed"' in final.get("warning"),
          f"Warning {final.get('warning')!r}")
    equal(plain.new_calls(), [], "calls at the device without sips contact")


@scenario(transport=("udp", "tcp", "tls"))
def sip_call_to_a_sips_contact(world, transport):
    """The device is called by TLS, with a sip Request-URI; its connection is opened again so too."""
    proxy = _proxy(world)
    phone = world.phone(transport="tls")
    phone.scheme = "sips"
    equal(phone.register().status, 200, "REGISTER with a sips contact")
    caller = world.caller(transport=transport)
    phone.scheme = "sip"
    hang_up(*complete_call(caller, "1001", phone))
    phone.registered_by.close()
    call, incoming = complete_call(caller, "1001", phone)
    check(incoming.invite.uri.startswith("sip:1001@"), f"Request-URI {incoming.invite.uri}")
    equal({c.transport for c in phone.new_calls()[-1].conns}, {"tls"}, "connections of the INVITE")
    hang_up(incoming, call)
    proxy.check_alive()
