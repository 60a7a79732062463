// SPDX-License-Identifier: Apache-2.0
/* Connections that died, and what became of each: made of the events 41001 to 41004. */

const STALE = 41001;
const ENDS = {41002: "reopened", 41003: "given_up", 41004: "healed"};
const KEPT = 2000;
const OPEN_MS = 30000; // a reopening is over by then

export const OUTCOMES = {
    pending: "being reopened",
    reopened: "reopened",
    given_up: "given up",
    healed: "healed by itself",
    closed: "closed, opens with the next request",
};

export class Recoveries {
    constructor() {
        this.records = []; // oldest first
        this.open = new Map(); // connection: the last record whose end is not known
        this.version = 0;
    }

    onEvent(event) {
        const v = event.values;
        const connection = String(v.connection ?? "");
        this.version += 1;
        if (event.number === STALE) {
            const record = {
                key: event.seq, at: event.at, connection, dn: v.dn || "", peer: v.peer || "",
                transport: v.transport || "", how: v.how || "", outcome: "pending",
                ms: null, resent: null, lost: null, cause: v.cause || "",
            };
            this.put(record);
            this.open.set(connection, record);
        } else if (ENDS[event.number]) {
            let record = this.open.get(connection);
            this.open.delete(connection);
            if (!record) { // how it began is not kept any more
                record = {
                    key: event.seq, at: event.at - (v.ms || 0), connection, dn: v.dn || "",
                    peer: v.peer || "", transport: v.transport || "", how: v.how || "", resent: null, lost: null,
                };
                this.put(record);
            }
            record.outcome = ENDS[event.number];
            record.ms = typeof v.ms === "number" ? v.ms : event.at - record.at;
            record.resent = v.resent ?? null;
            record.lost = v.lost ?? null;
            record.cause = v.cause || "";
            record.dn = record.dn || v.dn || "";
        }
    }

    put(record) {
        this.records.push(record);
        if (this.records.length > KEPT) {
            const gone = this.records.shift();
            if (this.open.get(gone.connection) === gone) {
                this.open.delete(gone.connection);
            }
        }
    }

    /** What it has come to, as seen now. */
    static outcome(record, now) {
        if (record.outcome !== "pending") {
            return record.outcome;
        }
        // Found by keep-alive: nothing was under way. Else nothing came that needed it.
        return record.how === "keep-alive" || now - record.at > OPEN_MS ? "closed" : "pending";
    }

    /** Changes when the picture has to be drawn anew: in a lull every few seconds. */
    sign(now) {
        const isMoving = this.records.slice(-100).some((r) => Recoveries.outcome(r, now) === "pending");
        return `${this.version} ${Math.floor(now / (isMoving ? 1000 : 5000))}`;
    }

    since(at) {
        return this.records.filter((r) => r.at >= at);
    }
}
