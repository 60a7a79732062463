// SPDX-License-Identifier: Apache-2.0
/* The page: which view, the connection to the daemon, the token, the theme. */

import {put, clear, duration, shown} from "./dom.js";
import {Stream, token, setToken} from "./api.js";
import {State} from "./state.js";
import {overview} from "./overview.js";
import {recoveriesView} from "./recoveries.js";
import {applicationsView} from "./applications.js";
import {dnsView} from "./dns.js";
import {connectionsView, callsView, workersView} from "./lists.js";
import {eventsView} from "./events.js";
import {traceView} from "./trace.js";
import {searchView} from "./search.js";

const VIEWS = {
    "": overview, recovery: recoveriesView, connections: connectionsView, dns: dnsView, applications: applicationsView,
    calls: callsView, trace: traceView, workers: workersView, events: eventsView, search: searchView,
};
const id = (name) => document.getElementById(name);
const state = new State();
const stream = new Stream({
    event: (type, data) => state.onStream(type, data),
    state: (name, detail) => state.onConnection(name, detail),
});
let view = null;

/* --- views ------------------------------------------------------------------------------------ */

function leave() {
    if (view && view.stop) {
        view.stop();
    }
    view = null;
}

function show() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    const isFirst = view === null;
    const make = Object.hasOwn(VIEWS, path) ? VIEWS[path] : VIEWS[""];
    leave();
    view = make(state, Object.fromEntries(new URLSearchParams(query || "")));
    clear(id("view"), view.element);
    document.querySelectorAll("#tabs a").forEach((a) => {
        if (a.getAttribute("href") === `#/${path}`) {
            a.setAttribute("aria-current", "page");
            // Not on a page that is new: in some browsers the first Tab would go on from here and
            // miss the link to the content.
            if (!isFirst)
                a.scrollIntoView({block: "nearest", inline: "nearest"});
        } else {
            a.removeAttribute("aria-current");
        }
    });
    title();
    view.update();
    if (!isFirst) {
        window.scrollTo(0, 0);
        (view.focus || id("main")).focus({preventScroll: true});
    }
}

function title() {
    const lost = state.connection.name === "lost" ? "not connected · " : "";
    document.title = `${lost}${view ? view.title : ""} · Holdfast`;
}

let asked = false;
function draw() {
    if (asked) {
        return;
    }
    asked = true;
    requestAnimationFrame(() => {
        asked = false;
        if (!document.hidden && view) {
            view.update();
        }
    });
}

/* --- who is there ----------------------------------------------------------------------------- */

const SAID = {connecting: "Connecting", live: "Live", token: "A token is needed"};

function connection() {
    const c = state.connection;
    id("connection").className = `pill ${c.name}`;
    put(id("connection-text"), c.name === "lost" ? `Not connected${c.said ? `: ${shown(c.said)}` : ""}, trying again` : SAID[c.name]);
    id("connection").title = c.name === "lost" ? c.why : "";
    document.body.classList.toggle("stale", c.name === "lost");
    if (c.name === "token") {
        login(true, token() ? "This token is not accepted." : "");
        setToken("");
        leave(); // nothing is asked for without a token
    } else if (c.name === "live") {
        login(false);
        if (!view) {
            show();
        }
    }
    title();
}

function daemon() {
    const s = state.status;
    if (!s) {
        return;
    }
    put(id("daemon"), `${shown(s.version)} · up ${duration(1000 * s.up_s)}${s.state === "running" ? "" : ` · ${shown(s.state)}`}`);
    id("daemon").classList.toggle("warn", s.state !== "running");
}

function login(needed, error) {
    id("login").hidden = !needed;
    id("view").hidden = needed;
    id("sign-out").hidden = needed || !token();
    if (needed) {
        put(id("login-error"), error || "");
        id("token").focus();
    }
}

id("login").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = id("token").value.trim();
    id("token").value = "";
    setToken(text);
    stream.now();
});

id("sign-out").addEventListener("click", () => {
    setToken("");
    location.reload();
});

window.addEventListener("need-token", () => {
    if (state.connection.name === "live") { // the token is another one since the stream began
        stream.again();
    }
});

/* --- theme, search, keys ---------------------------------------------------------------------- */

const THEMES = ["system", "light", "dark"];

function theme(which) {
    if (which === "system") {
        delete document.documentElement.dataset.theme;
    } else {
        document.documentElement.dataset.theme = which;
    }
    put(id("theme"), `Theme: ${which}`);
}

id("theme").addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(localStorage.getItem("theme") || "system") + 1) % THEMES.length];
    localStorage.setItem("theme", next);
    theme(next);
});
theme(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system");

id("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = id("search-text").value.trim();
    if (text) {
        location.hash = `#/search?${new URLSearchParams({text})}`;
    }
});

document.addEventListener("keydown", (event) => {
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName || "");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && !id("confirm").open) {
        event.preventDefault();
        id("search-text").focus();
    }
});

id("skip").addEventListener("click", (event) => {
    event.preventDefault(); // the part after "#" says which view
    id("main").focus();
});

/* --- begin ------------------------------------------------------------------------------------ */

state.follow((what) => {
    if (what === "connection") {
        connection();
    } else if (what === "tick") {
        daemon();
    }
    draw();
});
document.addEventListener("visibilitychange", draw);
window.addEventListener("online", () => stream.now());
window.addEventListener("hashchange", () => {
    if (state.connection.name !== "token") {
        show();
    }
});
show();
stream.run();
