# SPDX-License-Identifier: Apache-2.0
"""The dashboard in Chromium: it loads, shows a recovery, outlives a restart of the daemon, shows
hostile texts as texts, fits narrow and wide screens, and asks for the token."""

import json
import os
import re
import socket
from urllib.parse import quote

from lib import netns
from lib.browser import Browser
from lib.recovery import BRISK, Rig
from lib.scenario import check, equal, eventually, hang_up, scenario

AT = "127.0.0.1:8060"
URL = f"http://{AT}/"
VIEWS = ("", "recovery", "connections", "dns", "applications", "calls", "trace", "trace?match=1001",
         "workers", "events", "search?text=1001")
LIVE = "document.getElementById('connection-text')?.textContent === 'Live'"
TOKEN = "0123456789abcdef-of-this-scenario"

# Texts that would do something where they are not only shown.
RUNS = "window.ran=(window.ran||0)+1"
IMAGE = f"<img src=x onerror={RUNS}>"
END = f"</script><script>{RUNS}</script>"
CALL_ID = "\"><svg/onload(1)>javascript:alert(1)"
TURNED = "\u202egnp.exe"

# Elements whose text has less contrast with what is behind it than WCAG 2.1 AA asks for.
CONTRAST = r"""
(() => {
  const parse = (c) => (c.match(/[\d.]+/g) || []).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const c = parse(getComputedStyle(at).backgroundColor);
      if (c.length === 3 || c[3] > 0.99) return c;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility()) continue;
    if (e.closest(".unseen, .skip, .said, title, thead, [aria-hidden=true], :disabled")) continue;
    const style = getComputedStyle(e);
    const front = parse(e instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(front), light(behind(e instanceof SVGElement ? e.closest("svg").parentElement : e))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if ((a + 0.05) / (b + 0.05) < least) bad.push(`${e.tagName}.${e.getAttribute("class")} ${e.textContent.slice(0, 30)}`);
  }
  return bad;
})()
"""

# What has no name for those who do not see it.
NAMELESS = r"""
[...document.querySelectorAll("button, a, input, select, [role=img], table, section")].filter((e) => {
  if (!e.checkVisibility()) return false;
  const by = e.getAttribute("aria-labelledby");
  return !(e.getAttribute("aria-label") || (by && document.getElementById(by)?.textContent) || e.textContent.trim()
    || (e.labels && e.labels.length) || e.caption?.textContent);
}).map((e) => e.outerHTML.slice(0, 100))
"""


def _browser(world):
    return world.adopt(Browser(world.path("browser"),
                               ("ip", "netns", "exec", world.net.proxy.name),
                               world.path("browser.log")))


def _options(**more):
    return dict(BRISK, **{"admin-address": AT}, **{k.replace("_", "-"): v for k, v in more.items()})


def _open(page, view=""):
    page.goto(f"{URL}#/{view}")
    page.wait(LIVE, 15, "not live")


def _view(page, view):
    """Goes there as a click on a link does."""
    page.run(f"location.hash = {json.dumps('#/' + view)}")


def _quiet(page, *allowed):
    """Nothing went wrong in the page, and it asked nobody but the daemon."""
    left = [f for f in page.faults if not any(re.search(a, f) for a in allowed)]
    equal(left, [], "what the browser complains of")
    foreign = [u for u in page.requests if not u.startswith((URL, "about:", "blob:" + URL))]
    equal(foreign, [], "requests to others")


@scenario(timeout=90)
def dashboard_shows_a_recovery_and_outlives_a_restart(world):
    world.needs("admin-address")
    rig = Rig(world, options=_options())
    page = _browser(world)
    page.size(1440, 900)
    _open(page)
    page.wait(page.has("No connection has died."), 5, "the empty timeline")
    check(page.run("document.querySelectorAll('.timeline .mark').length") == 0, "a mark too early")
    page.run("window.loadedOnce = true")

    rig.forget()
    call, incoming = rig.complete_call()
    page.wait("document.querySelectorAll('.timeline .mark.reopened').length === 1", 10,
              "no mark of the recovery")
    page.wait(page.has("1001", "reopened", "1 request sent again"), 5, "the row of the recovery")
    check("1 reopened" in page.run("document.querySelector('.timeline').getAttribute('aria-label')"),
          "the text of the picture does not tell of it")
    page.wait("document.querySelector('[aria-label=\"Active calls\"] .tile-value').textContent === '1'", 5,
              "the call is not counted")

    # By the search to the call, and from there to its messages.
    page.run("document.getElementById('search-text').focus()")
    page.type(call.call_id)
    page.press("Enter", 13, "\r")
    page.wait(page.has("Search: " + call.call_id, "1 call,"), 10, "the search")
    page.run(f"[...document.querySelectorAll('#view td a')].find(a => a.textContent === {json.dumps(call.call_id)}).click()")
    page.wait("document.querySelectorAll('.rung').length >= 8", 10, "no ladder")
    rungs = page.run("[...document.querySelectorAll('.rung-text')].map(t => t.textContent)")
    check(any(r.startswith("INVITE (again, other") for r in rungs), f"not sent again: {rungs}")
    page.run("document.querySelector('.table-box td button').click()")
    page.wait("document.querySelector('pre.message').textContent.includes('Call-ID')", 5, "no text")

    _download(world, page)

    # Where the phone is, and from where it has registered: two ports of one address.
    _view(page, "dns?name=1001")
    page.wait("document.querySelectorAll('#view table').length === 2", 5, "no table of contacts")
    heads = "[...document.querySelectorAll('#view table:last-of-type th')].map(h => h.textContent)"
    check({"Way to it", "Registered from"} <= set(page.run(heads)), page.run(heads))
    way = f"{rig.phone.address}:{rig.phone.port}"
    page.wait(page.has(way), 5, "the way to the phone")
    ports = page.run("document.getElementById('view').innerText")
    check(len(set(re.findall(re.escape(rig.phone.address) + r":\d+", ports)) - {way}) == 1, ports)

    # Gone and back: the same page goes on by itself.
    _view(page, "")
    hang_up(call, incoming)
    rig.proxy.kill()
    page.wait(page.has("Not connected"), 15, "the end of the daemon is not shown")
    check("not connected" in page.run("document.title"), "the title does not tell of it")
    rig.proxy.start()
    page.wait(LIVE, 30, "not live after the restart")
    check(page.run("window.loadedOnce"), "the page was loaded anew")
    page.wait("document.querySelectorAll('.timeline .restart').length === 1", 10, "no mark of the restart")
    _quiet(page, r"ERR_(CONNECTION_REFUSED|INCOMPLETE_CHUNKED_ENCODING|CONNECTION_RESET|EMPTY_RESPONSE)")


def _download(world, page):
    """The messages as a file for Wireshark."""
    folder = world.path("downloads")
    os.mkdir(folder)
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=folder)
    page.run("[...document.querySelectorAll('button')].find(b => b.textContent.includes('pcapng')).click()")
    path = os.path.join(folder, "holdfast.pcapng")
    # The browser makes the name before it has written what belongs to it.
    eventually(lambda: os.path.exists(path) and os.path.getsize(path), 20, "nothing was downloaded")
    with open(path, "rb") as f:
        data = f.read()
    check(data[:4] == b"\x0a\x0d\x0d\x0a", f"no pcapng: {data[:20]!r}")
    check(data.count(b"INVITE sip:1001@10.77.1.2") >= 2, "the INVITE is not there twice")


def _pure(page):
    """What the page makes of numbers, texts and events."""
    for expression, wanted in (
            ("m.quantile(0.5, [50, 200, 500], [2, 4, 4], 4)", 50),
            ("m.quantile(0.75, [50, 200, 500], [2, 4, 4], 4)", 125),
            ("m.quantile(0.95, [50, 200], [0, 1], 4) === Infinity", True),
            ("m.quantile(0.5, [50], [0], 0)", None)):
        equal(page.run(f"import('/state.js').then((m) => {expression})"), wanted, expression)
    equal(page.run("import('/dom.js').then((m) => m.shown('a\\u202eb\\u0000\\u{e0041}\\ud83d\\ude00'))"),
          "a\u2039202E\u203ab\u20390000\u203a\u2039E0041\u203a\U0001f600", "texts")
    for ms, wanted in ((0, "0 ms"), (999, "999 ms"), (1000, "1.0 s"), (59999, "59 s"), (192000, "3 min 12 s"),
                       (7500000, "2 h 05 min"), (273600000, "3 d 4 h")):
        equal(page.run(f"import('/dom.js').then((m) => m.duration({ms}))"), wanted, f"{ms} ms")
    outcomes = """import('/recovery.js').then(({Recoveries}) => {
        const all = new Recoveries();
        const put = (number, at, values) => all.onEvent({seq: at, number, at, values});
        put(41001, 1000, {connection: "a", how: "suspicion"});
        put(41001, 1001, {connection: "b", how: "suspicion"});
        put(41001, 1002, {connection: "c", how: "keep-alive"});
        put(41002, 1300, {connection: "a", ms: 300, resent: 2});
        put(41004, 1301, {connection: "b", ms: 300});
        put(41003, 5000, {connection: "d", ms: 3000, lost: 1, cause: "refused"});
        put(41001, 6000, {connection: "a", how: "reset"});
        return all.records.map((r) => `${r.connection} ${r.at} ${Recoveries.outcome(r, 7000)} ${r.resent}`);
    })"""
    equal(page.run(outcomes), ["a 1000 reopened 2", "b 1001 healed null", "c 1002 closed null",
                               "d 2000 given_up null", "a 6000 pending null"], "outcomes")


def _hostile_invite(world):
    """An INVITE by UDP with such texts wherever one fits; its response line."""
    with world.net.caller.inside():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(10)
        sock.bind((netns.CALLER, 0))
        here = f"{netns.CALLER}:{sock.getsockname()[1]}"
        sock.sendto("\r\n".join([
            "INVITE sip:1001@10.77.8.1 SIP/2.0", f"Via: SIP/2.0/UDP {here};rport;branch=z9hG4bKhostile",
            "Max-Forwards: 70", f'From: "{IMAGE}{TURNED}" <sip:%3Cimg%20src=x@10.77.8.2;x=%3Cscript%3E>;tag=1',
            f'To: "{END}" <sip:1001@10.77.8.1>', f"Call-ID: {CALL_ID}", "CSeq: 1 INVITE",
            f"Contact: <sip:a@{here}>", f"User-Agent: {END}{IMAGE}", f"Subject: {TURNED}javascript:{RUNS}",
            "Content-Length: 0", "", ""]).encode(), (netns.PROXY_NEAR_CALLER, 5060))
        while True:
            line = sock.recv(65536).split(b"\r\n")[0].decode()
            if " 100 " not in line:
                return line


@scenario(timeout=90, workers=2)
def dashboard_shows_hostile_texts_as_texts_and_fits(world):
    world.needs("admin-address")
    world.proxy(_options(), {"1001": {"type": "extension"}, "1002": {"type": "extension"}})
    phone = world.registered_phone(transport="tcp")
    phone.script = [(0.0, 180)]
    strange = world.phone("%3Cimg%20src=x%20onerror=ran()%3E", 1, transport="tcp")
    strange.register()
    check("180" in _hostile_invite(world), "the hostile INVITE does not ring")
    page = _browser(world)
    page.size(1440, 900)
    _open(page, "trace?match=" + quote(CALL_ID, safe=""))
    page.wait("document.querySelectorAll('.rung').length >= 4", 10, "no ladder")
    page.size(390, 844, True)
    box = "document.querySelector('.ladder-box')"
    page.wait(f"document.querySelectorAll('.lane-line').length === 3 && {box}.scrollWidth <= {box}.clientWidth", 10,
              "three lanes do not fit on a telephone")
    page.size(1440, 900)
    page.run("document.querySelector('.table-box td button').click()")
    page.wait(page.has(IMAGE, END, "‹202E›gnp.exe"), 5, "the texts are not shown as they are")
    _view(page, "calls")
    page.wait(page.has(CALL_ID), 5, "the Call-ID")
    page.run("document.querySelector('#view td button').click()")
    page.wait("document.getElementById('confirm').open", 5, "nothing asks")
    check(CALL_ID in page.run("document.getElementById('confirm-text').textContent"), "what is asked")
    page.press("Escape", 27)
    page.wait("!document.getElementById('confirm').open", 5, "Escape does not close it")
    _what_is_not_there(page)
    for text in (IMAGE, END, CALL_ID):
        page.run("document.getElementById('search-text').value = ''")
        page.run("document.getElementById('search-text').focus()")
        page.type(text)
        page.press("Enter", 13, "\r")
        page.wait(page.has("Search: " + text, "connection"), 5, "the search")
    _fits(page)
    _by_keyboard(page)
    _pure(page)
    check(page.run("window.ran === undefined"), "a text of the network ran")
    equal(page.run("document.querySelectorAll('#view img, #view script, #view iframe').length"), 0,
          "elements made of texts")
    _quiet(page, "/api/v1/dns[?]name=nobody$", "/api/v1/calls[?]call_id=nobody$")


def _what_is_not_there(page):
    """A DN that has gone, a call that has ended: that is said, and no row of it is left."""
    for view, why, empty in (("dns?name=nobody", "no such DN: nobody", "No DN."),
                             ("calls?call_id=nobody", "no such call", "No call.")):
        _view(page, view)
        page.wait(page.has(why, empty), 5, f"{view} does not say that it is not there")
        check("out of date" not in page.text(), f"{view} is told as old")


def _fits(page):
    """No view is wider than the screen, all texts can be read, all that can be used has a name."""
    for width, height in ((1440, 900), (390, 844)):
        for dark in (False, True):
            page.size(width, height, width < 500)
            page.dark(dark)
            for view in VIEWS:
                _view(page, view)
                page.wait("document.querySelector('#view h1')", 5, f"no heading in {view}")
                page.wait("![...document.querySelectorAll('#view .note')].some(n => n.textContent === 'Searching')", 5, view)
                where = f"{view or 'overview'} at {width}, {'dark' if dark else 'light'}"
                wide = page.run("document.documentElement.scrollWidth")
                check(wide <= width, f"{where} is {wide} wide")
                equal(page.run(CONTRAST), [], f"too little contrast in {where}")
                equal(page.run(NAMELESS), [], f"without a name in {where}")
    page.size(1440, 900)
    _view(page, "")


def _by_keyboard(page):
    """The first stop leads to the content; "/" to the search; every stop can be seen."""
    page.goto("about:blank")
    _open(page)
    page.press("Tab", 9)
    equal(page.run("document.activeElement.id"), "skip", "the first stop")
    page.press("Enter", 13, "\r")
    equal(page.run("document.activeElement.id"), "main", "where the skip link leads")
    page.press("/", 191, "/")
    equal(page.run("document.activeElement.id"), "search-text", "where / leads")
    for _ in range(12):
        page.press("Tab", 9)
        style = page.run("(s => s.outlineStyle + ' ' + s.outlineWidth)(getComputedStyle(document.activeElement))")
        check(style.startswith("solid") and style != "solid 0px",
              "focus is not seen on " + page.run("document.activeElement.outerHTML.slice(0, 80)"))


@scenario(timeout=60, workers=2)
def dashboard_asks_for_the_token_and_keeps_it_in_the_tab(world):
    world.needs("admin-address")
    world.proxy(_options(admin_token=TOKEN), {"1001": {"type": "extension"}})
    page = _browser(world)
    page.goto(URL)
    page.wait("document.getElementById('login').checkVisibility()", 10, "no form for the token")
    for text in ("wrong" * 5, TOKEN):
        page.run("document.getElementById('token').focus()")
        page.type(text)
        page.press("Enter", 13, "\r")
        if text != TOKEN:
            page.wait(page.has("This token is not accepted."), 10, "a wrong token is not told of")
    page.wait(LIVE, 10, "not live with the token")
    check(page.run("!document.getElementById('login').checkVisibility()"), "the form stays")
    _view(page, "dns")
    page.wait(page.has("1001"), 10, "the DN is not listed")
    page.run("[...document.querySelectorAll('#view td button')].find(b => b.textContent === 'Out of service').click()")
    page.wait("document.getElementById('confirm').open", 5, "nothing asks")
    page.run("document.getElementById('confirm-yes').click()")
    page.wait("document.querySelector('#view td .state.bad')?.textContent.includes('out of service')", 10,
              "the DN is not out of service")
    # What is asked before the new page is there is answered by the old one.
    page.run("window.isOld = true; location.reload()")
    page.wait(f"!window.isOld && {LIVE}", 10, "not live after loading anew")
    kept = page.run("location.href + document.cookie + JSON.stringify(localStorage)")
    check(TOKEN not in kept, "the token stands where it should not")
    check(not any(TOKEN in url for url in page.requests), "the token stands in an address")
    page.run("document.getElementById('sign-out').click()")
    page.wait("document.getElementById('login').checkVisibility()", 10, "no form after signing out")
    _quiet(page, r"network: .*\b401\b")
