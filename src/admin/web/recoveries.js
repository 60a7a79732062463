// SPDX-License-Identifier: Apache-2.0
/* The recovery timeline: each connection that died, and what became of it. */

import {h, panel, put, route, clock, count, many, duration, words} from "./dom.js";
import {Timeline} from "./charts.js";
import {Table, Filter, has, levelOf} from "./table.js";
import {Recoveries, OUTCOMES} from "./recovery.js";

export const SPANS = [[900000, "15 minutes"], [3600000, "1 hour"], [21600000, "6 hours"], [86400000, "1 day"]];

const HOW = {
    "keep-alive": "keep-alive unanswered", unacknowledged: "bytes unacknowledged", suspicion: "suspicion: no acknowledgement",
    reset: "reset by the peer", closed: "closed by the peer", wedged: "acknowledges, answers nothing",
};

function outcomeCell(r) {
    const outcome = Recoveries.outcome(r, Date.now());
    const sub = outcome === "given_up" ? r.cause : "";
    return {text: OUTCOMES[outcome], level: levelOf(outcome), sub};
}

export function recoveryTable(limit) {
    return new Table({
        caption: "Connections that died", key: (r) => r.key, limit, empty: "No connection has died.",
        columns: [
            {label: "Time", still: true, get: (r) => r.at, cell: (r) => clock(r.at)},
            {label: "DN", get: (r) => r.dn, cell: (r) => (r.dn ? {text: r.dn, href: route("dns", {name: r.dn})} : "")},
            {label: "Peer", wide: true, get: (r) => r.peer, cell: (r) => ({text: r.peer, sub: r.transport, mono: true})},
            {label: "Noticed by", get: (r) => r.how, cell: (r) => HOW[r.how] || words(r.how)},
            {label: "Outcome", get: (r) => Recoveries.outcome(r, Date.now()), cell: outcomeCell},
            {label: "Took", num: true, get: (r) => r.ms ?? -1, cell: (r) => (r.ms === null ? "" : duration(r.ms))},
            {label: "Sent again", num: true, get: (r) => r.resent ?? -1, cell: (r) => (r.resent === null ? "" : count(r.resent))},
            {label: "Lost", num: true, get: (r) => r.lost ?? -1, cell: (r) => (r.lost ? {text: count(r.lost), level: "bad"} : "")},
        ],
    });
}

export function recoveriesView(state, args) {
    const table = recoveryTable(500);
    const timeline = new Timeline({height: 300, pick: (r) => table.show(r.key)});
    const summary = h("p", {class: "note"});
    const filter = new Filter({
        label: "DN, peer or transport", text: args.text, run: update,
        selects: [
            {name: "span", label: "Time span", value: args.span || "3600000", options: SPANS.map(([ms, name]) => [String(ms), name])},
            {name: "outcome", label: "Outcome", value: args.outcome || "", options: [["", "all outcomes"], ...Object.entries(OUTCOMES)]},
        ],
    });
    const element = h("div", {}, h("h1", {}, "Recovery of dead connections"), filter.element,
        panel("When, and how long it took", {}, summary, timeline.element, legend()),
        panel("Each connection", {}, table.element));
    let wanted = args.key;

    let drawn = "";
    function update() {
        const now = Date.now();
        const {text, span, outcome} = filter.values;
        const sign = `${state.recoveries.sign(now)} ${span} ${outcome} ${text}`;
        if (sign === drawn) {
            return;
        }
        drawn = sign;
        const inTime = state.recoveries.since(now - Number(span));
        const records = inTime.filter((r) => has(r, text) && (!outcome || Recoveries.outcome(r, now) === outcome));
        filter.told(records.length, inTime.length);
        put(summary, summaryText(records, now));
        timeline.draw(records, state.restarts, Number(span));
        table.draw(records.slice().reverse());
        if (wanted && records.length) {
            table.show(wanted);
            wanted = null;
        }
    }
    return {title: "Recovery", element, update};
}

export function summaryText(records, now) {
    if (records.length === 0) {
        return "No connection has died.";
    }
    const by = (name) => records.filter((r) => Recoveries.outcome(r, now) === name);
    const times = by("reopened").map((r) => r.ms).sort((a, b) => a - b);
    const parts = [`${count(records.length)} died`, `${count(times.length)} reopened`, `${count(by("given_up").length)} given up`,
        `${many(records.reduce((n, r) => n + (r.resent || 0), 0), "request")} sent again`];
    if (times.length) {
        parts.push(`median ${duration(times[Math.floor(times.length / 2)])}`, `longest ${duration(times[times.length - 1])}`);
    }
    return parts.join(" · ");
}

export function legend() {
    const one = (cls, mark, text) => h("span", {class: `key ${cls}`}, h("span", {class: "state-mark"}, mark), text);
    return h("p", {class: "legend", "aria-hidden": "true"}, one("good", "●", "reopened"), one("bad", "✕", "given up"),
        one("good", "○", "healed by itself"), one("warn", "○", "being reopened"), one("calm", "◇", "closed, opens with the next request"),
        h("span", {class: "note"}, "height: how long it took"));
}
