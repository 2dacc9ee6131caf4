/* The bench's provider that calls back: sends GET requests over kept connections, and times every answer.
 *
 * caller PORT COUNT CONNECTIONS RATE FILE
 * FILE has one request target a line. RATE 0: each connection asks again as soon as it has its answer. RATE N: one call every 1/N s
 * whatever the answers do, by the first connection that is free; its time counts from when it was due. How late the caller was itself
 * counts from then too, or from when a connection was free, where all were waiting for answers.
 * A connection is made for its first call, and again where it was closed while it had none: the daemon gives one that says nothing 5 s.
 * Prints one JSON object: times in ns of CLOCK_MONOTONIC, latencies in µs. caller.py does the same where there is no C compiler.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IN = 4096, MOST = 256 };

struct conn {
    int fd, filled;
    int64_t item; /* the call that is on its way, or -1 */
    int64_t free_at;
    char in[IN + 1];
};

static struct conn conns[MOST];
static struct pollfd polls[MOST];
static char **targets;
static int64_t *due, *taken, *late, first, last, count, next, answers, oks;
static int connections, rate, port;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int connect_to(int to) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at))
        die("caller: connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void read_targets(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file)
        die("caller: file");
    targets = calloc(count, sizeof *targets);
    for (int64_t i = 0; i < count; i++) {
        size_t size = 0;
        ssize_t n = getline(&targets[i], &size, file);
        if (n <= 1)
            die("caller: too few targets");
        targets[i][n - 1] = 0;
    }
    fclose(file);
}

static void call(struct conn *c, int64_t now) {
    char data[3000];
    if (c->fd < 0)
        c->fd = polls[c - conns].fd = connect_to(port);
    int n = snprintf(data, sizeof data, "GET %s HTTP/1.1\r\nHost: sms.example.org\r\nUser-Agent: bench/1\r\nAccept: */*\r\n\r\n", targets[next]);
    if (write(c->fd, data, n) != n)
        die("caller: write");
    if (rate)
        late[next] = now - (c->free_at > due[next] ? c->free_at : due[next]);
    else
        due[next] = now;
    if (!next)
        first = now;
    c->item = next++;
    c->filled = 0;
}

static void hear(struct conn *c) {
    int n = read(c->fd, c->in + c->filled, IN - c->filled);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 && c->item < 0) {
        close(c->fd);
        c->fd = polls[c - conns].fd = -1;
        return;
    }
    if (n <= 0)
        die("caller: the daemon closed the connection");
    c->in[c->filled += n] = 0;
    char *end = strstr(c->in, "\r\n\r\n"), *length = strstr(c->in, "Content-Length: ");
    if (!end || !length || c->filled < end + 4 - c->in + atoi(length + 16))
        return;
    last = c->free_at = now_ns();
    taken[c->item] = last - due[c->item];
    answers++;
    if (!strncmp(c->in, "HTTP/1.1 200", 12))
        oks++;
    else if (oks == answers - 1)
        fprintf(stderr, "caller: %.40s\n", c->in);
    c->item = -1;
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double quantile(int64_t *sorted, double share) { return sorted[(int64_t)(share * (count - 1))] / 1e3; }

int main(int argc, char **argv) {
    if (argc != 6 || atoi(argv[3]) > MOST)
        return 2;
    port = atoi(argv[1]), count = atoll(argv[2]), connections = atoi(argv[3]), rate = atoi(argv[4]);
    read_targets(argv[5]);
    due = calloc(count, 8), taken = calloc(count, 8), late = calloc(count, 8);
    for (int i = 0; i < connections; i++) {
        conns[i].item = -1;
        conns[i].fd = polls[i].fd = -1;
        polls[i].events = POLLIN;
    }
    int64_t begun = now_ns() + 1000000;
    for (int64_t i = 0; rate && i < count; i++)
        due[i] = begun + i * 1000000000LL / rate;
    while (answers < count) {
        int is_free = 0;
        for (int i = 0; i < connections; i++)
            if (conns[i].item < 0) {
                int64_t now = now_ns();
                if (next < count && (!rate || due[next] <= now))
                    call(&conns[i], now);
                else
                    is_free = 1;
            }
        int64_t wait = rate && next < count && is_free ? due[next] - now_ns() : 1000000000LL;
        wait = wait < 0 ? 0 : wait;
        struct timespec t = {wait / 1000000000LL, wait % 1000000000LL};
        if (ppoll(polls, connections, &t, NULL) > 0)
            for (int i = 0; i < connections; i++)
                if (polls[i].revents)
                    hear(&conns[i]);
    }
    qsort(taken, count, 8, compare);
    qsort(late, count, 8, compare);
    printf("{\"first\":%lld,\"last\":%lld,\"ok\":%lld,\"refused\":%lld,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,"
           "\"late_p99\":%.1f}\n",
           (long long)first, (long long)last, (long long)oks, (long long)(count - oks), quantile(taken, 0.5), quantile(taken, 0.99),
           quantile(taken, 0.999), quantile(taken, 1), quantile(late, 0.99));
    return 0;
}
