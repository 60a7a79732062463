// SPDX-License-Identifier: Apache-2.0
/* What is known of the daemon: made of the stream's ticks and events. */

import {Recoveries} from "./recovery.js";

export const KEPT_POINTS = 600; // ticks: 10 minutes
const KEPT_EVENTS = 2000;
const WINDOW_MS = 60000; // of the set-up delay that is shown as a number

const SETUP_EDGES = [50, 200, 500, 1000, 2000, 5000, 10000];
const REFUSED = ["overload_refused_rate", "overload_refused_source", "overload_refused_lag",
    "overload_refused_neighbour", "transactions_refused", "application_requests_refused",
    "connections_refused", "relay_refused", "access_refused"];

/**
 * The value below which the share `p` lies, from counts that are cumulative by upper edge; between
 * two edges as if spread evenly. Infinity: above the last edge. null: nothing was counted.
 */
export function quantile(p, edges, counts, total) {
    if (!(total > 0)) {
        return null;
    }
    const want = p * total;
    let low = 0;
    let below = 0;
    for (let i = 0; i < edges.length; i++) {
        if (counts[i] >= want) {
            const inside = counts[i] - below;
            return inside > 0 ? low + (edges[i] - low) * (want - below) / inside : edges[i];
        }
        low = edges[i];
        below = counts[i];
    }
    return Infinity;
}

function setupsBetween(a, b) {
    const counts = SETUP_EDGES.map((e) => (b[`setup_le_${e}ms`] || 0) - (a[`setup_le_${e}ms`] || 0));
    const total = (b.setups || 0) - (a.setups || 0);
    return {
        total,
        p50: quantile(0.5, SETUP_EDGES, counts, total),
        p95: quantile(0.95, SETUP_EDGES, counts, total),
    };
}

function sum(counters, names) {
    return names.reduce((n, name) => n + (counters[name] || 0), 0);
}

export class State {
    constructor() {
        this.connection = {name: "connecting"};
        this.status = null;
        this.counters = {};
        this.workers = [];
        this.applications = [];
        this.members = [];
        this.events = []; // oldest first
        this.recoveries = new Recoveries();
        this.history = []; // one point for each tick
        this.base = []; // counters of the last ticks, for differences
        this.restarts = []; // when the daemon was seen to be another one
        this.listeners = new Set();
        this.seen = new Set(); // numbers of the events
    }

    follow(run) {
        this.listeners.add(run);
        return () => this.listeners.delete(run);
    }

    tell(what) {
        this.listeners.forEach((run) => run(what));
    }

    onConnection(name, detail) {
        this.connection = {name, ...detail, since: Date.now()};
        this.tell("connection");
    }

    onStream(type, data) {
        if (type === "tick") {
            this.onTick(data);
        } else if (type === "event") {
            this.onEvent(data);
        }
    }

    onTick(tick) {
        const now = Date.now();
        const status = Array.isArray(tick.status) ? tick.status[0] : tick.status;
        if (this.status && status && this.status.started !== status.started) {
            this.restarts.push(now);
            this.base = [];
        }
        this.status = status || {};
        this.counters = tick.counters || {};
        this.workers = tick.workers || [];
        this.applications = tick.applications || [];
        this.members = tick.members || [];
        this.point(now);
        if (this.connection.name !== "live") {
            this.onConnection("live");
        }
        this.tell("tick");
    }

    /** What is drawn over time: rates are differences from the tick before. */
    point(now) {
        const counters = this.counters;
        const before = this.base[this.base.length - 1];
        const p = {
            at: now, calls: this.status.calls ?? counters.calls ?? 0,
            connections: this.status.connections ?? counters.connections ?? 0,
            suspect: (counters.tcp_suspect || 0) + (counters.tls_suspect || 0),
            lag: Math.max(0, ...this.workers.map((w) => w.lag_ms || 0)),
        };
        if (before && now > before.at) {
            const per = 1000 / (now - before.at);
            const delta = (...names) => Math.max(0, (sum(counters, names) - sum(before.counters, names)) * per);
            p.cps = delta("calls_seen");
            p.ok = delta("invites_2xx");
            p.failed = delta("invites_4xx", "invites_5xx", "invites_6xx");
            p.refused = delta(...REFUSED);
            p.reopened = delta("connections_reopened");
            p.received = delta("messages_received");
            p.sent = delta("messages_sent");
            const ten = this.base[Math.max(0, this.base.length - 10)];
            Object.assign(p, this.delay(ten.counters, counters));
        }
        this.base.push({at: now, counters});
        while (this.base.length > 1 && now - this.base[0].at > WINDOW_MS) {
            this.base.shift();
        }
        this.history.push(p);
        if (this.history.length > KEPT_POINTS) {
            this.history.shift();
        }
    }

    delay(a, b) {
        const d = setupsBetween(a, b);
        return {p50: d.p50, p95: d.p95};
    }

    /** Of the last minute: {total, p50, p95}. */
    setups() {
        return this.base.length > 1
            ? setupsBetween(this.base[0].counters, this.counters) : {total: 0, p50: null, p95: null};
    }

    /** How often something was refused in the last minute, by cause. */
    refusedByCause() {
        if (this.base.length < 2) {
            return [];
        }
        const before = this.base[0].counters;
        return REFUSED.map((name) => ({name, n: (this.counters[name] || 0) - (before[name] || 0)}))
            .filter((row) => row.n > 0);
    }

    onEvent(row) {
        if (this.seen.has(row.seq)) {
            return;
        }
        this.seen.add(row.seq);
        const event = {...row, at: Date.parse(row.time), values: fieldsOf(row.fields)};
        this.events.push(event);
        if (this.events.length > KEPT_EVENTS) {
            this.seen.delete(this.events.shift().seq);
        }
        this.recoveries.onEvent(event);
        this.tell("event");
    }
}

function fieldsOf(fields) {
    if (fields && typeof fields === "object") {
        return fields;
    }
    try {
        const values = JSON.parse(fields || "{}");
        return values && typeof values === "object" ? values : {};
    } catch {
        return {};
    }
}
