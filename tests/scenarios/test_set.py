# SPDX-License-Identifier: Apache-2.0
"""Options that change while the daemon runs, by hand and by reload, and a drain that waits for
calls: no connection, transaction or registration is lost by any of it."""

import shutil
import urllib.error
import urllib.request

from lib import netns
from lib.proxy import options_ping
from lib.scenario import check, complete_call, equal, eventually, hang_up, scenario


def _copy(world, option):
    """The file of an option under another name."""
    path = world.path(f"copy-of-{option}")
    shutil.copy(world.tls_files[option], path)
    return path


# Another value than the one that holds, for each option of [sipproxy] that needs no restart. A
# function gets the world and the name.
VALUES = {
    "resolve-host": "false", "aliases": "sip.example.net", "sip-access": "10.0.0.0/8, 127.0.0.0/8",
    "tls-certificate": _copy, "tls-private-key": _copy, "tls-ca": _copy,
    "tls-verify-client": "false", "tls-verify-server": "false", "tls-min-version": "1.3",
    "tls-max-handshakes": "50", "sip-enable-tcp-keep-alive": "true", "tcp-keep-alive-idle": "31",
    "tcp-keep-alive-interval": "9", "tcp-keep-alive-probes": "4", "tcp-unacked-timeout": "6",
    "tcp-reopen-delay": "2", "tcp-connect-timeout": "4", "tcp-wedged-transactions": "9",
    "tcp-max-connections": "500", "tcp-max-connections-per-address": "50",
    "tcp-max-queue": "2000000", "tcp-message-timeout": "20", "tcp-reopen-rate": "90",
    "sip-max-headers": "100", "sip-max-header-size": "20000", "sip-max-body-size": "30000",
    "max-transactions": "50000", "max-calls": "50000", "call-timeout": "4h", "timer-t1": "600ms",
    "timer-t2": "5", "timer-t4": "6", "timer-b": "33", "timer-d": "33", "timer-f": "33",
    "timer-h": "33", "timer-j": "33", "timer-c": "200", "sip-domains": "example.net",
    "record-route": "false", "fork": "sequential", "fork-ring-time": "15",
    "proxy-require": "sec-agree", "relay-from": "10.77.0.0/16", "applications": "main",
    "serving-sipserver": "main", "oos-check": "7", "oos-force": "6", "failover-time": "3",
    "inside-networks": "10.0.0.0/8", "hide-topology": "true", "overload-ctrl-dialog-rate": "1000",
    "overload-source-rate": "1000", "overload-lag": "300ms", "overload-retry-after": "5",
    "overload-control": "false", "emergency-numbers": "112", "resource-priority": "ets",
    "dns-servers": "10.77.8.2", "dns-timeout": "3", "dns-tries": "1", "dns-max-stale": "12h",
    "dns-avoid-time": "20", "sip-authenticate": "none", "registrar-open-to": "10.77.0.0/16",
    "registrar-min-expires": "30", "registrar-max-expires": "3600",
    "registrar-default-expires": "1800", "registrar-max-contacts": "5",
    "registrar-flow-timer": "60", "log-level": "info, flow:debug", "log-format": "json",
    "drain-timeout": "8", "admin-token": "0123456789abcdef", "trace-buffer": "1000000",
    "admin-tls-certificate": None, "admin-tls-private-key": None,    # only both at a time
    "hep-collector": "10.77.8.2:9060", "hep-capture-id": "7", "hep-password": "secret",
    "x-sip-mask-sensitive-data": "true", "x-sip-unmask-headers": "X-One, X-Two",
}


def _option(proxy, name):
    return proxy.control("options", name)["option"][0]


@scenario(timeout=90, workers=2)
def each_option_changes_during_a_call(world):
    """Set by hand, seen, and set back, one after the other; beside them an INVITE that rings."""
    world.tls_files = world.tls_options()
    proxy = world.proxy({**world.tls_files, "relay-from": "any", "sip-domains": "10.77.8.1"},
                        {"1001": {"type": "extension"}, "1002": {"type": "extension"}},
                        sections={"application main": {"primary": f"sip:{netns.CALLER}:5099"}})
    phone = world.registered_phone(transport="tcp")
    other = world.registered_phone("1002", 1, transport="tcp")
    other.script = [(0.0, 180), (5.0, 200)]
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    ringing = caller.invite("1002")
    eventually(lambda: other.calls, 3, "the second phone does not ring")
    before = {row["id"] for row in proxy.control("flows")["flow"]}
    rows = proxy.control("options")["option"]
    may = [row["name"] for row in rows
           if row["section"] == "sipproxy" and row["effect"] != "restart"]
    equal(sorted(set(may) - VALUES.keys()), [], "options without a value in this test")
    for name in may:
        value = VALUES[name]
        if value is None:
            continue
        value = value(world, name) if callable(value) else value
        proxy.control("set", name, value)
        row = _option(proxy, name)
        shown = "***" if row["value"] == "***" else value
        equal((row["value"], row["source"]), (shown, "set"), name)
        proxy.control("set", name)
        check(_option(proxy, name)["source"] != "set", f"{name} is not as in the file again")
    told = [row["number"] for row in proxy.control("events")["event"]]
    check(45013 in told and 45014 in told, f"events: {set(told)}")
    equal({row["id"] for row in proxy.control("flows")["flow"]}, before, "connections")
    equal(sorted(row["bindings"] for row in proxy.control("dns")["dn"]), [1, 1], "bindings")
    final = ringing.transaction.wait_final(15)
    equal(final and final.status, 200, "what rang before")
    hang_up(call, incoming)


@scenario(workers=2)
def what_cannot_be_set_is_said(world):
    proxy = world.proxy()
    for words, said in ((("workers", "3"), "needs a restart"), (("no-such", "1"), "no such option"),
                        (("drain-timeout", "never"), "drain-timeout = never: "),
                        (("contact", "sip:x"), "no such option")):
        check(said in proxy.refused("set", *words), f"set {words}: {proxy.refused('set', *words)}")
    equal(_option(proxy, "drain-timeout")["source"], "default", "drain-timeout")


@scenario(workers=2)
def what_is_set_stays_over_a_reload(world):
    """And an edit of the file that nobody has asked for stays out of a `set`."""
    proxy = world.proxy({"drain-timeout": "3"})
    proxy.options["drain-timeout"] = "4"
    proxy.write()
    proxy.control("set", "timer-c", "99")
    equal(_option(proxy, "drain-timeout")["value"], "3", "drain-timeout after a set")
    proxy.control("reload")
    equal(_option(proxy, "drain-timeout")["value"], "4", "drain-timeout after a reload")
    equal(_option(proxy, "timer-c")["value"], "99", "timer-c after a reload")
    proxy.control("set", "timer-c")
    equal(_option(proxy, "timer-c")["source"], "default", "timer-c")


@scenario(workers=2)
def reload_by_the_tool_shows_the_mistakes(world):
    proxy = world.proxy()
    proxy.options["timer-c"] = "never"
    proxy.write()
    said = proxy.refused("reload")
    check("mistakes in the configuration" in said and "timer-c = never" in said, said)
    proxy.options["timer-c"] = "199"
    proxy.options["sip-port"] = "5070"
    proxy.write()
    lines = [row["text"] for row in proxy.control("reload").get("line", [])]
    check(any("sip-port = 5070 needs a restart" in line for line in lines), lines)


@scenario(workers=2)
def a_certificate_half_written_does_not_stand_in_the_way(world):
    """It is read by a reload and by options of TLS, not by any other that is set."""
    files = world.tls_options()
    proxy = world.proxy(files)
    with open(files["tls-certificate"], encoding="utf-8") as old:
        whole = old.read()
    with open(files["tls-certificate"], "w", encoding="utf-8") as new:
        new.write(whole[:200])
    proxy.control("set", "timer-c", "99")
    check("mistakes" in proxy.refused("reload"), "half a certificate is taken")
    check(proxy.refused("set", "tls-min-version", "1.3"), "half a certificate is taken")
    phone = world.registered_phone(transport="tls", tls=world.device_tls(netns.phone_address(0)))
    call, incoming = complete_call(world.caller(transport="tcp"), "1001", phone)
    hang_up(call, incoming)
    with open(files["tls-certificate"], "w", encoding="utf-8") as new:
        new.write(whole)
    proxy.control("reload")
    equal(_option(proxy, "timer-c")["value"], "99", "timer-c")


# --- drain ------------------------------------------------------------------------------------


def _ready(proxy):
    """Status of /readyz, in the proxy's namespace."""
    with proxy.ns.inside():
        try:
            with urllib.request.urlopen("http://127.0.0.1:8060/readyz", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code


def _ping(world):
    """Status of an OPTIONS to the proxy itself."""
    answer = options_ping(world.net.caller, (netns.PROXY_NEAR_CALLER, 5060), "udp", netns.CALLER, 3)
    return answer and answer.status


@scenario(workers=2)
def drain_waits_for_calls_and_takes_no_new_ones(world):
    proxy = world.proxy({"admin-address": "127.0.0.1:8060"})
    phone = world.registered_phone(transport="tcp")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    equal((_ready(proxy), _ping(world)), (200, 200), "before")
    proxy.control("drain", "60")
    eventually(lambda: (_ready(proxy), _ping(world)) == (503, 503), 3, "OPTIONS and /readyz")
    refused = caller.invite("1001").transaction.wait_final(5)
    equal(refused and refused.status, 503, "a new call")
    check(refused.get("retry-after"), "503 without Retry-After")
    equal(proxy.control("status")["status"][0]["state"], "draining", "state")
    # What exists goes on: re-INVITE, registration, a new connection of a phone.
    again = call.reinvite().wait_final(5)
    equal(again and again.status, 200, "re-INVITE")
    equal(phone.register().status, 200, "REGISTER")
    check(proxy.process.running(), "it has ended while a call goes on")
    hang_up(call, incoming)
    equal(proxy.wait_exit(15), 0, "exit status when the last call has ended")


@scenario(workers=2)
def drain_ends_at_its_limit(world):
    proxy = world.proxy({"drain-timeout": "1"})
    phone = world.registered_phone(transport="tcp")
    complete_call(world.caller(transport="tcp"), "1001", phone)
    proxy.control("drain", "1")
    equal(proxy.wait_exit(15), 0, "exit status at the limit")
    check(proxy.logged('event=45006 .*calls=1 cause="the limit of drain"'), "the call is not told")


@scenario(workers=2)
def drain_does_not_wait_for_silent_peers(world):
    """Nobody is at the member of the application, nor at the DN: our checks never end."""
    proxy = world.proxy(
        {"applications": "main", "oos-check": "1", "oos-force": "1"},
        {"1009": {"type": "trunk", "contact": f"sip:{netns.CALLER}:5098", "oos-check": "1"}},
        sections={"application main": {"primary": f"sip:{netns.CALLER}:5099"}})
    eventually(lambda: proxy.control("dns", "1009")["dn"][0]["state"] != "in-service", 10,
               "the DN is in service")
    proxy.control("drain", "60")
    equal(proxy.wait_exit(15), 0, "exit status with checks under way")


@scenario(workers=2)
def drain_is_called_off(world):
    proxy = world.proxy()
    phone = world.registered_phone(transport="tcp")
    caller = world.caller(transport="tcp")
    call, incoming = complete_call(caller, "1001", phone)
    proxy.control("drain")
    eventually(lambda: _ping(world) == 503, 3, "OPTIONS is not refused")
    proxy.control("drain", "cancel")
    eventually(lambda: _ping(world) == 200, 3, "OPTIONS is still refused")
    check("no drain" in proxy.refused("drain", "cancel"), "a second end of the drain")
    hang_up(call, incoming)
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)


@scenario(workers=2)
def systemd_hears_that_the_workers_turn(world):
    proxy = world.proxy(start=False)
    proxy.env["WATCHDOG_USEC"] = "20000000"
    proxy.start()
    for _ in range(2):
        check(proxy.notify.wait("WATCHDOG=1", 6, proxy.process.running), "no WATCHDOG=1")
