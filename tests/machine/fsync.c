/* Makes the N-th fsync of a broker's store fail with EIO: LD_PRELOAD it, with FSYNC_FAILS_AT=N. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_due(int fd) {
    static int count;
    char link[64], path[4096];
    const char *at = getenv("FSYNC_FAILS_AT");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!at || length < 0) return 0;
    path[length] = 0;
    if (!strstr(path, "/broker.db")) return 0;
    return __sync_add_and_fetch(&count, 1) == atoi(at);
}

static int sync_with(const char *name, int fd) {
    if (is_due(fd)) {
        errno = EIO;
        return -1;
    }
    return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}

int fdatasync(int fd) { return sync_with("fdatasync", fd); }
int fsync(int fd) { return sync_with("fsync", fd); }
