// SPDX-License-Identifier: Apache-2.0
/* The messages of a call or a DN: as a ladder, as a table, one by one, and as a capture file. */

import {h, clear, panel, put, route, clock, count, shown, shownLines, button} from "./dom.js";
import {get, getBytes} from "./api.js";
import {Table} from "./table.js";
import {ladder, labelOf, withAgain} from "./ladder.js";
import {poll} from "./poll.js";
import {say} from "./orders.js";

const MOST = 300; // messages of a ladder
const KEPT = 5000;

function time(us) {
    return `${clock(us / 1000)}.${String(Math.floor(us / 1000) % 1000).padStart(3, "0")}`;
}

function messageTable(pick) {
    return new Table({
        caption: "Messages, in the order of the ladder", key: (m) => m.nth, limit: MOST, empty: "No message.",
        columns: [
            {label: "Time", still: true, cell: (m) => time(m.time_us)},
            {label: "From", keep: true, wide: true, cell: (m) => (m.direction === "in" ? {text: m.remote, mono: true} : "Holdfast")},
            {label: "To", keep: true, wide: true, cell: (m) => (m.direction === "in" ? "Holdfast" : {text: m.remote, mono: true})},
            {label: "Message", wide: true, cell: (m) => ({text: labelOf(m), sub: m.again})},
            {label: "CSeq", cell: (m) => m.cseq},
            {label: "By", cell: (m) => ({text: m.transport, links: [{text: m.connection, href: route("connections", {match: m.connection})}]})},
            {label: "Show", cell: (m) => ({buttons: [{text: "Show", label: `Show the text of ${labelOf(m)} at ${time(m.time_us)}`, run: (row) => pick(row.nth)}]})},
        ],
    });
}

function callTable() {
    return new Table({
        caption: "Calls among these messages", key: (c) => c.call_id, limit: 100,
        columns: [
            {label: "Call-ID", wide: true, cell: (c) => ({text: c.call_id, mono: true, href: route("trace", {match: c.call_id})})},
            {label: "Begins with", wide: true, cell: (c) => c.first},
            {label: "At", still: true, cell: (c) => time(c.at)},
            {label: "Messages", num: true, cell: (c) => count(c.n)},
        ],
    });
}

function callsOf(messages) {
    const calls = new Map();
    for (const m of messages) {
        const call = calls.get(m.call_id) || {call_id: m.call_id, first: m.start_line, at: m.time_us, n: 0};
        call.n += 1;
        calls.set(m.call_id, call);
    }
    return [...calls.values()].reverse();
}

async function download(match) {
    try {
        const bytes = await getBytes("trace.pcapng", {match});
        const url = URL.createObjectURL(bytes);
        const a = h("a", {href: url, download: "holdfast.pcapng"});
        document.body.append(a);
        a.click();
        a.remove();
        setTimeout(() => URL.revokeObjectURL(url), 10000);
    } catch (error) {
        say(`No capture file: ${shown(error.message)}`);
    }
}

export function traceView(state, args) {
    const match = args.match || "";
    const input = h("input", {type: "search", id: "trace-match", value: match, spellcheck: "false", autocomplete: "off", maxlength: "200"});
    const form = h("form", {class: "filter", on: {submit: (event) => {
        event.preventDefault();
        location.hash = route("trace", {match: input.value.trim()});
    }}}, h("label", {for: "trace-match"}, "Call-ID, number or host"), input, h("button", {type: "submit"}, "Show"));
    const element = h("div", {}, h("h1", {}, "Trace"), form);
    if (!match) {
        element.append(h("p", {class: "note"}, "The last messages of each worker are kept, as many as the option trace-buffer has room for. " +
            "Give a Call-ID for one call, or a number or host for all that it has to do with."));
        return {title: "Trace", element, update: () => {}, focus: input};
    }
    const note = h("p", {class: "error", role: "alert"});
    const lines = h("p", {class: "note"});
    const box = h("div", {});
    const text = h("pre", {class: "message", tabindex: "0", "aria-label": "Text of the message", hidden: true});
    const table = messageTable(pick);
    const calls = callTable();
    const callsPanel = panel("Calls", {hidden: true}, calls.element);
    const follow = h("input", {type: "checkbox", id: "follow", checked: true});
    let messages = [];
    let drawn = "";
    let picked = -1; // time_us of the message whose text is shown
    element.append(h("p", {class: "row"}, h("span", {}, follow, h("label", {for: "follow"}, " Follow new messages")),
        button("Download for Wireshark (pcapng)", () => download(match))), note, lines, callsPanel,
    panel("Ladder", {class: "ladder-panel"}, box), panel("Text", {class: "text-panel"},
        h("p", {class: "note", id: "text-hint"}, "Choose a message in the ladder or in the table."), text), panel("Messages", {}, table.element));

    const reader = poll(async () => {
        if (messages.length && !follow.checked) {
            return;
        }
        const last = messages.length ? messages[messages.length - 1].time_us : 0;
        const answer = await get("trace", {match, since: last || undefined});
        put(lines, (answer.line || []).map((row) => row.text).join(" "));
        messages = messages.concat(answer.message || []).slice(-KEPT);
        draw();
    }, 2000, note);

    function draw() {
        const sign = `${messages.length} ${messages.length ? messages[messages.length - 1].time_us : 0} ${box.clientWidth}`;
        if (sign === drawn) {
            return;
        }
        drawn = sign;
        const last = withAgain(messages.slice(-MOST)).map((m, nth) => ({...m, nth}));
        const several = callsOf(messages);
        callsPanel.hidden = several.length < 2;
        calls.draw(several);
        table.draw(last);
        clear(box, last.length ? ladder(last, Math.max(280, box.clientWidth), pick)
            : h("p", {class: "empty"}, "No message of it is kept."),
        messages.length > MOST ? h("p", {class: "note"}, `The last ${count(MOST)} of ${count(messages.length)} messages.`) : "");
        mark();
    }

    function mark() {
        const m = table.rows.find((one) => one.time_us === picked);
        box.querySelectorAll(".rung").forEach((g) => g.classList.toggle("picked", m !== undefined && Number(g.dataset.index) === m.nth));
    }

    function pick(nth) {
        const m = table.rows.find((one) => one.nth === nth);
        picked = m.time_us;
        put(document.getElementById("text-hint"), `${time(m.time_us)}, ${m.direction === "in" ? "received from" : "sent to"} ${shown(m.remote)} by ` +
            `${shown(m.transport)}, ${count(m.length)} bytes${m.cut ? ", its end is missing" : ""}`);
        text.hidden = false;
        put(text, shownLines(m.text));
        mark();
        text.focus();
        text.scrollIntoView({block: "nearest"});
    }
    new ResizeObserver(draw).observe(box);
    return {title: "Trace", element, update: () => {}, stop: reader.stop, state};
}
