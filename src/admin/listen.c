/* SPDX-License-Identifier: Apache-2.0 */
/* The listening socket: where it is, who may connect, and whose it is when one is there already. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/admin_int.h"

#define DIRECTORY_MODE 0750
#define SOCKET_MODE    0660 /* these permissions say who may give commands */
#define BACKLOG        16
#define LOCK_TRIES     100
#define LOCK_TRY_MS    10

static bool join(char *path, size_t cap, const char *folder, size_t len, const char *name)
{
    int n = snprintf(path, cap, "%.*s/%s", (int)len, folder, name);
    return n > 0 && (size_t)n < cap;
}

bool admin_default_path(char *path, size_t cap)
{
    const char *given = getenv("RUNTIME_DIRECTORY"); /* systemd.exec(5): several are divided by : */
    if (given != NULL && given[0] == '/')
        return join(path, cap, given, strcspn(given, ":"), "control.sock");
    if (geteuid() == 0) {
        int n = snprintf(path, cap, "%s", ADMIN_SYSTEM_PATH);
        return n > 0 && (size_t)n < cap;
    }
    const char *user = getenv("XDG_RUNTIME_DIR");
    if (user == NULL || user[0] != '/')
        return false;
    return join(path, cap, user, strlen(user), ADMIN_USER_NAME);
}

/* The descriptor of the socket's folder, made when missing; -errno. */
static int open_folder(const char *path)
{
    char folder[ADMIN_PATH_MAX] = ".";
    const char *end = strrchr(path, '/');
    if (end != NULL)
        (void)slice_cstr(slice_of(path, end != path ? (size_t)(end - path) : 1), folder,
                         sizeof(folder));
    if (mkdir(folder, DIRECTORY_MODE) == 0)
        (void)!chmod(folder, DIRECTORY_MODE); /* whatever the umask is */
    else if (errno != EEXIST)
        return -errno;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

/* Two daemons that start at once look and bind one after the other. Whoever else locks the folder
 * delays this and does not prevent it. */
static void lock_folder(int folder)
{
    for (unsigned i = 0; i < LOCK_TRIES && flock(folder, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK)
            return;
        poll(NULL, 0, LOCK_TRY_MS);
    }
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, path, strlen(path) + 1);
    return sa;
}

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : -errno;
}

/* Removes what a dead process has left. 0, ERR_EXISTS, -errno. */
static int make_way(const char *path)
{
    struct stat st;
    struct sockaddr_un sa = address_of(path);
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return ERR_EXISTS;
    int fd = new_socket();
    if (fd < 0)
        return fd;
    int err = connect(fd, (const struct sockaddr *)(const void *)&sa, sizeof(sa)) == 0 ? 0 : errno;
    close(fd);
    if (err != ECONNREFUSED)
        return err == EACCES || err == EPERM ? -err : ERR_EXISTS; /* EAGAIN: its line is full */
    return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

/* Nobody can connect before listen, so the permissions are right by then. */
static int bind_here(struct admin_socket *s)
{
    struct stat st;
    struct sockaddr_un sa = address_of(s->path);
    if (bind(s->fd, (const struct sockaddr *)(const void *)&sa, sizeof(sa)) != 0)
        return errno == EADDRINUSE ? ERR_EXISTS : -errno;
    int err = chmod(s->path, SOCKET_MODE) == 0 && lstat(s->path, &st) == 0 &&
                      listen(s->fd, BACKLOG) == 0
                  ? 0
                  : -errno;
    if (err == 0) {
        s->device = st.st_dev;
        s->inode = st.st_ino;
    } else {
        (void)!unlink(s->path);
    }
    return err;
}

int admin_socket_open(struct admin_socket *s, const char *path)
{
    *s = (struct admin_socket){.fd = -1};
    if (!slice_cstr(slice_str(path), s->path, sizeof(s->path)))
        return ERR_LIMIT;
    int folder = open_folder(path);
    if (folder < 0)
        return folder;
    lock_folder(folder);
    int err = make_way(path);
    if (err == 0) {
        s->fd = new_socket();
        err = s->fd >= 0 ? bind_here(s) : s->fd;
    }
    if (err != 0 && s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    close(folder);
    return err;
}

void admin_socket_close(struct admin_socket *s)
{
    struct stat st;
    if (s->fd < 0)
        return;
    if (lstat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode)
        (void)!unlink(s->path);
    close(s->fd);
    s->fd = -1;
}
