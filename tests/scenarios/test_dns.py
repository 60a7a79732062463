# SPDX-License-Identifier: Apache-2.0
"""Next hops by name (RFC 3263) with real DNS servers: failover, TTL, dead servers, hostile answers."""

import time

from lib import dns, netns
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario

DNS = {"2001": {"type": "extension"}}
FIRST, SECOND, THIRD = (netns.phone_address(i) for i in range(3))


def _proxy(world, **more):
    return world.proxy(dns.options(**more), DNS)


def _message(caller, uri, transport=None):
    """The final response's status, None without one."""
    final = caller.request("MESSAGE", uri, transport=transport, body=b"hello").wait_final(10)
    return final and final.status


def _got(phone):
    return len(phone.transactions("MESSAGE"))


@scenario(transport=("udp", "tcp"))
def srv_first_target_is_dead(world, transport):
    """The second target answers the call; for a while it is then asked first."""
    dns.Dnsmasq(world, [f"_sip._{transport}.pool.test 60 SRV 10 0 5060 a.test",
                        f"_sip._{transport}.pool.test 60 SRV 20 0 5060 b.test",
                        f"a.test 60 A {FIRST}", f"b.test 60 A {SECOND}"])
    proxy = _proxy(world, failover_time="300ms")
    phone = world.phone(index=1, transport=transport)
    caller = world.caller(transport="udp")
    uri = f"sip:1001@pool.test;transport={transport}"
    for _ in range(2):
        hang_up(*complete_call(caller, "1001", phone, uri=uri))
    equal(len(phone.new_calls()), 2, "calls at the second target")
    check(proxy.counters()["failovers"] >= 1, "no failover was counted")


@scenario()
def srv_first_target_answers_503(world):
    """Over the whole list; one target is asked once, and the caller sees one call."""
    dns.Unbound(world, ["_sip._udp.pool.test 60 SRV 10 0 5060 a.test",
                        "_sip._udp.pool.test 60 SRV 20 0 5060 b.test",
                        "_sip._udp.pool.test 60 SRV 30 0 5060 c.test",
                        f"a.test 60 A {FIRST}", f"b.test 60 A {SECOND}", f"c.test 60 A {THIRD}"])
    _proxy(world)
    phones = [world.phone(index=i, transport="udp") for i in range(3)]
    for phone in phones[:2]:
        phone.script = [(0.0, 503)]
    caller = world.caller(transport="udp")
    call, incoming = complete_call(caller, "1001", phones[2], uri="sip:1001@pool.test")
    check(503 not in call.transaction.statuses(), "the caller has seen the 503")
    equal([len(p.transactions("INVITE")) for p in phones], [1, 1, 1], "INVITEs at the targets")
    hang_up(call, incoming)


@scenario()
def srv_priorities_and_weights(world):
    """Both targets of the first priority are used, none of the second; the AAAA and the A record of
    one host are both tried."""
    dns.Dnsmasq(world, ["_sip._udp.pool.test 60 SRV 10 50 5060 a.test",
                        "_sip._udp.pool.test 60 SRV 10 50 5060 b.test",
                        "_sip._udp.pool.test 60 SRV 20 99 5060 c.test",
                        f"a.test 60 A {FIRST}", f"b.test 60 A {SECOND}", f"c.test 60 A {THIRD}",
                        "both.test 60 AAAA fd77:1::5", f"both.test 60 A {THIRD}"])
    _proxy(world, failover_time="200ms")
    phones = [world.phone(index=i, transport="udp") for i in range(3)]
    caller = world.caller(transport="udp")
    for _ in range(30):
        equal(_message(caller, "sip:1001@pool.test"), 200, "final response to MESSAGE")
    counts = [_got(p) for p in phones]
    check(counts[0] > 0 and counts[1] > 0, f"{counts}: not both of the first priority")
    equal(counts[2], 0, "requests at the second priority")
    equal(_message(caller, "sip:1001@both.test:5060"), 200, "final response by the second family")
    equal(_got(phones[2]), 1, "requests at the host with both families")


@scenario()
def naptr_and_srv_answer_by_tcp(world):
    """NAPTR asks for TCP; sixty SRV records do not fit into a datagram."""
    records = [f"_sip._tcp.large.test 60 SRV {10 + i} 0 5060 t{i}.large.test" for i in range(60)]
    dns.Unbound(world, records + [
        "large.test 60 NAPTR 10 10 s SIP+D2T _sip._tcp.large.test",
        "large.test 60 NAPTR 20 10 s SIP+D2U _sip._udp.large.test",
        "_sip._udp.large.test 60 SRV 1 0 5060 t1.large.test",
        f"t0.large.test 60 A {FIRST}", f"t1.large.test 60 A {SECOND}"])
    proxy = _proxy(world)
    phone = world.phone(transport="tcp")
    caller = world.caller(transport="udp")
    call, incoming = complete_call(caller, "1001", phone, uri="sip:1001@large.test")
    hang_up(call, incoming)
    check(proxy.logged("more records than are used"), "no log line about what is not used")


@scenario()
def change_is_seen_after_the_ttl(world):
    server = dns.Unbound(world, [f"moving.test 1 A {FIRST}"])
    _proxy(world)
    phones = [world.phone(index=i, transport="udp") for i in range(2)]
    caller = world.caller(transport="udp")
    uri = "sip:1001@moving.test:5060"
    equal(_message(caller, uri), 200, "final response to MESSAGE")
    equal(_got(phones[0]), 1, "requests at the first address")
    server.restart([f"moving.test 1 A {SECOND}"])

    def has_moved():
        equal(_message(caller, uri), 200, "final response to MESSAGE")
        return _got(phones[1])
    eventually(has_moved, 10, "the new address is never used", interval=0.1)


@scenario()
def ttl_zero_is_asked_each_time(world):
    server = dns.Dnsmasq(world, [f"moving.test 0 A {FIRST}"], ttl=0)
    _proxy(world)
    phones = [world.phone(index=i, transport="udp") for i in range(2)]
    caller = world.caller(transport="udp")
    uri = "sip:1001@moving.test:5060"
    for _ in range(2):
        equal(_message(caller, uri), 200, "final response to MESSAGE")
    server.restart([f"moving.test 0 A {SECOND}"])
    equal(_message(caller, uri), 200, "final response to MESSAGE")
    equal([_got(p) for p in phones], [2, 1], "requests at the addresses before and after")


@scenario()
def servers_die_in_mid_operation(world):
    """What is known goes on after its TTL, what is not gets a 500, and it ends by itself."""
    records = [f"_sip._udp.pool.test 1 SRV 10 0 5060 a.test", f"a.test 1 A {FIRST}",
               f"later.test 60 A {FIRST}"]
    server = dns.Unbound(world, records, negative=1)
    proxy = _proxy(world, dns_timeout="200ms", dns_tries="1")
    phone = world.phone(transport="udp")
    caller = world.caller(transport="udp")
    known = "sip:1001@pool.test"
    hang_up(*complete_call(caller, "1001", phone, uri=known))
    server.stall()
    eventually(lambda: _message(caller, known) == 200 and proxy.counters()["dns_stale"], 10,
               "nothing is ever stale", interval=0.1)
    final = caller.invite("1001", uri="sip:1001@later.test:5060").transaction.wait_final(5)
    equal(final and final.status, 500, "final response for an unknown name")
    check("no DNS server answers" in final.get("reason"), f"Reason {final.get('reason')!r}")
    check(proxy.log_matches("DNS servers do not answer: known names go on", 2), "no log line")
    asked = proxy.counters()["dns_queries"]
    for _ in range(5):
        hang_up(*complete_call(caller, "1001", phone, uri=known))
    # By then each of the three names may have been looked for once more.
    check(proxy.counters()["dns_queries"] <= asked + 4, "dead servers are asked for each call")
    check(any(row["address"] == "10.77.8.2:53" and row["state"] == "silent"
              for row in proxy.control("resolver")["resolver_server"]),
          "holdfastctl resolver does not say that the server is silent")
    server.go_on()
    eventually(lambda: caller.invite("1001", uri="sip:1001@later.test:5060")
               .wait_established(2), 20, "the unknown name never becomes known", interval=0.2)
    check(proxy.log_matches("DNS servers answer again", 2), "no log line about the end")


@scenario()
def absence_is_remembered(world):
    dns.Unbound(world, [f"a.test 60 A {FIRST}"], negative=60)
    proxy = _proxy(world)
    caller = world.caller(transport="udp")
    asked = []
    for _ in range(3):
        final = caller.invite("1001", uri="sip:1001@nobody.test").transaction.wait_final(5)
        equal(final and final.status, 500, "final response for a name that does not exist")
        asked.append(proxy.counters()["dns_queries"])
    check(asked[0] > 0 and asked[0] == asked[2], f"DNS questions after each call: {asked}")


@scenario()
def srv_record_that_points_at_the_proxy(world):
    dns.Dnsmasq(world, ["_sip._udp.self.test 60 SRV 10 0 5060 proxy.test",
                        f"proxy.test 60 A {netns.PROXY}"])
    proxy = _proxy(world)
    caller = world.caller(transport="udp")
    final = caller.invite("1001", uri="sip:1001@self.test").transaction.wait_final(5)
    equal(final and final.status, 482, "final response")
    check(proxy.log_matches(r"leads to ourselves.*self\.test", 2), "no log line")
    equal(proxy.counters()["loops_detected"], 1, "loops_detected")


@scenario()
def hostile_answers(world):
    """Each has an answer to the caller and a log line; the proxy goes on."""
    server = dns.Hostile(world, FIRST)
    proxy = _proxy(world)
    phone = world.phone(transport="udp")
    caller = world.caller(transport="udp")
    for name in ("ring", "chain", "cut", "fails", "refused", "large", "noise"):
        mark = time.monotonic()
        final = caller.invite("1001", uri=f"sip:1001@x.{name}:5060").transaction.wait_final(10)
        equal(final and final.status, 500, f"final response for x.{name}")
        pattern = rf"DNS question failed.*x\.{name}|DNS servers do not answer"
        check(proxy.log_matches(pattern, 2, mark), f"no log line about x.{name}")
    hang_up(*complete_call(caller, "1001", phone, uri="sip:1001@x.big"))
    check(any(by_tcp for _, _, by_tcp in server.asked), "nothing was asked by TCP")
    hang_up(*complete_call(caller, "1001", phone, uri="sip:1001@good.test:5060"))
