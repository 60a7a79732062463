// SPDX-License-Identifier: Apache-2.0
/* What the page can change: few things, and each is confirmed. */

import {order} from "./api.js";
import {put, shown} from "./dom.js";

const id = (name) => document.getElementById(name);

export function say(text) {
    const said = id("said");
    put(said, text);
    said.classList.add("seen");
    clearTimeout(say.timer);
    say.timer = setTimeout(() => {
        said.classList.remove("seen");
        put(said, "");
    }, 6000);
}

/** Asks, sends, says what came of it. done(): after it worked. */
export function confirm({title, text, verb, command, args, done}) {
    const dialog = id("confirm");
    const yes = id("confirm-yes");
    put(id("confirm-title"), shown(title));
    put(id("confirm-text"), shown(text));
    put(id("confirm-error"), "");
    put(yes, verb);
    const send = async () => {
        yes.disabled = true;
        try {
            const answer = await order(command, args);
            dialog.close();
            const lines = (answer.line || []).map((row) => row.text);
            say(shown(lines.join(" ") || `Done: ${title}`));
            if (done) {
                done();
            }
        } catch (error) {
            put(id("confirm-error"), shown(error.message));
        } finally {
            yes.disabled = false;
        }
    };
    yes.addEventListener("click", send);
    dialog.addEventListener("close", () => yes.removeEventListener("click", send), {once: true});
    dialog.showModal();
    id("confirm-no").focus();
}
