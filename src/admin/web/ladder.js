// SPDX-License-Identifier: Apache-2.0
/* Messages as a ladder: a line down for each address, an arrow for each message. */

import {s, h, shown} from "./dom.js";

const HEAD = 46;
const ROW = 32;
const LANE = 150; // at least, where there is room
/* Widths: of the times, least of a lane, beside the first and the last one. Three lanes have room on
 * a telephone. */
const WIDE = {time: 78, lane: 96, side: 54};
const NARROW = {time: 64, lane: 80, side: 42};
const NARROW_BELOW = 400;

export function labelOf(m) {
    if (m.status > 0) {
        return m.start_line.replace(/^SIP\/2\.0 /, "");
    }
    return m.method || m.start_line;
}

/** Marks what was sent before: `again` is "" or a text. */
export function withAgain(messages) {
    const seen = new Map();
    return messages.map((m) => {
        const key = [m.direction, m.start_line, m.cseq, m.call_id, m.status ? m.remote : ""].join("\n");
        const before = seen.get(key);
        seen.set(key, m);
        const isElsewhere = before && (before.connection !== m.connection || before.remote !== m.remote);
        const again = !before ? "" : isElsewhere ? "again, other connection" : "again";
        return {...m, again};
    });
}

function lanesOf(messages) {
    const remotes = [...new Set(messages.map((m) => m.remote))];
    return [remotes[0], "", ...remotes.slice(1)].filter((one) => one !== undefined);
}

function cut(text, width, perChar) {
    const chars = [...shown(text)];
    const most = Math.max(4, Math.floor(width / perChar));
    return chars.length <= most ? chars.join("") : `${chars.slice(0, most - 1).join("")}…`;
}

function arrow(m, from, to, y) {
    const sign = to > from ? -1 : 1;
    return [s("line", {class: "wire", x1: from, x2: to, y1: y, y2: y}),
        s("path", {class: "head", d: `M${to} ${y}l${sign * 8} -4.500v9z`})];
}

/** pick(index): when an arrow is clicked. */
export function ladder(messages, width, pick) {
    const lanes = lanesOf(messages);
    const {time, lane: least, side} = width < NARROW_BELOW ? NARROW : WIDE;
    const gap = Math.max(least, Math.min(LANE * 2, (width - time - 2 * side) / Math.max(1, lanes.length - 1)));
    const full = Math.max(width, time + 2 * side + gap * (lanes.length - 1));
    const height = HEAD + ROW * messages.length + 16;
    const x = (remote) => time + side + gap * lanes.indexOf(remote);
    const first = messages[0].time_us;
    const parts = [];
    for (const lane of lanes) {
        parts.push(s("line", {class: lane ? "lane-line" : "lane-line us", x1: x(lane), x2: x(lane), y1: HEAD - 14, y2: height - 6}));
        parts.push(s("text", {class: lane ? "lane-name" : "lane-name us", x: x(lane), y: 20, "text-anchor": "middle"},
            cut(lane || "Holdfast", Math.min(gap - 4, 2 * side), 6.6), s("title", {}, shown(lane || "Holdfast"))));
    }
    messages.forEach((m, i) => {
        const y = HEAD + ROW * (i + 0.6);
        const [from, to] = m.direction === "in" ? [x(m.remote), x("")] : [x(""), x(m.remote)];
        const kind = m.status >= 300 ? "bad" : m.status > 0 ? "answer" : "request";
        const text = labelOf(m) + (m.again ? ` (${m.again})` : "");
        const reach = Math.abs(to - from);
        const group = s("g", {class: `rung ${kind} ${m.again ? "again" : ""}`, "data-index": i},
            s("rect", {class: "hit", x: 0, y: y - ROW * 0.6, width: full, height: ROW}),
            s("text", {class: "rung-time", x: 0, y: y + 4}, `${i === 0 ? "" : "+"}${((m.time_us - first) / 1e6).toFixed(3)} s`),
            arrow(m, from, to, y),
            s("text", {class: "rung-text", x: (from + to) / 2, y: y - 5, "text-anchor": "middle"}, cut(text, reach - 8, 6.3)),
            s("title", {}, `${shown(m.start_line)}\n${shown(m.remote)} ${shown(m.transport)} ${shown(m.connection)}`));
        group.addEventListener("click", () => pick(i));
        parts.push(group);
    });
    const calls = new Set(messages.map((m) => m.call_id)).size;
    return h("div", {class: "ladder-box", tabindex: "0", role: "group", "aria-label": "Ladder, scrolls sideways where it is wide"},
        s("svg", {
            role: "img", class: "ladder", width: full, height, viewBox: `0 0 ${full} ${height}`,
            "aria-label": `Ladder of ${messages.length} messages of ${calls} ${calls === 1 ? "call" : "calls"} between Holdfast and ` +
                `${lanes.filter(Boolean).map(shown).join(", ")}. The table below says the same in words.`,
        }, parts));
}
