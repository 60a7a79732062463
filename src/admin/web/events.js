// SPDX-License-Identifier: Apache-2.0
/* The last standard events, each with what it means and what to do. */

import {h, panel, route, clock, shown} from "./dom.js";
import {getText} from "./api.js";
import {Table, Filter, badge, state as stateCell, has} from "./table.js";

const LINKED = {dn: (v) => route("dns", {name: v}), call_id: (v) => route("trace", {match: v}),
    connection: (v) => route("connections", {match: v}), application: () => "#/applications"};

let known = null;

/** What the events mean: Map of number to {text, means, toDo}; asked for once. */
export async function explanations() {
    if (!known) {
        const map = new Map();
        for (const record of (await getText("events.txt")).split("\x1e")) {
            const [number, text, means, toDo] = record.split("\x1f");
            if (toDo !== undefined) {
                map.set(Number(number), {text, means, toDo});
            }
        }
        known = map;
    }
    return known;
}

function detail(event) {
    return Object.entries(event.values).map(([name, value]) => `${name}=${value}`).join("  ");
}

export function eventColumns() {
    return [
        {label: "Time", still: true, cell: (e) => clock(e.at)},
        {label: "Level", cell: (e) => stateCell(e.level)},
        {label: "Event", wide: true, cell: (e) => ({text: e.text, sub: detail(e)})},
        {label: "Number", num: true, cell: (e) => ({text: String(e.number), href: route("events", {seq: e.seq})})},
    ];
}

function values(event) {
    return h("dl", {class: "values"}, Object.entries(event.values).map(([name, value]) => [h("dt", {}, h("bdi", {}, shown(name))),
        h("dd", {}, LINKED[name] && value !== "" ? h("a", {href: LINKED[name](String(value))}, h("bdi", {}, shown(value))) : h("bdi", {}, shown(value)))]));
}

/** `text` between backticks becomes code. */
function marked(text) {
    return text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
}

function explained(number, box) {
    explanations().then((map) => {
        const e = map.get(number);
        if (e) {
            box.append(h("p", {}, h("strong", {}, "What it means: "), marked(e.means)), h("p", {}, h("strong", {}, "What to do: "), marked(e.toDo)));
        }
    }).catch(() => box.append(h("p", {class: "note"}, "The explanation cannot be loaded now.")));
}

function item(event) {
    const box = h("div", {class: "event-more"});
    const one = h("details", {class: "event"},
        h("summary", {}, h("time", {}, clock(event.at)), badge(event.level), h("span", {class: "event-text"}, h("bdi", {}, shown(event.text))),
            h("bdi", {class: "sub"}, shown(detail(event))), h("span", {class: "number"}, String(event.number))), box);
    one.addEventListener("toggle", () => {
        if (one.open && !box.firstChild) {
            box.append(values(event));
            explained(event.number, box);
        }
    });
    return one;
}

const SHOWN = 200;

export function eventsView(state, args) {
    const list = h("div", {class: "event-list"});
    const empty = h("p", {class: "empty", hidden: true}, "No event.");
    const filter = new Filter({
        label: "Text, number, DN, Call-ID or address", text: args.text, run: draw,
        selects: [{name: "level", label: "Level", value: args.level || "", options: [["", "all levels"], ["error", "error"], ["warn", "warn"], ["info", "info"]]}],
    });
    const items = new Map();
    let wanted = Number(args.seq);

    function draw() {
        const {text, level} = filter.values;
        const fits = (e) => (!level || e.level === level) && (has(e, text) || has(e.values, text));
        const found = state.events.filter(fits).reverse();
        filter.told(found.length, state.events.length);
        const visible = found.slice(0, SHOWN);
        if (wanted && !visible.some((e) => e.seq === wanted)) {
            visible.push(...found.filter((e) => e.seq === wanted));
        }
        const left = new Set(items.keys());
        let at = list.firstChild;
        for (const e of visible) {
            left.delete(e.seq);
            if (!items.has(e.seq)) {
                items.set(e.seq, item(e));
            }
            const one = items.get(e.seq);
            if (one === at) {
                at = at.nextSibling;
            } else {
                list.insertBefore(one, at);
            }
        }
        for (const seq of left) {
            items.get(seq).remove();
            items.delete(seq);
        }
        empty.hidden = visible.length > 0;
        const one = items.get(wanted);
        if (one) {
            one.open = true;
            one.scrollIntoView({block: "center"});
            wanted = 0;
        }
    }
    let drawn = -1;
    function update() {
        const last = state.events.length ? state.events[state.events.length - 1].seq : 0;
        if (last !== drawn) {
            drawn = last;
            draw();
        }
    }
    return {title: "Events", update,
        element: h("div", {}, h("h1", {}, "Events"), filter.element, panel("The last events", {}, list, empty))};
}
