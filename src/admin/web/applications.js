// SPDX-License-Identifier: Apache-2.0
/* Applications: SIP Servers in pairs and groups, who is active, and the last switchovers. */

import {h, panel, clock, count, duration} from "./dom.js";
import {get} from "./api.js";
import {Table, state as stateCell} from "./table.js";
import {confirm} from "./orders.js";
import {poll} from "./poll.js";

/** activate(member): with a button for it; null: without. */
export function memberColumns(activate) {
    const columns = [
        {label: "Application", cell: (m) => m.application},
        {label: "Member", wide: true, cell: (m) => ({text: m.uri, sub: activate ? m.addresses : "", mono: true})},
        {label: "State", cell: (m) => stateCell(m.active ? "active" : m.state)},
    ];
    if (activate) {
        columns.push(
            {label: "Last answer", keep: true, cell: (m) => m.last_answer},
            {label: "Calls", num: true, cell: (m) => count(m.calls)},
            {label: "Weight", num: true, cell: (m) => count(m.weight)},
            {label: "Action", cell: (m) => (m.active || !m.isPair ? "" : {buttons: [{text: "Make active", label: `Make ${m.uri} active`, run: activate}]})});
    }
    return columns;
}

export function applicationsView(state) {
    const note = h("p", {class: "error", role: "alert"});
    const applications = new Table({
        caption: "Applications", key: (a) => a.name, empty: "No application is configured.",
        columns: [
            {label: "Name", cell: (a) => a.name},
            {label: "Role", cell: (a) => a.role},
            {label: "State", cell: (a) => stateCell(a.state)},
            {label: "Active member", keep: true, wide: true, cell: (a) => ({text: a.active, mono: true})},
            {label: "Since", still: true, keep: true, cell: (a) => (a.since ? clock(Date.parse(a.since)) : "")},
            {label: "Switchovers", num: true, cell: (a) => count(a.switchovers)},
            {label: "Times down", num: true, cell: (a) => count(a.down_count)},
        ],
    });
    const members = new Table({caption: "Members", key: (m) => `${m.application} ${m.index}`, empty: "No member.",
        columns: memberColumns(activate)});
    const switchovers = new Table({
        caption: "Switchovers, the last one first", key: (s) => `${s.application} ${s.time} ${s.to}`, empty: "No switchover since the start.",
        columns: [
            {label: "Time", still: true, cell: (s) => clock(Date.parse(s.time))},
            {label: "Application", cell: (s) => s.application},
            {label: "From", keep: true, wide: true, cell: (s) => ({text: s.from, mono: true})},
            {label: "To", keep: true, wide: true, cell: (s) => ({text: s.to, mono: true})},
            {label: "Cause", cell: (s) => s.cause},
            {label: "Took", num: true, cell: (s) => duration(s.ms)},
        ],
    });
    const element = h("div", {}, h("h1", {}, "Applications"), note,
        panel("Applications", {}, applications.element), panel("Members", {}, members.element),
        panel("Switchovers", {}, switchovers.element));

    const reader = poll(async () => {
        const answer = await get("applications");
        switchovers.draw((answer.switchover || []).slice().sort((a, b) => String(b.time).localeCompare(String(a.time))));
    }, 5000, note);

    function activate(member) {
        confirm({
            title: `Make ${member.uri} the active member of ${member.application}?`,
            text: "New requests go to it at once. Requests that the former one has not answered are sent to it again.",
            verb: "Make active", command: "applications switch", args: {name: member.application, member: String(member.index)},
            done: reader.now,
        });
    }

    function update() {
        const pairs = new Set(state.applications.filter((a) => a.role === "pair").map((a) => a.name));
        applications.draw(state.applications);
        members.draw(state.members.map((m) => ({...m, isPair: pairs.has(m.application)})));
    }
    return {title: "Applications", element, update, stop: reader.stop};
}
