/* A provider's end for the bench: takes HTTP/1.1 requests over kept connections, answers each with 200, and writes down when it came.
 *
 * sink LOG CAPACITY MODE BODY      prints its port on 127.0.0.1; MODE is `answer`, or `hold`: take and never answer.
 * LOG is int64s in a file that others may map: how many came, then for each its arrival (CLOCK_MONOTONIC, ns) and its stamp: the
 * 20 digits behind "ns" in the request, 0 without. sink.py does the same where there is no C compiler.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

enum { ROOM = 16384, MOST = 20000, DIGITS = 20 };

struct conn {
    int used;
    char data[ROOM];
};

static struct conn *conns[MOST];
static int64_t *book, capacity;
static char answer[256];
static int answer_size, holds;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* The 20 digits behind "ns"; a name with those letters in it has none. */
static int64_t find_stamp(const char *data, int size) {
    const char *end = data + size, *at = data;
    while ((at = memmem(at, end - at, "ns", 2)) && end - at >= 2 + DIGITS) {
        int64_t stamp = 0;
        int n = 0;
        at += 2;
        while (n < DIGITS && at[n] >= '0' && at[n] <= '9')
            stamp = stamp * 10 + at[n++] - '0';
        if (n == DIGITS)
            return stamp;
    }
    return 0;
}

static void note(const char *data, int size) {
    int64_t n = book[0];
    if (n >= capacity)
        return;
    book[1 + 2 * n] = now_ns();
    book[2 + 2 * n] = find_stamp(data, size);
    __atomic_store_n(book, n + 1, __ATOMIC_RELEASE);
}

/* The length of the first request in `data`, 0 while it is not whole. */
static int measure(const char *data, int used) {
    const char *end = memmem(data, used, "\r\n\r\n", 4);
    if (!end)
        return 0;
    int size = end + 4 - data;
    for (const char *line = data; line < end; line = (const char *)memchr(line, '\n', end + 2 - line) + 1)
        if (!strncasecmp(line, "content-length:", 15))
            size += atoi(line + 15);
    return size <= used ? size : 0;
}

static void drop(int fd) {
    free(conns[fd]);
    conns[fd] = NULL;
    close(fd);
}

static void serve(int fd) {
    struct conn *c = conns[fd];
    int size, n = read(fd, c->data + c->used, ROOM - c->used);
    if (n <= 0) {
        drop(fd);
        return;
    }
    c->used += n;
    while ((size = measure(c->data, c->used))) {
        note(c->data, size);
        memmove(c->data, c->data + size, c->used -= size);
        if (!holds && write(fd, answer, answer_size) != answer_size) {
            drop(fd);
            return;
        }
    }
}

static int listen_anywhere(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&at, &size))
        die("sink: listen");
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

static void open_book(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    size_t size = 8 + 16 * capacity;
    if (fd < 0 || ftruncate(fd, size))
        die("sink: log");
    book = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (book == MAP_FAILED)
        die("sink: map");
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    capacity = atoll(argv[2]);
    holds = !strcmp(argv[3], "hold");
    answer_size = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(argv[4]), argv[4]);
    open_book(argv[1]);
    int poll = epoll_create1(0), door = listen_anywhere(), on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = door}, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, door, &event);
    for (;;) {
        int n = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd != door) {
                serve(fd);
                continue;
            }
            while ((fd = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= MOST || !(conns[fd] = calloc(1, sizeof(struct conn)))) {
                    close(fd);
                    continue;
                }
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event.data.fd = fd;
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
