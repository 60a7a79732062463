// SPDX-License-Identifier: Apache-2.0
/* Elements and texts. Whatever came from the network enters the page here, as text only. */

const SVG = "http://www.w3.org/2000/svg";

// Characters that nobody sees, or that move their neighbours, are shown by number.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb]/g;
const TAGS = /[\u{e0000}-\u{e0fff}]/gu;

function numbered(c) {
    return `‹${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}›`;
}

/** One line of text that may come from anyone. */
export function shown(value) {
    return value === null || value === undefined ? ""
        : String(value).replace(UNSEEN, numbered).replace(TAGS, numbered);
}

/** The same for text of several lines: line ends and tabs stay. */
export function shownLines(value) {
    return String(value).replace(/\r\n/g, "\n").split("\n")
        .map((line) => line.split("\t").map(shown).join("\t")).join("\n");
}

function add(element, props, children) {
    for (const [name, value] of Object.entries(props || {})) {
        if (value === undefined || value === null || value === false) {
            continue;
        }
        if (name === "on") {
            for (const [type, run] of Object.entries(value)) {
                element.addEventListener(type, run);
            }
        } else if (/^on/i.test(name) || (name === "href" && !/^(#|blob:)/.test(value))) {
            throw new Error(`attribute ${name} is not for texts`);
        } else {
            element.setAttribute(name, value === true ? "" : value);
        }
    }
    append(element, children);
    return element;
}

function append(element, children) {
    for (const child of children.flat(3)) {
        if (child !== null && child !== undefined && child !== false) {
            element.append(child); // a string becomes a text node
        }
    }
}

/** h("p", {class: "note"}, "text", node, ...) */
export function h(tag, props, ...children) {
    return add(document.createElement(tag), props, children);
}

export function s(tag, props, ...children) {
    return add(document.createElementNS(SVG, tag), props, children);
}

export function clear(element, ...children) {
    element.replaceChildren();
    append(element, children);
    return element;
}

/** Sets the text of an element that is there already, if it is another one. */
export function put(element, text) {
    if (element.textContent !== text) {
        element.textContent = text;
    }
}

let ids = 0;
export function newId(prefix) {
    ids += 1;
    return `${prefix}-${ids}`;
}

export function link(path, args, text, props) {
    return h("a", {href: route(path, args), ...props}, text);
}

export function route(path, args) {
    const query = new URLSearchParams(args || {}).toString();
    return `#/${path}${query ? `?${query}` : ""}`;
}

export function panel(title, props, ...children) {
    const id = newId("panel");
    return h("section", {"aria-labelledby": id, ...props, class: `panel ${(props && props.class) || ""}`},
        h("h2", {id}, title), ...children);
}

export function button(text, run, props) {
    return h("button", {type: "button", on: {click: run}, ...props}, text);
}

// --- numbers and times ------------------------------------------------------------------------

export function count(n) {
    return typeof n === "number" && Number.isFinite(n) ? Math.round(n).toLocaleString("en-US") : "–";
}

/** "1 call", "2 calls" */
export function many(n, word) {
    return `${count(n)} ${word}${n === 1 ? "" : "s"}`;
}

export function rate(n) {
    if (typeof n !== "number" || !Number.isFinite(n)) {
        return "–";
    }
    return n !== 0 && n < 9.95 ? n.toFixed(1) : count(n);
}

/** A duration in ms: "850 ms", "1.2 s", "3 min 12 s", "2 h 05 min", "3 d 4 h". */
export function duration(ms) {
    if (typeof ms !== "number" || !Number.isFinite(ms)) {
        return "–";
    }
    if (ms < 1000) {
        return `${Math.round(ms)} ms`;
    }
    const sec = ms / 1000;
    if (sec < 10) {
        return `${sec.toFixed(1)} s`;
    }
    if (sec < 60) {
        return `${Math.floor(sec)} s`;
    }
    if (sec < 3600) {
        return `${Math.floor(sec / 60)} min ${Math.floor(sec % 60)} s`;
    }
    if (sec < 86400) {
        return `${Math.floor(sec / 3600)} h ${String(Math.floor((sec % 3600) / 60)).padStart(2, "0")} min`;
    }
    return `${Math.floor(sec / 86400)} d ${Math.floor((sec % 86400) / 3600)} h`;
}

const CLOCK = {hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23"};

/** Wall-clock time of this reader; with the date when that is not today's. */
export function clock(ms) {
    const at = new Date(ms);
    if (!Number.isFinite(at.getTime())) {
        return "–";
    }
    const time = at.toLocaleTimeString("en-GB", CLOCK);
    if (at.toDateString() === new Date().toDateString()) {
        return time;
    }
    const two = (n) => String(n).padStart(2, "0");
    return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

/** "in-service" as "in service". */
export function words(text) {
    return shown(text).replace(/[-_]/g, " ");
}
