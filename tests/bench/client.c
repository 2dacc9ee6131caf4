/* The bench's client of the submit socket: pipelines submits, or sends them by the clock, and times every answer.
 *
 * client SOCKET COUNT CONNECTIONS WINDOW RATE PREFIX DIGITS EXTRA
 * RATE 0: as fast as WINDOW unanswered lines per connection allow. RATE N: one every 1/N s whatever the answers do, round the
 * connections; its time counts from when it was due, so that a stall is seen by all whom it met. PREFIX and DIGITS make the numbers;
 * EXTRA is more of each line, as `,"key":"a%"`, its % the line's number. Each text holds "ns" and 20 digits: when the line was due,
 * with RATE 0 its number.
 * Prints one JSON object: times in ns of CLOCK_MONOTONIC, latencies in µs. client.py does the same where there is no C compiler.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <errno.h>

enum { OUT = 1 << 18, IN = 1 << 16, LINE = 1000, MOST = 256 };

struct conn {
    int fd, sent, answered, filled, written; /* counts of lines, then of bytes */
    int in_line, is_ok;                      /* of the answer that is being read */
    int *items;                              /* the items sent here, in order */
    char out[OUT];
};

static struct conn *conns[MOST];
static struct pollfd polls[MOST];
static int64_t *due, *taken, *late, first, last;
static int64_t count, connections, window, rate, next, answers, oks;
static const char *prefix, *extra;
static int digits;
static int64_t modulus = 1;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int connect_to(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(at.sun_path, path, sizeof at.sun_path - 1);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at))
        die("client: connect");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* 85 characters of text: one segment, as in all figures of the reference. */
static void put(struct conn *c, int64_t now) {
    char *at = c->out + c->filled;
    int n = snprintf(at, LINE, "{\"to\":\"%s%0*lld\",\"text\":\"ns%020lld Your parcel waits at the counter until Friday evening, hall B.\"",
                     prefix, digits, (long long)(next % modulus), (long long)(rate ? due[next] : next));
    for (const char *more = extra; *more; more++)
        n += *more == '%' ? snprintf(at + n, LINE - n, "%lld", (long long)next) : (at[n] = *more, 1);
    at[n++] = '}';
    at[n++] = '\n';
    c->filled += n;
    c->items[c->sent++] = next;
    if (rate)
        late[next] = now - due[next];
    else
        due[next] = now;
    if (!next++)
        first = now;
}

static void fill(int64_t now) {
    for (int i = 0; i < connections; i++) {
        struct conn *c = conns[i];
        while (next < count && c->sent - c->answered < window && c->filled + LINE < OUT) {
            if (rate && (due[next] > now || next % connections != i))
                break;
            put(c, now);
        }
    }
}

static void flush(struct conn *c) {
    while (c->written < c->filled) {
        int n = write(c->fd, c->out + c->written, c->filled - c->written);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            die("client: write");
        c->written += n;
    }
    c->filled = c->written = 0;
}

static void hear(struct conn *c) {
    static char data[IN];
    int n = read(c->fd, data, IN);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("client: the daemon closed the connection");
    int64_t now = now_ns();
    for (int i = 0; i < n; i++) {
        if (c->in_line == 6) /* {"ok":true or {"ok":false */
            c->is_ok = data[i] == 't';
        c->in_line++;
        if (data[i] != '\n')
            continue;
        int item = c->items[c->answered++];
        taken[item] = now - due[item];
        c->in_line = 0;
        oks += c->is_ok;
        if (!c->is_ok && oks == answers)
            fprintf(stderr, "client: a submit was refused\n");
        answers++;
        last = now;
    }
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double quantile(int64_t *sorted, double share) {
    return count ? sorted[(int64_t)(share * (count - 1))] / 1e3 : 0;
}

int main(int argc, char **argv) {
    if (argc != 9 || strlen(argv[8]) > LINE / 4)
        return 2;
    count = atoll(argv[2]), connections = atoll(argv[3]), window = atoll(argv[4]), rate = atoll(argv[5]);
    prefix = argv[6], digits = atoi(argv[7]), extra = argv[8];
    for (int i = 0; i < digits; i++)
        modulus *= 10;
    due = calloc(count + 1, 8), taken = calloc(count + 1, 8), late = calloc(count + 1, 8);
    for (int i = 0; i < connections; i++) {
        conns[i] = calloc(1, sizeof(struct conn));
        conns[i]->items = calloc(count + 1, sizeof(int));
        conns[i]->fd = polls[i].fd = connect_to(argv[1]);
    }
    int64_t begun = now_ns() + 1000000;
    for (int64_t i = 0; rate && i < count; i++)
        due[i] = begun + i * 1000000000LL / rate;
    while (answers < count) {
        int64_t now = now_ns(), wait = rate && next < count ? due[next] - now : 1000000000LL;
        if (wait <= 0 || !rate)
            fill(now);
        for (int i = 0; i < connections; i++) {
            flush(conns[i]);
            polls[i].events = POLLIN | (conns[i]->filled ? POLLOUT : 0);
        }
        wait = rate && next < count ? due[next] - now_ns() : 1000000000LL;
        if (wait < 0)
            wait = next < count && conns[next % connections]->sent - conns[next % connections]->answered < window ? 0 : 1000000000LL;
        struct timespec t = {wait / 1000000000LL, wait % 1000000000LL};
        if (ppoll(polls, connections, &t, NULL) > 0)
            for (int i = 0; i < connections; i++)
                if (polls[i].revents & ~POLLOUT)
                    hear(conns[i]);
    }
    qsort(taken, count, 8, compare);
    qsort(late, count, 8, compare);
    printf("{\"first\":%lld,\"last\":%lld,\"ok\":%lld,\"refused\":%lld,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,"
           "\"late_p99\":%.1f}\n",
           (long long)first, (long long)last, (long long)oks, (long long)(count - oks), quantile(taken, 0.5), quantile(taken, 0.99),
           quantile(taken, 0.999), quantile(taken, 1), quantile(late, 0.99));
    return 0;
}
