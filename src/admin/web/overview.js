// SPDX-License-Identifier: Apache-2.0
/* The first view: what needs attention, how much goes on, what died and came back. */

import {h, clear, panel, put, link, route, count, many, rate, duration, shown, words} from "./dom.js";
import {LineChart, Timeline, bar} from "./charts.js";
import {Table} from "./table.js";
import {recoveryTable, legend, summaryText, SPANS} from "./recoveries.js";
import {memberColumns} from "./applications.js";
import {eventColumns} from "./events.js";
import {DnWatch, dnColumns} from "./dns.js";

const QUARTER = 900000;

class Tile {
    constructor(title, chart, href) {
        this.value = h("p", {class: "tile-value"});
        this.sub = h("p", {class: "tile-sub"});
        this.chart = new LineChart({title, ...chart});
        this.element = h("section", {class: "tile", "aria-label": title},
            h("h2", {}, href ? h("a", {href}, title) : title), this.value, this.sub, this.chart.element);
    }

    draw(value, sub, points) {
        put(this.value, value);
        put(this.sub, sub);
        this.chart.draw(points);
    }
}

function ms(v) {
    return v === Infinity ? "over 10 s" : v === null || v === undefined ? "–" : duration(v);
}

function attention(state, dns) {
    const found = [];
    const add = (level, text, href) => found.push({level, text, href});
    const s = state.status || {};
    const now = Date.now();
    for (const a of state.applications.filter((one) => one.state === "down")) {
        add("bad", `Application ${a.name} is out of service`, "#/applications");
    }
    for (const m of state.members.filter((one) => one.state === "down")) {
        add("warn", `${m.application}: member ${m.uri} is down`, "#/applications");
    }
    if (s.dns_out > 0) {
        const names = dns.rows.filter((d) => d.state === "out-of-service").slice(0, 3).map((d) => d.name);
        add("bad", `${many(s.dns_out, "DN")} out of service` +
            (names.length ? `: ${names.join(", ")}${s.dns_out > names.length ? " …" : ""}` : ""), route("dns", {state: "out-of-service"}));
    }
    const lost = state.recoveries.since(now - QUARTER).filter((r) => r.outcome === "given_up").length;
    if (lost) {
        add("warn", `${many(lost, "connection")} given up in the last 15 minutes`,
            "#/recovery");
    }
    for (const w of state.workers) {
        if (w.state && w.state !== "answers") {
            add("bad", `Worker ${w.worker}: ${w.state}`, "#/workers");
        }
    }
    const refused = state.refusedByCause();
    if (refused.length) {
        add("warn", `Refused in the last minute: ${refused.map((r) => `${count(r.n)} (${words(r.name).replace("overload refused ", "overload, ")})`).join(", ")}`,
            "#/workers");
    }
    if (s.state === "draining") {
        add("warn", "Draining: no new calls are taken", "#/calls");
    }
    return found.sort((a, b) => (a.level === "bad" ? 0 : 1) - (b.level === "bad" ? 0 : 1));
}

function drawAttention(box, found) {
    const sign = JSON.stringify(found);
    if (box.sign === sign) {
        return;
    }
    box.sign = sign;
    clear(box, found.length === 0 ? h("p", {class: "calm-line"}, h("span", {"aria-hidden": "true"}, "● "), "Nothing needs attention.")
        : h("ul", {class: "attention"}, found.map((one) => h("li", {class: one.level},
            h("span", {class: "state-mark", "aria-hidden": "true"}, one.level === "bad" ? "✕" : "▲"),
            h("a", {href: one.href}, h("bdi", {}, shown(one.text)))))));
}

function tiles() {
    return {
        cps: new Tile("New calls per second", {
            format: rate, floor: 1,
            series: [{name: "new", cls: "c1", area: true, get: (p) => p.cps}, {name: "failed", cls: "c4", get: (p) => p.failed}],
        }, "#/calls"),
        calls: new Tile("Active calls", {
            format: count, floor: 5, series: [{name: "calls", cls: "c1", area: true, get: (p) => p.calls}],
        }, "#/calls"),
        setup: new Tile("Set-up delay", {
            format: ms, floor: 100,
            series: [{name: "median", cls: "c1", get: (p) => p.p50}, {name: "95 %", cls: "c3", get: (p) => p.p95}],
        }),
        connections: new Tile("Connections", {
            format: count, floor: 5, series: [{name: "connections", cls: "c1", area: true, get: (p) => p.connections}],
        }, "#/connections"),
        refused: new Tile("Refused per second", {
            format: rate, floor: 1, series: [{name: "refused", cls: "c4", area: true, get: (p) => p.refused}],
        }, "#/workers"),
    };
}

function drawTiles(t, state) {
    const points = state.history;
    const last = points[points.length - 1] || {};
    const s = state.status || {};
    const delay = state.setups();
    t.cps.draw(rate(last.cps), `answered ${rate(last.ok)} · failed ${rate(last.failed)}`, points);
    t.calls.draw(count(s.calls), many(s.server_transactions, "transaction"), points);
    t.setup.draw(ms(delay.p50), delay.total ? `95 % within ${ms(delay.p95)} · ${count(delay.total)} in a minute` : "no call in the last minute", points);
    t.connections.draw(count(s.connections), many(s.bindings, "registered contact"), points);
    t.refused.draw(rate(last.refused), `worst lag ${duration(last.lag)}`, points);
}

const TRANSPORTS = [["tcp", "TCP"], ["tls", "TLS"]];

function connectionTable() {
    const cell = (name, level) => (row) => (row[name] && level ? {text: count(row[name]), level} : count(row[name]));
    return new Table({
        caption: "Connections by transport and state", key: (row) => row.name,
        columns: [
            {label: "Transport", cell: (row) => row.label},
            {label: "Up", num: true, cell: cell("up")},
            {label: "Opening", num: true, cell: cell("opening")},
            {label: "Suspect", num: true, cell: cell("suspect", "warn")},
        ],
    });
}

function connectionRows(counters) {
    return TRANSPORTS.map(([name, label]) => ({
        name, label, up: counters[`${name}_up`], opening: counters[`${name}_opening`], suspect: counters[`${name}_suspect`],
    }));
}

/** full: with what a page of its own has room for. */
export function workerTable(full) {
    const load = (w) => (w.cpu_percent >= 85 ? "bad" : w.cpu_percent >= 60 ? "warn" : "");
    return new Table({
        caption: "Workers and their load", key: (w) => w.worker,
        columns: [
            {label: "Worker", cell: (w) => (w.state && w.state !== "answers" ? {text: `${w.worker}: ${w.state}`, level: "bad"} : String(w.worker))},
            {label: "Load", cell: (w) => ({sign: `${w.cpu_percent}`, node: () => bar(w.cpu_percent, w.cpu_percent < 0 ? "–" : `${count(w.cpu_percent)} %`, load(w))})},
            {label: "Lag", num: true, cell: (w) => (w.lag_ms >= 50 ? {text: duration(w.lag_ms), level: "warn"} : duration(w.lag_ms))},
            {label: "Calls", num: true, cell: (w) => count(w.calls)},
            ...(full ? [
                {label: "Connections", num: true, cell: (w) => count(w.connections)},
                {label: "Transactions", num: true, cell: (w) => count((w.server_transactions || 0) + (w.client_transactions || 0))},
                {label: "Received", num: true, cell: (w) => count(w.received)},
                {label: "Sent", num: true, cell: (w) => count(w.sent)},
            ] : []),
        ],
    });
}

export function overview(state) {
    const box = h("div", {class: "attention-box"});
    const t = tiles();
    const recoveries = recoveryTable(8);
    const timeline = new Timeline({pick: (r) => { location.hash = route("recovery", {key: r.key}); }});
    const summary = h("p", {class: "note"});
    const connections = connectionTable();
    const applications = new Table({caption: "Applications and their members", columns: memberColumns(null),
        key: (m) => `${m.application} ${m.index}`, empty: "No application is configured.", limit: 40});
    const workers = workerTable(false);
    const events = new Table({caption: "The last events", columns: eventColumns(), key: (e) => e.seq, limit: 8,
        empty: "No event since the start."});
    const dns = new DnWatch(state, () => update());
    const dnTable = new Table({caption: "DNs out of service or suspect", columns: dnColumns(false), key: (d) => d.name,
        empty: "All DNs are in service.", limit: 20});

    const element = h("div", {class: "overview"},
        h("h1", {class: "unseen"}, "Overview"), box,
        h("div", {class: "tiles"}, Object.values(t).map((tile) => tile.element)),
        panel("Recovery of dead connections, last 15 minutes", {class: "left"}, summary, timeline.element, legend(),
            recoveries.element, h("p", {class: "more"}, link("recovery", {}, "All that are kept"))),
        h("div", {class: "right"},
            panel("DNs not in service", {}, dnTable.element),
            panel("Applications", {}, applications.element),
            panel("Connections by transport and state", {}, connections.element),
            panel("Workers", {}, workers.element)),
        panel("Last events", {class: "left second"}, events.element, h("p", {class: "more"}, link("events", {}, "All that are kept"))));

    let drawn = "";
    function update() {
        const now = Date.now();
        const span = SPANS[0][0];
        drawAttention(box, attention(state, dns));
        drawTiles(t, state);
        const sign = state.recoveries.sign(now);
        if (sign !== drawn) {
            drawn = sign;
            const records = state.recoveries.since(now - span);
            timeline.draw(state.recoveries.records, state.restarts, span);
            recoveries.draw(records.slice().reverse().slice(0, 8));
            put(summary, summaryText(records, now));
        }
        connections.draw(connectionRows(state.counters));
        dnTable.draw(dns.rows.filter((d) => d.state !== "in-service"));
        applications.draw(state.members);
        workers.draw(state.workers);
        events.draw(state.events.slice(-8).reverse());
    }
    return {title: "Overview", element, update, stop: () => dns.stop()};
}
