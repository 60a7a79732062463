// SPDX-License-Identifier: Apache-2.0
/* What a text is found in: DNs, calls, connections; each leads further. */

import {h, panel, put, route, many, shown} from "./dom.js";
import {get} from "./api.js";
import {Table} from "./table.js";
import {dnColumns} from "./dns.js";
import {callColumns, flowColumns, numbered} from "./lists.js";

export function searchView(state, args) {
    const text = args.text || "";
    const note = h("p", {class: "error", role: "alert"});
    const lines = h("p", {class: "note", role: "status"}, "Searching");
    const dns = new Table({caption: "DNs", key: (d) => d.name, columns: dnColumns(false), empty: "No DN."});
    const calls = new Table({caption: "Calls", key: (c) => `${c.call_id} ${c.callee} ${c.nth}`, columns: callColumns(null), empty: "No call now."});
    const flows = new Table({caption: "Connections", key: (f) => f.id, columns: flowColumns(null), empty: "No connection."});
    const element = h("div", {}, h("h1", {}, "Search: ", h("bdi", {}, shown(text))), note, lines,
        h("p", {class: "row"}, h("a", {href: route("trace", {match: text})}, "Its last messages"),
            h("a", {href: route("recovery", {text, span: "86400000"})}, "Its recoveries"),
            h("a", {href: route("events", {text})}, "Its events")),
        panel("DNs", {}, dns.element), panel("Calls", {}, calls.element), panel("Connections", {}, flows.element));

    get("search", {text}).then((answer) => {
        const [d, c, f] = [answer.dn || [], numbered(answer.call || []), answer.flow || []];
        dns.draw(d);
        calls.draw(c);
        flows.draw(f);
        put(lines, `${many(d.length, "DN")}, ${many(c.length, "call")}, ${many(f.length, "connection")}. ` + (answer.line || []).map((row) => shown(row.text)).join(" "));
    }).catch((error) => {
        put(lines, "");
        put(note, shown(error.message));
    });
    return {title: "Search", element, update: () => {}, state};
}
