// SPDX-License-Identifier: Apache-2.0
/* Connections, calls, workers: lists of what there is now. */

import {h, panel, route, count, duration, put} from "./dom.js";
import {get} from "./api.js";
import {Table, Filter, state as stateCell, has} from "./table.js";
import {confirm} from "./orders.js";
import {poll} from "./poll.js";
import {LineChart} from "./charts.js";
import {workerTable} from "./overview.js";
import {rate} from "./dom.js";

/** What a worker could not tell. */
function remarks(element, answer) {
    put(element, (answer.line || []).map((row) => row.text).join(" "));
}

export function flowColumns(close) {
    const columns = [
        {label: "Connection", get: (f) => f.id, cell: (f) => ({text: f.id, mono: true, href: route("connections", {match: f.id})})},
        {label: "State", get: (f) => f.state, cell: (f) => stateCell(f.state)},
        {label: "DN", get: (f) => f.dn, cell: (f) => (f.dn ? {text: f.dn, href: route("dns", {name: f.dn})} : "")},
        {label: "Peer", wide: true, get: (f) => f.remote, cell: (f) => ({text: f.remote, mono: true,
            sub: `${f.tls || f.transport}, opened by ${f.opened_by === "us" ? "Holdfast" : "the peer"}`})},
        {label: "Idle", num: true, get: (f) => f.idle_ms, cell: (f) => duration(f.idle_ms)},
        {label: "Age", num: true, get: (f) => f.age_ms, cell: (f) => duration(f.age_ms)},
        {label: "Unacknowledged", num: true, get: (f) => f.unacked_bytes, cell: (f) => (f.unacked_bytes ? `${count(f.unacked_bytes)} B` : "0")},
        {label: "Reopened", num: true, get: (f) => f.reopened, cell: (f) => count(f.reopened)},
        {label: "Last error", keep: true, wide: true, get: (f) => f.last_error, cell: (f) => f.last_error},
        {label: "Worker", num: true, get: (f) => f.worker, cell: (f) => String(f.worker)},
    ];
    if (close) {
        columns.push({label: "Action", cell: (f) => ({buttons: [{text: "Close", label: `Close connection ${f.id}`, run: close}]})});
    }
    return columns;
}

export function connectionsView(state, args) {
    const note = h("p", {class: "error", role: "alert"});
    const lines = h("p", {class: "note"});
    const table = new Table({caption: "Connections", key: (f) => f.id, columns: flowColumns(close), empty: "No connection."});
    const filter = new Filter({
        label: "Address, DN, state or identifier", text: args.match, run: () => { draw(); },
        selects: [{name: "transport", label: "Transport", value: "", options: [["", "all transports"], ["tcp", "TCP"], ["tls", "TLS"]]},
            {name: "state", label: "State", value: "", options: [["", "all states"], ["up", "up"], ["opening", "opening"], ["suspect", "suspect"],
                ["reopening", "reopening"], ["closing", "closing"]]}],
    });
    let rows = [];
    const reader = poll(async () => {
        const answer = await get("flows", {match: args.match});
        rows = answer.flow || [];
        remarks(lines, answer);
        draw();
    }, 3000, note);

    function draw() {
        const {text, transport, state: wanted} = filter.values;
        // What the daemon has matched already stays: it knows of more than the columns.
        const typed = args.match && text === args.match.toLowerCase() ? "" : text;
        const found = rows.filter((f) => has(f, typed) && (!transport || f.transport === transport) && (!wanted || f.state === wanted));
        filter.told(found.length, rows.length);
        table.draw(found);
    }

    function close(flow) {
        confirm({
            title: `Close connection ${flow.id}?`, verb: "Close it", command: "flows close", args: {id: flow.id}, done: reader.now,
            text: `To ${flow.remote}${flow.dn ? `, DN ${flow.dn}` : ""}. The next message for that peer opens another one, where it can be reached.`,
        });
    }
    const all = args.match ? h("p", {class: "row"}, h("a", {href: "#/connections"}, "All connections")) : "";
    return {title: "Connections", update: () => {}, stop: reader.stop, state,
        element: h("div", {}, h("h1", {}, "Connections"), note, all, filter.element, lines, panel("TCP and TLS", {}, table.element))};
}

export function callColumns(release) {
    const columns = [
        {label: "Call-ID", wide: true, get: (c) => c.call_id, cell: (c) => ({text: c.call_id, mono: true, href: route("trace", {match: c.call_id})})},
        {label: "State", get: (c) => c.state, cell: (c) => stateCell(c.state)},
        {label: "From", keep: true, wide: true, get: (c) => c.from, cell: (c) => ({text: c.from || "", sub: c.caller})},
        {label: "To", keep: true, wide: true, get: (c) => c.to, cell: (c) => ({text: c.to || "", sub: c.callee})},
        {label: "DN", keep: true, get: (c) => c.dn, cell: (c) => (c.dn ? {text: c.dn, href: route("dns", {name: c.dn})} : "")},
        {label: "Connections", cell: (c) => ({links: [c.caller_connection, c.callee_connection].map((id) => (
            {text: id || "", href: route("connections", {match: id || ""})}))})},
        {label: "Age", num: true, get: (c) => c.age_ms, cell: (c) => duration(c.age_ms)},
        {label: "Idle", num: true, get: (c) => c.idle_ms, cell: (c) => duration(c.idle_ms)},
    ];
    if (release) {
        columns.push({label: "Action", cell: (c) => ({buttons: [{text: "Release", label: `Release the call ${c.call_id}`, run: release}]})});
    }
    return columns;
}

export function callsView(state, args) {
    const note = h("p", {class: "error", role: "alert"});
    const lines = h("p", {class: "note"});
    // A call that was forked is several dialogs with one Call-ID.
    const table = new Table({caption: "Calls", key: (c) => `${c.call_id} ${c.callee} ${c.nth}`, columns: callColumns(release), empty: "No call."});
    const filter = new Filter({label: "Call-ID, number or address", text: args.text, run: () => { draw(); }});
    let rows = [];
    const reader = poll(async () => {
        const answer = await get("calls", {call_id: args.call_id});
        rows = numbered(answer.call || []);
        remarks(lines, answer);
        draw();
        return answer.error;
    }, 3000, note);

    function draw() {
        const found = rows.filter((c) => has(c, filter.values.text));
        filter.told(found.length, rows.length);
        table.draw(found);
    }

    function release(call) {
        confirm({
            title: "Release this call?", verb: "Release it", command: "calls release", args: {call_id: call.call_id}, done: reader.now,
            text: `${call.from || call.caller} to ${call.to || call.callee}. It ends now, for both sides. Call-ID ${call.call_id}`,
        });
    }
    return {title: "Calls", update: () => {}, stop: reader.stop, state,
        element: h("div", {}, h("h1", {}, "Calls"), note, filter.element, lines, panel("Dialogs that pass through", {}, table.element))};
}

export function numbered(rows) {
    const seen = new Map();
    return rows.map((row) => {
        const key = `${row.call_id} ${row.callee}`;
        seen.set(key, (seen.get(key) || 0) + 1);
        return {...row, nth: seen.get(key)};
    });
}

const REASONS = {
    overload_refused_rate: "above overload-ctrl-dialog-rate", overload_refused_source: "above overload-source-rate",
    overload_refused_lag: "a worker lags", overload_refused_neighbour: "the next hop asked for less",
    transactions_refused: "the table of transactions is full", application_requests_refused: "no member of the application is up",
    connections_refused: "the maximum of connections is reached", relay_refused: "relay-from does not allow it",
    access_refused: "the access list of the listener does not allow it",
};

export function workersView(state) {
    const table = workerTable(true);
    const messages = new LineChart({title: "Messages per second", height: 140, format: rate, floor: 10, series: [
        {name: "received", cls: "c1", get: (p) => p.received}, {name: "sent", cls: "c2", get: (p) => p.sent}]});
    const lag = new LineChart({title: "Lag of the worst worker", height: 140, format: duration, floor: 10, series: [
        {name: "lag", cls: "c3", area: true, get: (p) => p.lag}]});
    const refused = new LineChart({title: "Refused per second", height: 140, format: rate, floor: 1, series: [
        {name: "refused", cls: "c4", area: true, get: (p) => p.refused}]});
    const causes = new Table({caption: "Refused, by cause", key: (r) => r.name, columns: [
        {label: "Cause", wide: true, cell: (r) => REASONS[r.name] || r.name},
        {label: "Since the start", num: true, cell: (r) => count(r.n)}], empty: "Nothing was refused since the start."});
    const element = h("div", {}, h("h1", {}, "Workers and load"), panel("Workers", {}, table.element),
        h("div", {class: "thirds"}, panel("Messages per second", {}, key("c1", "received"), key("c2", "sent"), messages.element),
            panel("Lag of the worst worker", {}, lag.element), panel("Refused per second", {}, refused.element)),
        panel("Refused, by cause", {}, causes.element));

    function update() {
        table.draw(state.workers);
        [messages, lag, refused].forEach((chart) => chart.draw(state.history));
        causes.draw(Object.keys(REASONS).map((name) => ({name, n: state.counters[name] || 0})).filter((r) => r.n > 0));
    }
    return {title: "Workers", element, update};
}

function key(cls, text) {
    return h("span", {class: `series ${cls}`}, text);
}
