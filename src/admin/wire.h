/* SPDX-License-Identifier: Apache-2.0 */
/* What is spoken on the control socket; shared by the daemon and holdfastctl.
 *
 * A client sends lines, each one command. An answer is lines, each one row: the name of its set, a
 * blank, and an object of JSON with its values; then one line that begins with "." and tells what
 * became of the command: ".ok", ".error TEXT" (refused) or ".usage TEXT" (no such command, or not
 * its arguments). The next command is read when the answer has been taken. owns: nothing. thread:
 * any. */
#ifndef ADMIN_WIRE_H
#define ADMIN_WIRE_H

#define ADMIN_END_OK    ".ok"
#define ADMIN_END_ERROR ".error"
#define ADMIN_END_USAGE ".usage"

/* For root, and where every user finds the system's daemon. */
#define ADMIN_SYSTEM_PATH "/run/holdfast/control.sock"
/* Below $XDG_RUNTIME_DIR, for the daemon of an ordinary user. */
#define ADMIN_USER_NAME "holdfast.sock"

#endif
