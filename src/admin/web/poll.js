// SPDX-License-Identifier: Apache-2.0
/* Asking again and again, as long as somebody looks. */

import {put, shown} from "./dom.js";

const SHARE = 20; // a long answer is asked for less often: one part in so many of the time

/** run() now and each `ms` after it was done; a failure is told in the element `note`, and so is a
 * text that run() returns. */
export function poll(run, ms, note) {
    let timer = 0;
    let stopped = false;
    let busy = false;
    async function once() {
        clearTimeout(timer);
        if (stopped || busy) {
            return;
        }
        busy = true;
        const began = Date.now();
        try {
            if (!document.hidden) {
                put(note, shown(await run() || ""));
            }
        } catch (error) {
            put(note, error.status === 401 ? "" : `This may be out of date: ${shown(error.message)}`);
        }
        busy = false;
        if (!stopped) {
            timer = setTimeout(once, Math.max(ms, SHARE * (Date.now() - began)));
        }
    }
    once();
    return {
        now: once,
        stop: () => {
            stopped = true;
            clearTimeout(timer);
        },
    };
}
