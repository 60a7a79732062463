// SPDX-License-Identifier: Apache-2.0
/* DNs: in and out of service, why, and their bindings. */

import {h, panel, route, clock, count, duration} from "./dom.js";
import {get} from "./api.js";
import {Table, Filter, state as stateCell, has} from "./table.js";
import {confirm} from "./orders.js";
import {poll} from "./poll.js";

const SOON_MS = 500; // between two questions for all DNs
const SHARE = 20;     // and that many times as long as the answer took
const ANYWAY_MS = 60000;
const DN_EVENTS = [42000, 43000];

/** The DNs that are not in service; asked for when that may have changed. */
export class DnWatch {
    constructor(state, changed) {
        Object.assign(this, {state, changed, rows: [], asked: 0, took: 0, sign: ""});
        this.leave = state.follow(() => this.look());
        queueMicrotask(() => this.look()); // when the view is complete
    }

    look() {
        const s = this.state.status;
        if (!s) {
            return;
        }
        const last = this.state.events.filter((e) => e.number >= DN_EVENTS[0] && e.number < DN_EVENTS[1]).pop();
        const sign = `${s.started} ${s.dns_out} ${s.dns_suspect} ${last ? last.seq : 0}`;
        const late = Date.now() - this.asked;
        if ((sign !== this.sign && late > SOON_MS + SHARE * this.took) || late > ANYWAY_MS) {
            this.sign = sign;
            this.asked = Date.now();
            this.ask(s);
        }
    }

    async ask(s) {
        if (!s.dns_out && !s.dns_suspect) {
            this.rows = [];
        } else {
            try {
                const began = Date.now();
                this.rows = ((await get("dns")).dn || []).filter((d) => d.state !== "in-service");
                this.took = Date.now() - began;
            } catch {
                this.sign = ""; // asked again with a later tick
                return;
            }
        }
        this.changed();
    }

    stop() {
        this.leave();
    }
}

function since(text) {
    return text ? clock(Date.parse(text)) : "";
}

/** full: with what a page of its own has room for. */
export function dnColumns(full, act) {
    const name = {label: "DN", get: (d) => d.name, cell: (d) => ({text: d.name, sub: full ? d.type : "", href: route("dns", {name: d.name})})};
    const state = {label: "State", get: (d) => d.state, cell: (d) => ({...stateCell(d.state), sub: full ? "" : d.cause})};
    const cause = {label: "Cause", wide: true, get: (d) => d.cause, cell: (d) => d.cause};
    const from = {label: "Since", still: true, keep: true, get: (d) => d.since, cell: (d) => since(d.since)};
    if (!full) {
        return [name, state, from];
    }
    return [name, state, cause, from,
        {label: "Bindings", num: true, get: (d) => d.bindings, cell: (d) => count(d.bindings)},
        {label: "Last check", still: true, keep: true, get: (d) => d.last_check, cell: (d) => (d.last_check ? since(d.last_check) : d.checked ? "not yet" : "not checked")},
        {label: "Next try", still: true, keep: true, get: (d) => d.next_try, cell: (d) => since(d.next_try)},
        {label: "Action", cell: (d) => ({buttons: [d.state === "out-of-service"
            ? {text: "In service", label: `Set ${d.name} in service`, run: (row) => act(row, true)}
            : {text: "Out of service", label: `Set ${d.name} out of service`, run: (row) => act(row, false)}]})},
    ];
}

function bindingTable() {
    return new Table({
        caption: "Registered contacts", key: (b) => `${b.dn} ${b.contact} ${b.instance}`, empty: "No contact is registered.",
        columns: [
            {label: "DN", cell: (b) => b.dn},
            {label: "Contact", wide: true, cell: (b) => ({text: b.contact, sub: b.instance, mono: true})},
            {label: "Way to it", wide: true, cell: (b) => ({text: b.remote || (b.path ? "by its Path" : "by its Contact"), sub: b.transport, mono: true})},
            {label: "Registered from", wide: true, cell: (b) => ({text: b.source || "not known", mono: true})},
            {label: "Connection", cell: (b) => (b.connection ? {text: b.connection, href: route("connections", {match: b.connection}), mono: true} : "")},
            {label: "Expires in", num: true, cell: (b) => duration(1000 * b.expires_s)},
            {label: "q", num: true, cell: (b) => b.q},
        ],
    });
}

export function dnsView(state, args) {
    const note = h("p", {class: "error", role: "alert"});
    const table = new Table({caption: "DNs", key: (d) => d.name, columns: dnColumns(true, act), empty: "No DN."});
    const bindings = bindingTable();
    const filter = new Filter({
        label: "Name, cause or type", text: args.text, run: draw,
        selects: [{name: "state", label: "State", value: args.state || "", options: [["", "all states"], ["in-service", "in service"],
            ["suspect", "suspect"], ["out-of-service", "out of service"]]}],
    });
    let rows = [];
    const one = args.name;
    const reader = poll(async () => {
        const answer = await get("dns", {name: one});
        rows = answer.dn || [];
        draw();
        bindings.draw(answer.binding || []);
        return answer.error;
    }, one ? 3000 : 10000, note);

    function draw() {
        const {text, state: wanted} = filter.values;
        const found = rows.filter((d) => has(d, text) && (!wanted || d.state === wanted));
        filter.told(found.length, rows.length);
        table.draw(found);
    }

    function act(row, isIn) {
        confirm({
            title: isIn ? `Set ${row.name} in service?` : `Set ${row.name} out of service?`,
            text: isIn ? "Requests for it are tried again from now on."
                : "New requests for it get 480 until it is set in service. Calls that stand go on.",
            verb: isIn ? "Set in service" : "Set out of service",
            command: isIn ? "dns in-service" : "dns out-of-service", args: {name: row.name}, done: reader.now,
        });
    }

    const links = one ? h("p", {class: "row"},
        h("a", {href: "#/dns"}, "All DNs"),
        h("a", {href: route("connections", {match: one})}, "Its connections"),
        h("a", {href: route("trace", {match: one})}, "Its last messages"),
        h("a", {href: route("recovery", {text: one, span: "86400000"})}, "Its recoveries")) : filter.element;
    const element = h("div", {}, h("h1", {}, one ? "DN " : "DNs", one ? h("bdi", {}, one) : ""), note, links,
        panel(one ? "State" : "State of the DNs", {}, table.element), panel("Registered contacts", {}, bindings.element));
    return {title: "DNs", element, update: () => {}, stop: reader.stop, state};
}
