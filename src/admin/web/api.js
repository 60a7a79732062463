// SPDX-License-Identifier: Apache-2.0
/* The daemon's HTTP API: questions, orders, and the stream of what happens. */

const KEY = "holdfast-token";
const BASE = "api/v1/";
const QUIET_MS = 5000; // the stream has a tick every second
const WAIT_MS = [500, 1000, 2000, 4000, 8000];

export class ApiError extends Error {
    constructor(status, text) {
        super(text);
        this.status = status;
    }
}

export function token() {
    return sessionStorage.getItem(KEY) || "";
}

export function setToken(text) {
    if (text) {
        sessionStorage.setItem(KEY, text);
    } else {
        sessionStorage.removeItem(KEY);
    }
}

function headers(more) {
    const all = {...more};
    if (token()) {
        all.Authorization = `Bearer ${token()}`;
    }
    return all;
}

async function failure(response) {
    let text = `${response.status} ${response.statusText}`;
    try {
        const body = await response.json();
        if (body && body.error) {
            text = String(body.error);
        }
    } catch {
        // The status says it.
    }
    if (response.status === 401) {
        window.dispatchEvent(new CustomEvent("need-token"));
    }
    return new ApiError(response.status, text);
}

async function ask(path, init) {
    let response;
    try {
        response = await fetch(BASE + path, {
            cache: "no-store", credentials: "omit", redirect: "error",
            signal: AbortSignal.timeout(20000), ...init,
        });
    } catch (error) {
        throw new ApiError(0, error.name === "TimeoutError" ? "no answer in time" : "not connected");
    }
    if (!response.ok) {
        throw await failure(response);
    }
    return response;
}

function pathOf(name, args) {
    const given = Object.entries(args || {}).filter(([, value]) => value !== "" && value !== undefined);
    const query = new URLSearchParams(given).toString();
    return name.replaceAll(" ", "/") + (query ? `?${query}` : "");
}

/** The sets of a command that changes nothing: get("flows", {match: "1001"}). What is not there,
 * or no longer, is an answer too: empty sets, and `error` says so. */
export async function get(name, args) {
    try {
        return await (await ask(pathOf(name, args), {headers: headers()})).json();
    } catch (error) {
        if (error.status !== 404) {
            throw error;
        }
        return {error: error.message};
    }
}

/** A file beside this page. */
export async function getText(file) {
    const response = await fetch(file, {credentials: "omit"});
    if (!response.ok) {
        throw new ApiError(response.status, response.statusText);
    }
    return response.text();
}

export async function getBytes(name, args) {
    return (await ask(pathOf(name, args), {headers: headers()})).blob();
}

/** A command that changes something. */
export async function order(name, args) {
    const body = JSON.stringify(args || {});
    return (await ask(pathOf(name), {
        method: "POST", body, headers: headers({"Content-Type": "application/json"}),
    })).json();
}

/* --- the stream ------------------------------------------------------------------------------- */

/** Server-sent events by fetch: an EventSource cannot carry the token. */
export class Stream {
    /** on.event(type, data); on.state(name, {why, said}): "connecting", "live", "lost", "token";
     * said: what the daemon has answered instead of a stream. */
    constructor(on) {
        this.on = on;
        this.last = 0; // the last event's number
        this.tries = 0;
        this.abort = null;
        this.wake = null;
    }

    async run() {
        for (;;) {
            const {why, said} = await this.once();
            if (why === "token") {
                this.on.state("token");
                await new Promise((done) => { this.wake = done; });
                this.tries = 0;
                continue;
            }
            const wait = WAIT_MS[Math.min(this.tries, WAIT_MS.length - 1)];
            this.tries += 1;
            this.on.state("lost", {why, said});
            await new Promise((done) => {
                this.wake = done;
                setTimeout(done, wait * (0.8 + 0.4 * Math.random()));
            });
        }
    }

    /** Tries at once, as when a token was given or the machine is on the net again. */
    now() {
        if (this.wake) {
            this.wake();
        }
    }

    /** Ends what there is and connects anew. */
    again() {
        if (this.abort) {
            this.abort.abort();
        }
    }

    async once() {
        this.abort = new AbortController();
        let timer = setTimeout(() => this.abort.abort(), 2 * QUIET_MS);
        const alive = () => {
            clearTimeout(timer);
            timer = setTimeout(() => this.abort.abort(), QUIET_MS);
        };
        try {
            const more = {Accept: "text/event-stream", "Last-Event-ID": String(this.last)};
            const response = await fetch(`${BASE}stream`, {
                headers: headers(more), cache: "no-store", credentials: "omit",
                redirect: "error", signal: this.abort.signal,
            });
            if (response.status === 401) {
                return {why: "token"};
            }
            if (!response.ok) {
                return {why: "refused", said: (await failure(response)).message};
            }
            await this.read(response.body, alive);
            return {why: "the connection has ended"};
        } catch {
            return {why: this.abort.signal.aborted ? "the daemon is silent" : "the daemon does not answer"};
        } finally {
            clearTimeout(timer);
        }
    }

    async read(body, alive) {
        const reader = body.pipeThrough(new TextDecoderStream()).getReader();
        let rest = "";
        for (;;) {
            const {value, done} = await reader.read();
            if (done) {
                return;
            }
            alive();
            const blocks = (rest + value).split(/\r?\n\r?\n/);
            rest = blocks.pop();
            blocks.forEach((block) => this.block(block));
        }
    }

    block(text) {
        let type = "message";
        let id = null;
        const data = [];
        for (const line of text.split(/\r?\n/)) {
            const at = line.indexOf(":");
            const name = at < 0 ? line : line.slice(0, at);
            const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
            if (name === "event") {
                type = value;
            } else if (name === "data") {
                data.push(value);
            } else if (name === "id") {
                id = Number(value);
            }
        }
        if (data.length === 0) {
            return;
        }
        if (Number.isFinite(id) && id !== null) {
            this.last = id;
        }
        this.tries = 0;
        this.on.event(type, JSON.parse(data.join("\n")));
    }
}
