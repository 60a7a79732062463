// SPDX-License-Identifier: Apache-2.0
/* Pictures in SVG, drawn anew with each change. Each has a text that says the same in short. */

import {s, h, clear, clock, duration, shown} from "./dom.js";
import {Recoveries, OUTCOMES} from "./recovery.js";

const SPANS = [60000, 120000, 300000, 600000]; // the first one that has room for all points
const GAP_MS = 3500; // a line is not drawn over a pause

function niceTop(max) {
    if (!(max > 0)) {
        return 1;
    }
    const ten = 10 ** Math.floor(Math.log10(max));
    return [1, 2, 3, 5, 10].find((k) => k * ten >= max) * ten;
}

/** Calls draw() with the width of the element, at once and whenever that changes. */
function onWidth(element, draw) {
    new ResizeObserver((entries) => {
        for (const entry of entries) {
            draw(Math.floor(entry.contentRect.width));
        }
    }).observe(element);
}

/** Lines over the last minutes. series: [{name, get(point), cls}]; format(value) for texts. */
export class LineChart {
    constructor({title, series, format, height = 64, floor = 0}) {
        Object.assign(this, {title, series, format, height, floor});
        this.span = SPANS[0];
        this.points = [];
        this.svg = s("svg", {role: "img", class: "chart", height, width: "100%", "aria-label": title});
        this.element = h("div", {class: "chart-box"}, this.svg);
        this.width = 0;
        onWidth(this.element, (width) => {
            this.width = width;
            this.paint();
        });
    }

    draw(points) {
        this.points = points;
        this.paint();
    }

    paint() {
        if (this.width < 20) {
            return;
        }
        const now = this.points.length ? this.points[this.points.length - 1].at : Date.now();
        const age = this.points.length ? now - this.points[0].at : 0;
        this.span = SPANS.find((span) => span >= age) || SPANS[SPANS.length - 1];
        const shownPoints = this.points.filter((p) => p.at > now - this.span);
        let max = this.floor;
        for (const p of shownPoints) {
            for (const one of this.series) {
                const v = one.get(p);
                if (Number.isFinite(v) && v > max) {
                    max = v;
                }
            }
        }
        const top = niceTop(max);
        const x = (at) => this.width - (now - at) / this.span * this.width;
        const y = (v) => this.height - 1.5 - Math.min(v, top) / top * (this.height - 18);
        const parts = [
            s("line", {class: "axis", x1: 0, x2: this.width, y1: this.height - 0.5, y2: this.height - 0.5}),
            s("line", {class: "grid", x1: 0, x2: this.width, y1: y(top), y2: y(top)}),
        ];
        for (const one of this.series) {
            parts.push(...this.line(one, shownPoints, x, y));
        }
        parts.push(s("text", {class: "tick", x: 0, y: 12}, this.format(top)),
            s("text", {class: "tick", x: this.width, y: 12, "text-anchor": "end"}, duration(this.span).replace(" 0 s", "")));
        clear(this.svg, parts);
        this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
        this.svg.setAttribute("aria-label", this.text(shownPoints, max));
    }

    line(one, points, x, y) {
        const runs = [];
        let run = null;
        let last = null;
        for (const p of points) {
            const v = one.get(p);
            if (!Number.isFinite(v)) {
                run = null;
            } else {
                if (!run || p.at - last > GAP_MS) {
                    run = [];
                    runs.push(run);
                }
                run.push(`${x(p.at).toFixed(1)},${y(v).toFixed(1)}`);
            }
            last = p.at;
        }
        const shapes = [];
        for (const r of runs) {
            const [first] = r[0].split(",");
            const [end] = r[r.length - 1].split(",");
            if (one.area) {
                shapes.push(s("polygon", {
                    class: `area ${one.cls}`,
                    points: `${first},${this.height} ${r.join(" ")} ${end},${this.height}`,
                }));
            }
            shapes.push(r.length > 1 ? s("polyline", {class: `line ${one.cls}`, points: r.join(" ")})
                : s("circle", {class: `dot ${one.cls}`, cx: first, cy: r[0].split(",")[1], r: 1.5}));
        }
        return shapes;
    }

    text(points, max) {
        const last = points[points.length - 1];
        const now = last ? this.series.map((one) => `${one.name} ${this.format(one.get(last))}`).join(", ")
            : "no data yet";
        return `${this.title}, last ${duration(this.span).replace(" 0 s", "")}. Now: ${now}. Most: ${this.format(max)}.`;
    }
}

/* --- the recovery timeline -------------------------------------------------------------------- */

const LOW_MS = 10;
const HIGH_MS = 60000;
const LINES = [[10, "10 ms"], [100, "100 ms"], [1000, "1 s"], [10000, "10 s"], [60000, "60 s"]];
const LEFT = 48;
const LANE = 24; // for what was closed and not reopened
const FOOT = 20;
const MARKS = 1500;

/** One mark for each connection that died: when, how long it took, what came of it. */
export class Timeline {
    constructor({height = 230, pick}) {
        this.height = height;
        this.pick = pick;
        this.records = [];
        this.restarts = [];
        this.span = 900000;
        this.svg = s("svg", {role: "img", class: "chart timeline", height, width: "100%", "aria-label": "Timeline"});
        this.element = h("div", {class: "chart-box"}, this.svg);
        this.width = 0;
        onWidth(this.element, (width) => {
            this.width = width;
            this.paint();
        });
    }

    draw(records, restarts, span) {
        Object.assign(this, {records, restarts, span});
        this.paint();
    }

    y(ms) {
        const low = Math.log10(LOW_MS);
        const part = (Math.log10(Math.min(Math.max(ms, LOW_MS), HIGH_MS)) - low) / (Math.log10(HIGH_MS) - low);
        const room = this.height - FOOT - LANE - 12;
        return 8 + room * (1 - part);
    }

    paint() {
        if (this.width < 60) {
            return;
        }
        const now = Date.now();
        const x = (at) => LEFT + (1 - (now - at) / this.span) * (this.width - LEFT - 8);
        const lane = this.height - FOOT - LANE / 2;
        const inside = this.records.filter((r) => r.at > now - this.span).slice(-MARKS);
        const parts = [...this.scale(now, x, lane)];
        for (const at of this.restarts.filter((t) => t > now - this.span)) {
            parts.push(s("line", {class: "restart", x1: x(at), x2: x(at), y1: 6, y2: this.height - FOOT}),
                s("text", {class: "tick restart-text", x: x(at) - 4, y: 16, "text-anchor": "end"}, "restart"));
        }
        // What could not be reopened is drawn above the rest.
        const above = (r) => (r.outcome === "given_up" ? 1 : 0);
        for (const r of inside.slice().sort((a, b) => above(a) - above(b))) {
            parts.push(this.mark(r, now, x(r.at), lane));
        }
        if (inside.length === 0) {
            parts.push(s("text", {class: "empty", x: (this.width + LEFT) / 2, y: this.height / 2 - 18,
                "text-anchor": "middle"}, "No connection has died in this time."));
        }
        clear(this.svg, parts);
        this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
        this.svg.setAttribute("aria-label", timelineText(inside, now, this.span));
    }

    scale(now, x, lane) {
        const parts = [];
        for (const [ms, text] of LINES) {
            parts.push(s("line", {class: "grid", x1: LEFT, x2: this.width, y1: this.y(ms), y2: this.y(ms)}),
                s("text", {class: "tick", x: LEFT - 8, y: this.y(ms) + 4, "text-anchor": "end"}, text));
        }
        parts.push(s("rect", {class: "lane", x: LEFT, y: lane - LANE / 2, width: this.width - LEFT, height: LANE}),
            s("text", {class: "tick", x: LEFT - 8, y: lane + 4, "text-anchor": "end"}, "closed"));
        const steps = this.width < 600 ? 3 : this.span % 900000 === 0 && this.span < 3600000 ? 5 : 6;
        for (let i = 0; i <= steps; i++) {
            const at = now - this.span * (1 - i / steps);
            const anchor = i === 0 ? "start" : i === steps ? "end" : "middle";
            parts.push(s("text", {class: "tick", x: x(at), y: this.height - 4, "text-anchor": anchor},
                i === steps ? "now" : `−${duration(now - at).replace(/ 0 s$/, "").replace(/ 00 min$/, "")}`));
        }
        return parts;
    }

    mark(r, now, x, lane) {
        const outcome = Recoveries.outcome(r, now);
        const group = s("g", {class: `mark ${outcome}`, "data-key": r.key});
        const isLane = outcome === "closed";
        const y = isLane ? lane : this.y(outcome === "pending" ? now - r.at : r.ms);
        if (!isLane) {
            group.append(s("line", {class: "stem", x1: x, x2: x, y1: y, y2: lane - LANE / 2}));
        }
        if (outcome === "given_up") {
            group.append(s("path", {class: "shape", d: `M${x - 5} ${y - 5}l10 10M${x + 5} ${y - 5}l-10 10`}));
        } else if (isLane) {
            group.append(s("path", {class: "shape", d: `M${x} ${y - 5}l5 5l-5 5l-5 -5z`}));
        } else {
            group.append(s("circle", {class: "shape", cx: x, cy: y, r: 5}));
        }
        group.append(s("title", {}, recoveryText(r, outcome)));
        if (this.pick) {
            group.addEventListener("click", () => this.pick(r));
        }
        return group;
    }
}

export function recoveryText(r, outcome) {
    const what = [clock(r.at), shown(r.dn || "no DN"), shown(r.peer), shown(r.transport), `noticed by ${shown(r.how || "?")}`,
        OUTCOMES[outcome]];
    if (r.ms !== null && r.ms !== undefined) {
        what.push(`after ${duration(r.ms)}`);
    }
    if (r.resent) {
        what.push(`${r.resent} sent again`);
    }
    if (r.lost) {
        what.push(`${r.lost} lost`);
    }
    return what.join(" · ");
}

function timelineText(records, now, span) {
    const n = {};
    let longest = 0;
    for (const r of records) {
        const outcome = Recoveries.outcome(r, now);
        n[outcome] = (n[outcome] || 0) + 1;
        longest = Math.max(longest, outcome === "reopened" ? r.ms : 0);
    }
    const parts = Object.keys(OUTCOMES).filter((o) => n[o]).map((o) => `${n[o]} ${OUTCOMES[o]}`);
    return `Connections that died in the last ${duration(span)}: ${records.length}` +
        (parts.length ? ` (${parts.join("; ")})` : "") +
        (longest ? `. The longest reopening took ${duration(longest)}` : "") + ". The table below has each of them.";
}

/** A share of 100 as a bar beside its number. */
export function bar(percent, text, level) {
    const full = Math.min(100, Math.max(0, percent || 0));
    return h("span", {class: `bar ${level || ""}`},
        s("svg", {class: "bar-box", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true"},
            s("rect", {class: "bar-full", width: 100, height: 8}),
            s("rect", {class: "bar-part", width: full, height: 8})),
        h("span", {class: "bar-text"}, text));
}
