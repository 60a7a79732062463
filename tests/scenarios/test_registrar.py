# SPDX-License-Identifier: Apache-2.0
"""REGISTER to bindings: what a phone may do, and what the next call finds."""

import contextlib
import os
import time

from lib import netns
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario
from lib.sip import Msg, Uri, params_of, parse_challenge, token, uri_of


def _contacts(response):
    """{uri: params} of the Contacts in a 200 to REGISTER."""
    return {uri_of(c): params_of(c) for c in response.all("contact")}


def _status(response):
    return response.status if response else None


@scenario()
def register_add_refresh_remove(world):
    world.proxy()
    phone = world.phone(transport="tcp")
    own = uri_of(phone.contact())
    final = phone.register(expires=120)
    equal(_status(final), 200, "REGISTER")
    bindings = _contacts(final)
    check(own in bindings, f"the binding is not in the 200: {bindings}")
    check(0 < int(bindings[own]["expires"]) <= 120, f"expires {bindings[own]}")
    final = phone.register(expires=200)
    equal(len(_contacts(final)), 1, "bindings after a refresh")
    check(120 < int(_contacts(final)[own]["expires"]) <= 200, "expires after a refresh")
    # A query changes nothing.
    equal(len(_contacts(phone.register(contacts=[], expires=None))), 1, "bindings in a query")
    final = phone.register(expires=0)
    equal((_status(final), len(_contacts(final))), (200, 0), "removal")
    caller = world.caller(transport="tcp")
    world.proxies[0].check_alive()
    final = caller.invite("1001").transaction.wait_final(5)
    check(_status(final) in (404, 480), f"call after removal: {_status(final)}")


@scenario()
def register_star_removes_all(world):
    world.proxy()
    phone = world.phone(transport="tcp")
    contacts = [f"<sip:1001@{netns.PHONE}:{port};transport=tcp>" for port in (5060, 5070)]
    equal(len(_contacts(phone.register(contacts=contacts))), 2, "bindings")
    bad = phone.register(contacts=["*"], expires=10)
    equal(_status(bad), 400, "* with Expires other than 0")
    final = phone.register(contacts=["*"], expires=0)
    equal((_status(final), len(_contacts(final))), (200, 0), "removal of all")


@scenario()
def register_too_brief(world):
    """RFC 3261 10.3 step 7: 423 with Min-Expires; a longer one is cut to the maximum."""
    world.proxy()
    phone = world.phone(transport="tcp")
    final = phone.register(expires=1)
    equal(_status(final), 423, "REGISTER with one second")
    least = final.get("min-expires")
    check(least.isdigit() and int(least) > 1, f"Min-Expires {least!r}")
    equal(_status(phone.register(expires=int(least))), 200, "REGISTER with Min-Expires")
    final = phone.register(expires=10_000_000)
    equal(_status(final), 200, "REGISTER with ten million seconds")
    check(int(list(_contacts(final).values())[0]["expires"]) < 10_000_000, "expires was not cut")


@scenario()
def register_cseq_and_call_id(world):
    """RFC 3261 10.3 step 7: same Call-ID with a CSeq that is not higher is refused."""
    world.proxy()
    phone = world.phone(transport="tcp")
    call_id = token()
    equal(_status(phone.register(call_id=call_id, cseq=10)), 200, "first")
    final = phone.register(call_id=call_id, cseq=9)
    check(_status(final) >= 400, f"older CSeq: {_status(final)}")
    equal(_status(phone.register(call_id=call_id, cseq=11)), 200, "higher CSeq")


@scenario()
def register_several_contacts_and_q(world):
    """q decides the order with fork = q; equal q rings together."""
    world.proxy({"fork": "q"})
    first = world.phone(index=0, transport="tcp")
    second = world.phone(index=1, transport="udp")
    equal(_status(first.register(contacts=[first.contact(params=";q=0.3")])), 200, "REGISTER")
    equal(_status(second.register(contacts=[second.contact(params=";q=0.9")])), 200, "REGISTER")
    second.script = [(0.0, 180), (0.1, 486)]
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", first)
    equal(len(second.new_calls()), 1, "calls at the phone with the higher q")
    check(second.new_calls()[0].arrivals[0] < first.new_calls()[0].arrivals[0],
          "the lower q was tried first")
    hang_up(call, incoming)


@scenario()
def unknown_user_and_not_registered(world):
    """Unknown user of a domain of ours: 404; known but not registered: 480."""
    world.proxy(dns={"1001": {"type": "extension"}})
    caller = world.caller(transport="tcp")
    equal(_status(caller.invite("1001").transaction.wait_final(5)), 480, "known, not registered")
    equal(_status(caller.invite("7777").transaction.wait_final(5)), 404, "unknown")
    phone = world.phone("7777", transport="tcp")
    check(_status(phone.register()) in (403, 404), "a name without a [dn] section registered")


@scenario()
def register_from_outside_is_refused(world):
    world.proxy({"registrar-open-to": "127.0.0.0/8, 10.77.8.0/24"})
    phone = world.phone(transport="tcp")
    equal(_status(phone.register()), 403, "REGISTER from outside registrar-open-to")
    near = world.caller(transport="tcp")
    equal(_status(near.register()), 200, "REGISTER from inside")


@scenario()
def default_registrar_is_open_to_loopback_only(world):
    world.proxy(base=False)
    equal(_status(world.phone(transport="tcp").register()), 403, "REGISTER from a network")
    local = world._device(world.net.proxy, "127.0.0.1", "1001", ("127.0.0.1", 5060),
                          {"port": 5090, "transport": "tcp"})
    equal(_status(local.register()), 200, "REGISTER from loopback")


SECRET = {"1001": {"type": "extension", "password": "s3cret"}, "2001": {"type": "extension"}}


@scenario()
def digest_md5_and_sha256(world):
    """RFC 8760: both offered, SHA-256 first; each is accepted, a wrong password is not."""
    world.proxy(dns=SECRET)
    phone = world.phone(transport="tcp")
    uri = f"sip:{phone.domain}"
    final = phone.register()
    equal(_status(final), 401, "REGISTER without credentials")
    offered = [parse_challenge(v).get("algorithm", "MD5") for v in final.all("www-authenticate")]
    equal(sorted(a.upper() for a in offered), ["MD5", "SHA-256"], "algorithms offered")
    equal(offered[0].upper(), "SHA-256", "algorithm offered first")
    phone.password = "s3cret"
    for algorithm in ("MD5", "SHA-256"):
        challenge = phone.register(answer_challenge=False)
        equal(_status(challenge), 401, "challenge")
        answer = phone.credentials(challenge, "REGISTER", uri, algorithm)
        equal(_status(phone.register(credentials=answer)), 200, f"REGISTER with {algorithm}")
    phone.password = "wrong"
    final = phone.register()
    check(_status(final) in (401, 403), f"wrong password: {_status(final)}")


@scenario()
def digest_password_ha1(world):
    """password-ha1 keeps the hash instead of the word."""
    import hashlib
    ha1 = hashlib.md5(f"1001:{netns.PROXY}:s3cret".encode()).hexdigest()
    world.proxy({"sip-domains": netns.PROXY},
                dns={"1001": {"type": "extension", "password-ha1": ha1}})
    phone = world.phone(transport="tcp", password="s3cret")
    challenge = phone.register(answer_challenge=False)
    equal(_status(challenge), 401, "challenge")
    answer = phone.credentials(challenge, "REGISTER", f"sip:{phone.domain}", "MD5")
    equal(_status(phone.register(credentials=answer)), 200, "REGISTER")


@scenario()
def digest_replay_and_stale(world):
    """A used nonce-count is refused; a nonce that is not ours is stale, not forbidden."""
    world.proxy(dns=SECRET)
    phone = world.phone(transport="tcp", password="s3cret")
    uri = f"sip:{phone.domain}"
    challenge = phone.register(answer_challenge=False)
    answer = phone.credentials(challenge, "REGISTER", uri)
    equal(_status(phone.register(credentials=answer)), 200, "first use")
    equal(_status(phone.register(credentials=answer)), 401, "replay of the same credentials")
    higher = phone.credentials(challenge, "REGISTER", uri, nc=2)
    check(_status(phone.register(credentials=higher)) in (200, 401), "next nonce-count")
    name = parse_challenge(challenge.get("www-authenticate"))["nonce"]
    text = Msg("SIP/2.0 401 x", [("WWW-Authenticate", v.replace(name, "0" * len(name)))
                                 for v in challenge.all("www-authenticate")[:1]])
    final = phone.register(credentials=phone.credentials(text, "REGISTER", uri))
    equal(_status(final), 401, "a nonce that we did not make")
    check(any(parse_challenge(v).get("stale", "").lower() == "true"
              for v in final.all("www-authenticate")), "the challenge does not say stale")


@scenario()
def requests_are_challenged_where_all_authenticate(world):
    """sip-authenticate = all: 407 for an INVITE of our own user; with credentials it passes."""
    world.proxy({"sip-authenticate": "all"},
                {**SECRET, "2001": {"type": "extension", "password": "other"}})
    phone = world.phone(transport="tcp", password="s3cret")
    equal(_status(phone.register()), 200, "REGISTER")
    caller = world.caller(transport="tcp", password="other")
    first = caller.invite("1001")
    final = first.transaction.wait_final(5)
    equal(_status(final), 407, "INVITE without credentials")
    value = caller.credentials(final, "INVITE", caller.aor("1001"))
    call, incoming = complete_call(caller, "1001", phone, headers=[("Proxy-Authorization", value)],
                                   cseq=2, call_id=first.call_id)
    check(not incoming.invite.get("proxy-authorization"), "credentials for us were passed on")
    hang_up(call, incoming)


@scenario()
def path_is_kept_and_used(world):
    """RFC 3327: requests to the binding go by its Path."""
    world.proxy()
    phone = world.phone(transport="udp")
    edge = world.raw(world.net.caller, "10.77.8.3", tcp=False)
    path = "<sip:10.77.8.3:5060;lr>"
    final = phone.register(headers=[("Path", path), ("Supported", "path")])
    equal(_status(final), 200, "REGISTER with Path")
    equal(uri_of(final.get("path")), uri_of(path), "Path in the 200")
    caller = world.caller(transport="udp")
    caller.invite("1001")
    seen = edge.wait_seen(5, method="INVITE")
    check(seen, "the INVITE did not go to the Path's host")
    invite = seen[0].msg
    equal(uri_of(invite.get("route")), uri_of(path), "Route")
    equal(Uri(invite.uri).host, netns.PHONE, "request URI")
    equal(len(phone.new_calls()), 0, "INVITEs past the Path")


INSTANCE = ';+sip.instance="<urn:uuid:00000000-0000-1000-8000-0a0b0c0d0e0f>"'


@scenario()
def outbound_binding_is_reached_by_its_flow(world):
    """RFC 5626: reg-id and +sip.instance; the call comes over the connection of the REGISTER."""
    world.proxy()
    phone = world.phone(transport="tcp")
    phone.stop_listening()
    conn = phone.connect((netns.PROXY, 5060))
    contact = phone.contact(params=f"{INSTANCE};reg-id=1")
    final = phone.register(conn=conn, contacts=[contact], headers=[("Supported", "outbound, path")])
    equal(_status(final), 200, "REGISTER with outbound")
    check("outbound" in final.all("require"), "no Require: outbound in the 200")
    timer = final.get("flow-timer")
    check(timer.isdigit() and int(timer) > 0, f"Flow-Timer {timer!r}")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    equal(phone.new_calls()[0].conns, [conn], "connection of the INVITE")
    # A device that does not accept gets the requests of the dialog by its flow as well.
    final = call.request("INFO").wait_final(5)
    equal(_status(final), 200, "INFO inside the dialog")
    hang_up(call, incoming)


@scenario()
def outbound_second_flow_replaces_the_first(world):
    """Same instance and reg-id: one binding, on the newer connection (after a reboot)."""
    world.proxy()
    phone = world.phone(transport="tcp")
    contact = phone.contact(params=f"{INSTANCE};reg-id=1")
    for _ in range(2):
        conn = phone.connect((netns.PROXY, 5060))
        final = phone.register(conn=conn, contacts=[contact], call_id=token(),
                               headers=[("Supported", "outbound, path")])
        equal(_status(final), 200, "REGISTER")
        equal(len(_contacts(final)), 1, "bindings")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    equal(phone.new_calls()[0].conns, [conn], "connection of the INVITE")
    hang_up(call, incoming)


@scenario()
def outbound_second_flow_is_used_when_the_first_is_gone(world):
    """Two reg-ids of one instance: one call at the phone, by whichever flow lives (430 inside)."""
    world.proxy({"sip-enable-tcp-keep-alive": "true"})
    phone = world.phone(transport="tcp")
    phone.stop_listening()
    flows = []
    for number in (1, 2):
        conn = phone.connect((netns.PROXY, 5060))
        flows.append(conn)
        final = phone.register(conn=conn, contacts=[phone.contact(params=f"{INSTANCE};reg-id={number}")],
                               headers=[("Supported", "outbound, path")])
        equal(_status(final), 200, "REGISTER")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    equal(len(phone.new_calls()), 1, "INVITE transactions at the phone")
    used = phone.new_calls()[0].conns[0]
    hang_up(incoming, call)
    used.reset()
    call, incoming = complete_call(caller, "1001", phone)
    equal(len(phone.new_calls()), 2, "INVITE transactions at the phone")
    check(phone.new_calls()[1].conns[0] is not used, "connection of the second INVITE")
    hang_up(incoming, call)


def _bindings(world, user="1001"):
    """What the proxy knows about the user, asked by a REGISTER without Contact."""
    asking = world.phone(user, 2, transport="udp")
    final = asking.register(contacts=[], expires=None, timeout=3)
    asking.close()
    return _contacts(final) if final else {}


@scenario()
def sqlite_survives_kill_9(world):
    """An acknowledged binding older than 100 ms is there after a crash, and a call reaches it."""
    path = world.path("location.db")
    proxy = world.proxy({"location": f"sqlite:{path}"})
    phones = [world.registered_phone(str(1001 + i), 0, port=5100 + i, transport="tcp")
              for i in range(20)]
    caller = world.caller(transport="tcp")
    caller.wait(lambda: False, 0.3)     # three times the 100 ms of the promise
    proxy.kill()
    check(os.path.getsize(path) > 0, "no database file")
    proxy.start()
    for phone in phones:
        call, incoming = complete_call(caller, phone.user, phone)
        hang_up(call, incoming)


@scenario()
def sqlite_keeps_removals_and_clean_stops(world):
    path = world.path("location.db")
    proxy = world.proxy({"location": f"sqlite:{path}"})
    world.registered_phone("1001", 0, transport="tcp")
    gone = world.registered_phone("1002", 1, transport="tcp")
    equal(_status(gone.register(expires=0)), 200, "removal")
    equal(proxy.stop(), 0, "exit status")
    proxy.start()
    check(len(_bindings(world, "1001")) == 1, "the binding is lost")
    check(len(_bindings(world, "1002")) == 0, "the removed binding is back")


@scenario()
def full_disk_is_logged_and_the_proxy_goes_on(world):
    folder = world.tmpfs("small", 256)
    proxy = world.proxy({"location": f"sqlite:{folder}/location.db"})
    phone = world.registered_phone(transport="tcp")
    filler = os.open(f"{folder}/filler", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(filler, b"x" * 4096)
    os.close(filler)
    mark = time.monotonic()
    contact = "<sip:1001@10.77.1.2:{};transport=tcp;filler=" + "y" * 200 + ">"
    for number in range(60):
        final = phone.register(contacts=[contact.format(6000 + number)], expires=300, user=f"u{number}")
        equal(_status(final), 200, "REGISTER with a full disk")
    check(proxy.log_matches(r"(disk|database|sqlite|location).*", 5.0, mark), "nothing was logged")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)


@scenario()
def broken_database_is_logged_and_the_proxy_starts(world):
    path = world.path("location.db")
    with open(path, "wb") as out:
        out.write(os.urandom(20000))
    proxy = world.proxy({"location": f"sqlite:{path}"})
    check(proxy.log_matches(r"location|database|sqlite", 5), "nothing was logged")
    phone = world.registered_phone(transport="tcp")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)


@scenario()
def many_phones_behind_one_address(world):
    """Two hundred bindings over as many connections from one address, each called once."""
    world.proxy()
    phones = [world.registered_phone(str(3000 + i), 0, port=5200 + i, transport="tcp", udp=False)
              for i in range(200)]
    caller = world.caller(transport="tcp")
    calls = [caller.invite(phone.user) for phone in phones]
    for call in calls:
        check(call.wait_established(10), f"not established: {call.transaction.statuses()}")
    eventually(lambda: all(len(p.new_calls()) == 1 for p in phones), 5, "each phone has one call")
    equal(Uri(uri_of(calls[0].target) if "<" in calls[0].target else calls[0].target).port, 5200,
          "the callee of the first call")
