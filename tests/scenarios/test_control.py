# SPDX-License-Identifier: Apache-2.0
"""holdfastctl and the control socket: what is running, and what an administrator does to it."""

import os
import re
import stat
import subprocess

from lib import netns
from lib.scenario import Skip, check, complete_call, equal, eventually, hang_up, scenario


def _tool(world):
    path = os.path.join(os.path.dirname(world.binary), "holdfastctl")
    if not os.access(path, os.X_OK):
        raise Skip("there is no holdfastctl beside the binary")
    return path


def _socket(world):
    return world.path("control/control.sock")


def _proxy(world, **more):
    """A proxy with a control socket of this scenario."""
    world.needs("control-socket")
    options = dict(more.pop("options", {}), control_socket=_socket(world))
    return world.proxy(options, **more)


def _run(world, *words):
    """(exit status, stdout, stderr)"""
    done = subprocess.run([_tool(world), "-s", _socket(world), *words], capture_output=True,
                          text=True, timeout=30, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def _ask(world, *words):
    """Output of a command that must succeed."""
    status, out, err = _run(world, *words)
    equal((status, err), (0, ""), f"holdfastctl {' '.join(words)}")
    return out


# --- the tool --------------------------------------------------------------------------------


@scenario()
def control_tool_says_what_it_is_and_where_it_looks(world):
    status, out, err = _run(world, "--version")
    equal((status, err), (0, ""), "--version")
    check(re.fullmatch(r"holdfastctl \d+\.\d+\.\d+\n", out), f"--version says {out!r}")
    status, out, err = _run(world, "--help")
    equal((status, err), (0, ""), "--help")
    for word in ("--socket", "COMMAND", "Exit status"):
        check(word in out, f"--help does not tell of {word}")
    equal(subprocess.run([_tool(world)], capture_output=True).returncode, 2, "without a command")
    status, out, err = _run(world, "status")
    equal((status, out), (3, ""), "without a daemon")
    check("not running" in err and _socket(world) in err, f"without a daemon: {err!r}")
    status, _, _ = _run(world, "dns", "a\nb")
    equal(status, 2, "a line end inside a word")


@scenario()
def control_commands_tell_success_from_failure(world):
    proxy = _proxy(world, dns={"1001": {"type": "extension"}})
    out = _ask(world, "status")
    check(re.search(rf"^workers +{world.workers}$", out, re.M), out)
    check(re.search(r"^up +0 d 00:", out, re.M), out)
    commands = _ask(world, "help")
    for name in ("status", "workers", "flows", "dns out-of-service", "calls release", "counters"):
        check(re.search(rf"^{name}\b", commands, re.M), f"help does not list {name}")
    equal(len(_ask(world, "workers").splitlines()), world.workers, "lines of workers")
    check(re.search(r"^messages_received 0$", _ask(world, "counters"), re.M), "no counter")
    for words, wanted in ((("nonsense",), 2), (("dns", "out-of-service"), 2), (("status", "1"), 2),
                          (("dns", "nobody"), 1), (("dns", "in-service", "nobody"), 1),
                          (("calls", "release", "nobody@nowhere"), 1)):
        status, out, err = _run(world, *words)
        equal((status, out), (wanted, ""), " ".join(words))
        check(err.startswith("holdfastctl: "), f"{words}: {err!r}")
    mode = os.stat(_socket(world)).st_mode
    check(stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660, f"mode of the socket {mode:o}")
    equal(proxy.stop(), 0, "exit status of the proxy")
    check(not os.path.exists(_socket(world)), "the socket is left behind")
    equal(_run(world, "status")[0], 3, "without a daemon")


@scenario()
def control_socket_of_a_killed_daemon_is_replaced(world):
    proxy = _proxy(world)
    proxy.kill()
    check(os.path.exists(_socket(world)), "there is nothing to replace")
    equal(_run(world, "status")[0], 3, "a socket that nobody listens at")
    proxy.start()
    _ask(world, "status")


@scenario()
def control_socket_of_a_living_daemon_stays(world):
    first = _proxy(world)
    second = _proxy(world, options={"sip-port": 5070})
    check(second.log_matches(r"warn.*no control socket: another process has it"),
          "the second daemon does not say that it has none")
    out = _ask(world, "status")
    equal(second.end(), 0, "exit status of the second")
    check(_ask(world, "status").splitlines()[0] == out.splitlines()[0], "the first has lost it")
    equal(first.end(), 0, "exit status of the first")


@scenario()
def control_socket_that_cannot_be_made_costs_a_warning(world):
    world.needs("control-socket")
    none = world.proxy({"control_socket": "none"})
    check(not none.logged("control socket"), "control-socket = none is told of")
    none.end()
    nowhere = world.proxy({"control_socket": "/proc/no/such/control.sock"})
    check(nowhere.log_matches(r"warn.*no control socket.*/proc/no/such"), "no warning")
    phone = world.registered_phone()
    call, incoming = complete_call(world.caller(), "1001", phone)
    hang_up(call, incoming)


# --- what is seen ----------------------------------------------------------------------------


@scenario()
def control_flows_show_a_phone_with_its_dn(world):
    _proxy(world)
    phone = world.registered_phone("1001")
    other = world.registered_phone("1002", 1)
    line = eventually(lambda: _ask(world, "flows", "1001"), 5, "no flow of 1001")
    equal(line.count("\n"), 1, "flows of 1001")
    check("dn=1001" in line and f"{phone.address}:" in line and " up " in line, line)
    line = _ask(world, "flows", other.address)
    equal(line.count("\n"), 1, "flows of the other phone's address")
    check("dn=1002" in line, line)
    equal(_ask(world, "flows").count("\n"), 2, "all flows")
    equal(_ask(world, "flows", "10.77.1"), "", "flows of part of an address")
    dn = _ask(world, "dns", "1001")
    check(re.match(r"1001 .*in-service\b.*\n    expires=.*contact=", dn), dn)


@scenario()
def control_shows_and_releases_a_call(world):
    proxy = _proxy(world, options={"timer-t1": "50ms"})
    phone = world.registered_phone()
    caller = world.caller()
    call, incoming = complete_call(caller, "1001", phone)
    line = _ask(world, "calls", call.call_id)
    equal(line.count("\n"), 1, "dialogs of the call")
    equal(line.split()[0], call.call_id, "first word of the line")
    check("1001" in line, line)
    equal(_ask(world, "calls"), line, "all calls")
    check(re.search(r"^calls +1$", _ask(world, "status"), re.M), "calls in the status")
    equal(_ask(world, "calls", "release", call.call_id), "released: 1 dialog\n", "release")
    check(call.wait_request("BYE"), "the caller has no BYE")
    check(incoming.wait_request("BYE"), "the phone has no BYE")
    for end in (call, incoming):
        check(end.wait_ended(5), "an end has not ended")
        equal(sum(1 for m in end.requests if m.method == "BYE"), 1, "BYE requests")
    equal(_ask(world, "calls"), "", "calls after the release")
    status, _, err = _run(world, "calls", "release", call.call_id)
    equal((status, err), (1, "holdfastctl: no such call\n"), "a second release")
    check(re.search(r"^calls_released 1$", _ask(world, "counters"), re.M), "calls_released")
    eventually(lambda: _ask(world, "transactions") == "", 10, "transactions are left")
    proxy.check_alive()


@scenario()
def control_releases_a_ringing_call(world):
    _proxy(world)
    phone = world.registered_phone()
    phone.script = [(0.0, 180)]
    call = world.caller().invite("1001")
    check(call.transaction.wait_status(180), "it does not ring")
    check(_ask(world, "calls", call.call_id), "the ringing call is not shown")
    check("released: 1 dialog" in _ask(world, "calls", "release", call.call_id), "not released")
    final = call.transaction.wait_final(5)
    equal(final and final.status, 480, "final response to INVITE")
    incoming = phone.wait_call(2)
    check(incoming.wait_ended(5), "the phone rings on")
    eventually(lambda: _ask(world, "calls") == "", 5, "a call is left")


@scenario()
def control_dn_stays_out_of_service_until_set_in_service(world):
    _proxy(world)
    phone = world.registered_phone()
    caller = world.caller()
    equal(_ask(world, "dns", "out-of-service", "1001"), "1001 is out of service\n", "out")
    line = _ask(world, "dns", "1001")
    check("out-of-service" in line and "set by the administrator" in line, line)
    check(re.search(r"^DNs +1 out of service", _ask(world, "status"), re.M), "status")
    final = caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 480, "INVITE to a DN out of service")
    final = phone.register()
    equal(final and final.status, 200, "REGISTER")
    final = caller.invite("1001").transaction.wait_final(5)
    equal(final and final.status, 480, "INVITE after a REGISTER")
    equal(_ask(world, "dns", "in-service", "1001"), "1001 is in service\n", "in")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)


@scenario()
def control_switches_an_application(world):
    """New calls go to the other member of the pair as soon as the command has returned."""
    first, second = (world.caller("1001", port=port) for port in (5080, 5082))
    uris = [f"sip:{netns.CALLER}:{port}" for port in (5080, 5082)]
    _proxy(world, options={"serving-sipserver": "main"},
           sections={"application main": {"primary": uris[0], "backup": uris[1], "oos-check": "0"}})
    caller = world.caller(port=5070)
    for device in (first, second, caller):
        device.transport = "udp"
    hang_up(*complete_call(caller, "1001", first))
    out = _ask(world, "applications", "switch", "main")
    check(f"active {uris[1]}" in out and "from 0 to 1" in out, out)
    check("the administrator" in out, out)
    hang_up(*complete_call(caller, "1001", second))
    check(f"active {uris[0]}" in _ask(world, "applications", "switch", "main", "0"), "back")
    hang_up(*complete_call(caller, "1001", first))
    equal(_ask(world, "applications"), _ask(world, "applications", "main"), "of one that is all")
    check(re.search(r"^applications +1, 0 out of service$", _ask(world, "status"), re.M), "status")
    for words, says in ((("main", "2"), "main has no such member"),
                        (("other",), "no such application: other")):
        status, out, err = _run(world, "applications", "switch", *words)
        equal((status, out), (1, ""), "what cannot be done")
        check(says in err, err)


@scenario()
def control_shows_dns_and_overload(world):
    _proxy(world, options={"relay-from": "any", "dns-servers": "127.0.0.1:9"})
    check("server 127.0.0.1:9: " in _ask(world, "resolver"), "servers")
    check(_ask(world, "resolver", "forget").startswith("forgotten: "), "forget")
    check("lag " in _ask(world, "overload"), "overload")
