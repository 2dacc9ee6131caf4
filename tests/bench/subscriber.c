/* The bench's subscribers of the feed: COUNT websockets in one process that read whatever comes and count what it is about.
 *
 * subscriber PORT COUNT TARGET WORD EXPECT
 * TARGET is the path with its query. Prints `ready` when all have had their hello; then, when each has seen WORD EXPECT times, one
 * JSON object: the time of the first and of the last bytes (ns of CLOCK_MONOTONIC) and how many bytes came. Answers pings.
 * subscriber.py does the same where there is no C compiler.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096, CHUNK = 1 << 18, WORD = 64, HEAD = 10, CONTROL = 125 };

struct conn {
    int fd, is_open, seen, head_used, body_used;
    int64_t left; /* bytes of the frame's payload still to come */
    unsigned char head[HEAD], body[CONTROL]; /* of the frame; the body is kept of control frames alone */
    char tail[WORD];
    int tail_used;
    char hello[1024];
    int hello_used;
};

static const char *word;
static int word_size;
static int64_t expect, bytes, first, last;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void ask(struct conn *c, int port, const char *target) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[1024];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                        target, port);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&at, sizeof at) || write(c->fd, request, size) != size)
        die("subscriber: connect");
}

/* The length of a frame's head, as far as its first bytes tell. */
static int head_size(const struct conn *c) {
    int size = c->head_used > 1 ? c->head[1] & 127 : 0;
    return size == 126 ? 4 : size == 127 ? 10 : 2;
}

static void pong(struct conn *c) {
    unsigned char frame[6 + CONTROL] = {0x8a, 0x80 | c->body_used}; /* masked with zeros */
    memcpy(frame + 6, c->body, c->body_used);
    if (write(c->fd, frame, 6 + c->body_used) < 0)
        die("subscriber: pong");
}

/* Walk over the frames, for the pings among them. */
static void walk(struct conn *c, const char *data, int size) {
    while (size) {
        if (c->left) {
            int n = c->left < size ? c->left : size;
            if (c->head[0] & 8 && c->body_used + n <= CONTROL) {
                memcpy(c->body + c->body_used, data, n);
                c->body_used += n;
            }
            c->left -= n, data += n, size -= n;
        } else {
            c->head[c->head_used++] = *data++;
            size--;
            if (c->head_used < 2 || c->head_used < head_size(c))
                continue;
            int from = head_size(c) == 2 ? 1 : 2;
            for (int i = from; i < c->head_used; i++)
                c->left = c->left << 8 | (i == 1 ? c->head[1] & 127 : c->head[i]);
            c->body_used = 0;
        }
        if (!c->left) {
            if (c->head[0] == 0x89)
                pong(c);
            if (c->head[0] == 0x88)
                fprintf(stderr, "subscriber: the feed closed the connection\n"), exit(1);
            c->head_used = 0;
        }
    }
}

/* Count WORD in what was left of the last bytes and in these. */
static void count(struct conn *c, char *data, int size) {
    char *from = data - c->tail_used, *end = data + size;
    memcpy(from, c->tail, c->tail_used);
    for (char *at = from; (at = memmem(at, end - at, word, word_size)); at += word_size)
        c->seen++;
    c->tail_used = end - from < word_size - 1 ? end - from : word_size - 1;
    memcpy(c->tail, end - c->tail_used, c->tail_used);
}

/* The answer to the handshake and the hello; what follows the hello is events already. Returns how many bytes were taken. */
static int greet(struct conn *c, const char *data, int size) {
    int n = 0;
    while (n < size && c->hello_used < (int)sizeof c->hello) {
        char *end;
        c->hello[c->hello_used++] = data[n++];
        if ((end = memmem(c->hello, c->hello_used, "\r\n\r\n", 4)) && c->hello_used >= end + 6 - c->hello) {
            if (strncmp(c->hello, "HTTP/1.1 101", 12))
                break;
            unsigned char *frame = (unsigned char *)end + 4;
            if (c->hello_used == end + 6 - c->hello + frame[1]) {
                c->is_open = 1;
                return n;
            }
        }
    }
    if (c->hello_used >= 12 && strncmp(c->hello, "HTTP/1.1 101", 12))
        fprintf(stderr, "subscriber: refused: %.*s\n", c->hello_used, c->hello), exit(1);
    return n;
}

int main(int argc, char **argv) {
    static char room[WORD + CHUNK];
    static struct conn *conns[MOST];
    struct epoll_event event = {.events = EPOLLIN}, events[128];
    if (argc != 6)
        return 2;
    int port = atoi(argv[1]), size = atoi(argv[2]), open = 0, done = 0, poll = epoll_create1(0);
    char *data = room + WORD;
    word = argv[4], word_size = strlen(word), expect = atoll(argv[5]);
    for (int i = 0; i < size; i++) {
        conns[i] = calloc(1, sizeof(struct conn));
        ask(conns[i], port, argv[3]);
        event.data.u32 = i;
        epoll_ctl(poll, EPOLL_CTL_ADD, conns[i]->fd, &event);
    }
    while (done < size) {
        int n = epoll_wait(poll, events, 128, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = conns[events[i].data.u32];
            int used = 0, got = read(c->fd, data, CHUNK), before = c->seen;
            if (got <= 0)
                die("subscriber: the feed ended");
            if (!c->is_open) {
                used = greet(c, data, got);
                if (c->is_open && ++open == size)
                    printf("ready\n"), fflush(stdout);
            }
            if (got == used)
                continue;
            if (!first)
                first = now_ns();
            bytes += got - used;
            walk(c, data + used, got - used);
            count(c, data + used, got - used);
            if (before < expect && c->seen >= expect) {
                done++;
                last = now_ns();
            }
        }
    }
    printf("{\"first\":%lld,\"last\":%lld,\"bytes\":%lld}\n", (long long)first, (long long)last, (long long)bytes);
    return 0;
}
