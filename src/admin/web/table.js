// SPDX-License-Identifier: Apache-2.0
/* Tables that are drawn anew every second without losing focus, selection or place. */

import {h, clear, count, shown, put} from "./dom.js";

const LIMIT = 500;

const LEVELS = {
    "in-service": "good", up: "good", active: "good", answers: "good", confirmed: "good", reopened: "good", healed: "good",
    info: "calm", notice: "calm", closed: "calm", reserve: "calm", early: "calm", calling: "calm",
    suspect: "warn", opening: "warn", reopening: "warn", search: "warn", unknown: "warn", absent: "warn",
    warn: "warn", pending: "warn", closing: "warn",
    "out-of-service": "bad", down: "bad", given_up: "bad", error: "bad", fatal: "bad",
};
const MARKS = {good: "●", warn: "▲", bad: "✕", calm: "○"};

export function levelOf(state) {
    return LEVELS[state] || "calm";
}

/** A cell that shows a state by form, colour and word. */
export function state(name, text) {
    return {text: text ?? String(name || "").replace(/[-_]/g, " "), level: levelOf(name)};
}

/** The same outside of a table. */
export function badge(name, text) {
    const cell = state(name, text);
    return h("span", {class: `state ${cell.level}`},
        h("span", {class: "state-mark", "aria-hidden": "true"}, MARKS[cell.level]), h("bdi", {}, shown(cell.text)));
}

/**
 * columns: [{label, cell(row), get(row), num, wide, still, keep}]; still: not broken into lines; keep:
 * its label is shown also where rows are no lines of a table. A cell is a text, or {text, href, level, sub,
 * mono, node, sign, links: [{text, href}], buttons: [{text, label, run(row)}]}; `node` makes an element, drawn anew when
 * `sign` has changed. `get` gives what is sorted by; without it the column cannot be.
 */
export class Table {
    constructor({caption, columns, key, empty, sort, down, limit}) {
        Object.assign(this, {caption, columns, key, sort: sort || null, down: Boolean(down), limit: limit || LIMIT});
        this.entries = new Map();
        this.rows = [];
        this.heads = columns.map((column, i) => this.head(column, i));
        this.body = h("tbody", {role: "rowgroup"});
        this.empty = h("p", {class: "empty", hidden: true}, empty || "None.");
        this.more = h("p", {class: "note", hidden: true});
        this.table = h("table", {role: "table"},
            h("caption", {class: "unseen"}, caption),
            h("thead", {role: "rowgroup"}, h("tr", {role: "row"}, this.heads)), this.body);
        this.element = h("div", {class: "table-box"}, this.table, this.empty, this.more);
        this.markSort();
    }

    head(column, i) {
        const props = {scope: "col", role: "columnheader", class: column.num ? "num" : ""};
        if (!column.get) {
            return h("th", props, column.label);
        }
        return h("th", props, h("button", {type: "button", class: "sort", on: {click: () => this.sortBy(i)}},
            column.label, h("span", {class: "sort-mark", "aria-hidden": "true"})));
    }

    sortBy(i) {
        this.down = this.sort === i ? !this.down : Boolean(this.columns[i].num);
        this.sort = i;
        this.markSort();
        this.draw(this.rows);
    }

    markSort() {
        this.heads.forEach((head, i) => {
            if (this.columns[i].get) {
                head.setAttribute("aria-sort", this.sort !== i ? "none" : this.down ? "descending" : "ascending");
            }
        });
    }

    sorted(rows) {
        if (this.sort === null) {
            return rows;
        }
        const get = this.columns[this.sort].get;
        const sign = this.down ? -1 : 1;
        const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b
            : String(a ?? "").localeCompare(String(b ?? ""), "en", {numeric: true}));
        return rows.map((row, i) => ({row, i, v: get(row)}))
            .sort((a, b) => sign * compare(a.v, b.v) || a.i - b.i).map((one) => one.row);
    }

    draw(rows) {
        this.rows = rows;
        const visible = this.sorted(rows).slice(0, this.limit);
        const left = new Set(this.entries.keys());
        let at = this.body.firstChild;
        for (const row of visible) {
            const key = String(this.key(row));
            left.delete(key);
            const entry = this.entry(key, row);
            if (entry.tr === at) {
                at = at.nextSibling;
            } else {
                this.body.insertBefore(entry.tr, at);
            }
        }
        for (const key of left) {
            this.entries.get(key).tr.remove();
            this.entries.delete(key);
        }
        this.table.hidden = rows.length === 0;
        this.empty.hidden = rows.length !== 0;
        this.more.hidden = rows.length <= this.limit;
        put(this.more, `${count(this.limit)} of ${count(rows.length)} are shown.`);
    }

    entry(key, row) {
        let entry = this.entries.get(key);
        if (!entry) {
            const cells = this.columns.map((column) => h("td", {
                role: "cell", "data-label": column.label, class: [column.num ? "num" : "", column.wide ? "wide" : "", column.still ? "still" : "", column.keep ? "keep" : ""].join(" ").trim(),
            }));
            entry = {tr: h("tr", {role: "row", "data-key": key}, cells), cells, signs: []};
            this.entries.set(key, entry);
        }
        entry.row = row;
        this.columns.forEach((column, i) => {
            const cell = column.cell(row);
            const sign = typeof cell === "object" && cell !== null ? JSON.stringify(cell) : `=${cell}`;
            if (entry.signs[i] !== sign) {
                entry.signs[i] = sign;
                clear(entry.cells[i], this.content(cell, entry));
                entry.cells[i].classList.toggle("none", entry.cells[i].textContent === "");
            }
        });
        return entry;
    }

    content(cell, entry) {
        if (typeof cell !== "object" || cell === null) {
            return h("bdi", {}, shown(cell));
        }
        if (cell.node) {
            return cell.node();
        }
        const parts = [];
        const text = h("bdi", {class: cell.mono ? "mono" : ""}, shown(cell.text));
        if (cell.level) {
            parts.push(h("span", {class: `state ${cell.level}`},
                h("span", {class: "state-mark", "aria-hidden": "true"}, MARKS[cell.level]), text));
        } else if (cell.href && cell.text) {
            parts.push(h("a", {href: cell.href}, text));
        } else if (cell.text !== undefined) {
            parts.push(text);
        }
        if (cell.sub) {
            parts.push(h("bdi", {class: "sub"}, shown(cell.sub)));
        }
        for (const one of (cell.links || []).filter((each) => each.text)) {
            parts.push(h("a", {href: one.href, class: "listed"}, h("bdi", {class: "mono"}, shown(one.text))));
        }
        for (const one of cell.buttons || []) {
            parts.push(h("button", {type: "button", class: "small", "aria-label": one.label && shown(one.label),
                on: {click: () => one.run(entry.row)}}, one.text));
        }
        return parts;
    }

    /** Brings a row into view and to the attention. */
    show(key) {
        const entry = this.entries.get(String(key));
        if (!entry) {
            return;
        }
        this.body.querySelectorAll("tr.picked").forEach((tr) => tr.classList.remove("picked"));
        entry.tr.classList.add("picked");
        entry.tr.scrollIntoView({block: "center"});
    }
}

/** A text field, selections and a count above a table. run({text, NAME: value}) after a change. */
export class Filter {
    constructor({label, text, selects, run}) {
        this.run = run;
        this.input = h("input", {type: "search", value: text || "", spellcheck: "false", autocomplete: "off",
            "aria-label": label, placeholder: label, on: {input: () => this.changed()}});
        this.selects = (selects || []).map((one) => {
            const select = h("select", {"aria-label": one.label, on: {change: () => this.changed()}},
                one.options.map(([value, name]) => h("option", {value, selected: value === one.value}, name)));
            return {name: one.name, select};
        });
        this.count = h("span", {class: "note", role: "status"});
        this.element = h("div", {class: "filter"}, this.input, this.selects.map((one) => one.select), this.count);
    }

    get values() {
        const values = {text: this.input.value.trim().toLowerCase()};
        for (const one of this.selects) {
            values[one.name] = one.select.value;
        }
        return values;
    }

    changed() {
        this.run(this.values);
    }

    told(n, all) {
        put(this.count, n === all ? `${count(all)}` : `${count(n)} of ${count(all)}`);
    }
}

export function has(row, text) {
    return !text || Object.values(row).some((v) => (typeof v === "string" || typeof v === "number")
        && String(v).toLowerCase().includes(text));
}
