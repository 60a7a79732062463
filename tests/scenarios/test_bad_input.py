# SPDX-License-Identifier: Apache-2.0
"""One mistake in the configuration: one line that says where and what, at the start and at a reload,
which keeps the old configuration."""

import re
import subprocess
import time

from lib import netns
from lib.proxy import conf_text, options_ping
from lib.scenario import check, complete_call, equal, hang_up, scenario
from lib.tls import proxy_identity

EXTENSION = {"1001": {"type": "extension"}}


def _without(options, *names):
    return {k: v for k, v in options.items() if k not in names}


def _mistakes(world, good):
    """Name: (options, DNs, the option in the line, what is wrong, what is allowed)."""
    missing, text, empty = world.path("missing.pem"), world.path("text.pem"), world.path("empty.pem")
    with open(text, "w") as out:
        out.write("no certificate\n")
    open(empty, "w").close()
    other = proxy_identity(world.authority, "other")
    pem = "allowed: a PEM file"
    dn = EXTENSION

    def own(**more):
        return {"gw": {"type": "trunk", **{k.replace("_", "-"): v for k, v in more.items()}}}

    return {
        "certificate_missing": ({**good, "tls-certificate": missing}, dn,
                                f"tls-certificate = {missing}: ", "no such file", pem),
        "certificate_is_a_folder": ({**good, "tls-certificate": world.folder}, dn,
                                    f"tls-certificate = {world.folder}: ", "directory", pem),
        "certificate_is_text": ({**good, "tls-certificate": text}, dn,
                                f"tls-certificate = {text}: ", "PEM", pem),
        "certificate_is_empty": ({**good, "tls-certificate": empty}, dn,
                                 f"tls-certificate = {empty}: ", "PEM", pem),
        "key_missing": ({**good, "tls-private-key": missing}, dn,
                        f"tls-private-key = {missing}: ", "no such file", pem),
        "key_of_another": ({**good, "tls-private-key": other.key}, dn,
                           f"tls-private-key = {other.key}: ", "does not belong to", pem),
        "ca_missing": ({**good, "tls-ca": missing}, dn, f"tls-ca = {missing}: ", "no such file",
                       pem),
        "ca_is_text": ({**good, "tls-ca": text}, dn, f"tls-ca = {text}: ", "certificate", pem),
        "no_certificate": (_without(good, "tls-certificate", "tls-private-key"), dn,
                           "sip-port-tls = 5061: ", "needs tls-certificate", ""),
        "certificate_of_a_dn": (good, own(tls_certificate=missing),
                                f"tls-certificate = {missing}: ", "no such file", pem),
        "key_of_a_dn": (good, own(tls_certificate=other.certificate,
                                  tls_private_key=good["tls-private-key"]),
                        f"tls-private-key = {good['tls-private-key']}: ", "does not belong to", pem),
        "unknown_type": (good, {"1001": {"type": "spaceship"}}, "type = spaceship: ",
                         "not allowed", "allowed: extension, acd-position, trunk,"),
        "contact_is_no_uri": (good, {"1001": {"contact": "over there"}}, "contact = over there: ",
                              "not allowed", "allowed: a sip: URI"),
        "contact_of_another_scheme": (good, {"1001": {"contact": "https://10.0.0.1/"}},
                                      "contact = https://10.0.0.1/: ", "not allowed",
                                      "allowed: a sip: URI"),
        "contact_without_tls": (_without(good, "sip-port-tls", "tls-certificate", "tls-private-key",
                                         "tls-ca"),
                                {"1001": {"contact": "sips:gw.example.com"}},
                                "contact = sips:gw.example.com: ", "needs sip-port-tls", ""),
        "version": ({**good, "tls-min-version": "1.1"}, dn, "tls-min-version = 1.1: ",
                    "not allowed", "allowed: 1.2, 1.3"),
    }


NAMES = ("certificate_missing", "certificate_is_a_folder", "certificate_is_text",
         "certificate_is_empty", "key_missing", "key_of_another", "ca_missing", "ca_is_text",
         "no_certificate", "certificate_of_a_dn", "key_of_a_dn", "unknown_type", "dn_twice",
         "contact_is_no_uri", "contact_of_another_scheme", "contact_without_tls", "version",
         "application_without_members", "pair_of_one_address", "application_is_the_proxy",
         "trunk_is_the_proxy", "domain_is_the_proxy", "application_that_is_not_there",
         "listener_elsewhere")

# Name: (section, its settings, parts of the one line).
NEIGHBOURS = {
    "application_without_members": (
        "application main", {"oos-check": "1"},
        ("[application main]: ", "names no member", "needed: primary = ")),
    "pair_of_one_address": (
        "application main", {"primary": "sip:10.77.9.9", "backup": "sip:10.77.9.9:5060"},
        ("backup = sip:10.77.9.9:5060: ", "the same address as primary = sip:10.77.9.9",
         "allowed: members at different addresses")),
    "application_is_the_proxy": (
        "application main", {"primary": "sip:127.0.0.1"},
        ("primary = sip:127.0.0.1: ", "is this proxy itself", "allowed: ")),
    "trunk_is_the_proxy": (
        "dn t", {"type": "trunk", "contact": "sip:[::1];transport=tcp"},
        ("contact = ", "is this proxy itself", "allowed: ")),
    "domain_is_the_proxy": (
        "domain partner.example", {"contact": "sip:localhost"},
        ("contact = sip:localhost: ", "is this proxy itself", "allowed: ")),
    "application_that_is_not_there": (
        "domain partner.example", {"application": "main"},
        ("application = main: ", "there is no section [application main]")),
    "listener_elsewhere": (
        "listener 192.0.2.77", {"access": "any"},
        ("[listener 192.0.2.77]: ", "allowed: one of")),
}


def _mistake(world, proxy, name):
    """(text of the file, parts of the one line)."""
    if name == "dn_twice":
        text = conf_text(proxy.options, EXTENSION) + "\n[dn 1001]\n"
        return text, ("[dn 1001]: ", "has a section already, in line ")
    if name in NEIGHBOURS:
        section, settings, parts = NEIGHBOURS[name]
        return conf_text(proxy.options, EXTENSION, {section: settings}), parts
    options, dns, *parts = _mistakes(world, proxy.options)[name]
    return conf_text(options, dns), parts


def _line_is_right(line, text, parts):
    found = re.search(r"holdfast\.conf:(\d+): ", line)
    check(found, f"neither file nor line: {line}")
    for part in parts:
        check(part in line, f"does not say {part!r}: {line}")
    there = text.splitlines()[int(found.group(1)) - 1]
    named = parts[0].split(" = ")[0].strip("[]: ").split()[-1]
    check(named in there or there.startswith("[dn "), f"line {found.group(1)} is {there!r}")


@scenario(bad=NAMES)
def one_mistake(world, bad):
    proxy = world.proxy(world.tls_options(), EXTENSION, start=False)
    text, parts = _mistake(world, proxy, bad)
    proxy.write(text)

    # At the start, and for --check.
    for more in ([], ["--check"]):
        done = subprocess.run([world.binary, "-c", proxy.conf, *more], capture_output=True,
                              text=True, timeout=20, stdin=subprocess.DEVNULL, check=False)
        equal(done.returncode, 2, "exit status")
        lines = (done.stdout + done.stderr).splitlines()
        equal(len(lines), 1, f"lines that were written: {lines}")
        _line_is_right(lines[0], text, parts)

    # At a reload: the same line in the log, and everything goes on as before.
    proxy.write()
    proxy.start()
    phone = world.registered_phone(transport="tls")
    mark = time.monotonic()
    proxy.write(text)
    proxy.reload()
    check(proxy.log_matches('reload failed, the old configuration stays event=45003 cause=".*" mistakes=1',
                            5, mark), "not refused")
    said = [line for line in proxy.process.lines_since(mark) if "app configuration line=" in line]
    equal([("error" in line) for line in said], [True], f"lines in the log: {said}")
    _line_is_right(said[0], text, parts)
    caller = world.caller(transport="tls")
    call, incoming = complete_call(caller, "1001", phone)
    hang_up(call, incoming)
    equal(phone.registered_by.closed, None, "the connection that was up")
    proxy.write()
    proxy.reload()
    check(proxy.log_matches("configuration reloaded", 5, mark), "a good file is not taken after it")
    final = options_ping(world.net.caller, (netns.PROXY_NEAR_CALLER, 5060), "tcp", netns.CALLER, 3)
    equal(final and final.status, 200, "OPTIONS")


@scenario(when=("soon", "expired"))
def own_certificate_that_ends(world, when):
    """It is used, and a warning tells of it at the start and at each reload."""
    more = {"days": 13} if when == "soon" else {"expired": True}
    text = {"soon": "warn +app our certificate expires soon event=46001",
            "expired": "error +app our certificate has expired event=46002"}[when]
    good = proxy_identity(world.authority, "good")
    proxy = world.proxy(world.tls_options(good))
    check(not proxy.logged("(warn|error) .*our certificate"), "a warning without reason")
    mark = time.monotonic()
    proxy.options.update(world.tls_options(proxy_identity(world.authority, "ends", **more)))
    proxy.write()
    proxy.reload()
    check(proxy.log_matches("configuration reloaded", 5, mark), "not reloaded")
    pattern = rf'{text} subject="?CN=ends"? expires=20\d\d-\S+Z file=\S+ends\.pem'
    check(proxy.log_matches(pattern, 5, mark), "no warning at the reload")
    proxy.stop()
    mark = time.monotonic()
    proxy.start()
    check(proxy.log_matches(pattern, 5, mark), "no warning at the start")
