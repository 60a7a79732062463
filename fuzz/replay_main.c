/* SPDX-License-Identifier: Apache-2.0 */
/* Runs every file of the folders and files given through one fuzz target, without libFuzzer. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The exact size is allocated, so that a sanitizer sees a read of one byte past the input. */
static int replay_file(const char *path, off_t size)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    size_t want = (size_t)size;
    uint8_t *data = malloc(want ? want : 1);
    int rc = -1;
    if (data && fread(data, 1, want, f) == want) {
        (void)LLVMFuzzerTestOneInput(data, want);
        rc = 0;
    } else {
        fprintf(stderr, "%s: cannot read %zu bytes\n", path, want);
    }
    free(data);
    fclose(f);
    return rc;
}

static int replay_path(const char *path, unsigned *count);

static int replay_folder(const char *path, unsigned *count)
{
    struct dirent **names = NULL;
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    int rc = 0;
    for (int i = 0; i < n; i++) {
        char sub[4096];
        if (names[i]->d_name[0] != '.') {
            int len = snprintf(sub, sizeof sub, "%s/%s", path, names[i]->d_name);
            if (len < 0 || (size_t)len >= sizeof sub || replay_path(sub, count) < 0)
                rc = -1;
        }
        free(names[i]);
    }
    free(names);
    return rc;
}

static int replay_path(const char *path, unsigned *count)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    if (S_ISDIR(st.st_mode))
        return replay_folder(path, count);
    (*count)++;
    return replay_file(path, st.st_size);
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    int rc = 0;
    for (int i = 1; i < argc; i++) {
        if (replay_path(argv[i], &count) < 0)
            rc = 1;
    }
    if (count == 0) {
        fprintf(stderr, "usage: %s FILE-OR-FOLDER...; no input was found\n", argv[0]);
        return 1;
    }
    printf("%u inputs replayed\n", count);
    return rc;
}
