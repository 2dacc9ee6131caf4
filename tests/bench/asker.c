/* Kannel's client in the bench: submits over HTTP as Kannel wants it, one request at a time on each kept connection.
 *
 * asker PORT COUNT CONNECTIONS PREFIX DIGITS EXTRA      EXTRA stands behind each request's parameters as it is: "", or "&name=value".
 * The same texts and numbers as client.c sends. Prints the same times: ns of CLOCK_MONOTONIC of the first request and the last answer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 256, ROOM = 8192 };

struct conn {
    int used, is_busy;
    char data[ROOM];
};

static struct conn conns[MOST];
static struct pollfd polls[MOST];
static int64_t first, last, count, asked, answered, taken, modulus = 1;
static int port, digits;
static const char *prefix, *extra;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int open_one(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at))
        die("asker: connect");
    return fd;
}

static void ask(int i) {
    char request[1024];
    int size = snprintf(request, sizeof request,
                        "GET /cgi-bin/sendsms?username=bench&password=bench&to=%%2B%s%0*lld&text=ns%020lld+Your+parcel+waits+at+the"
                        "+counter+until+Friday+evening%%2C+hall+B.%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
                        prefix + 1, digits, (long long)(asked % modulus), (long long)asked, extra, port);
    if (!first)
        first = now_ns();
    if (write(polls[i].fd, request, size) != size)
        die("asker: write");
    conns[i].is_busy = 1;
    asked++;
}

static void hear(int i) {
    struct conn *c = &conns[i];
    int n = read(polls[i].fd, c->data + c->used, ROOM - 1 - c->used);
    if (n <= 0)
        die("asker: the connection ended");
    c->data[c->used += n] = 0;
    char *end = strstr(c->data, "\r\n\r\n"), *length = strcasestr(c->data, "\r\ncontent-length:");
    if (!end || !length || c->used < end + 4 - c->data + atoi(length + 17))
        return;
    if (!strncmp(c->data, "HTTP/1.1 202", 12))
        taken++;
    else if (taken == answered)
        fprintf(stderr, "asker: refused: %s\n", c->data);
    c->used = c->is_busy = 0;
    answered++;
    last = now_ns();
    if (strcasestr(c->data, "\r\nconnection: close")) {
        close(polls[i].fd);
        polls[i].fd = open_one();
    }
}

int main(int argc, char **argv) {
    if (argc != 7)
        return 2;
    port = atoi(argv[1]), count = atoll(argv[2]);
    int size = atoi(argv[3]);
    prefix = argv[4], digits = atoi(argv[5]), extra = argv[6];
    for (int i = 0; i < digits; i++)
        modulus *= 10;
    for (int i = 0; i < size; i++)
        polls[i] = (struct pollfd){.fd = open_one(), .events = POLLIN};
    while (answered < count) {
        for (int i = 0; i < size && asked < count; i++)
            if (!conns[i].is_busy)
                ask(i);
        if (poll(polls, size, 30000) <= 0)
            die("asker: no answer in 30 s");
        for (int i = 0; i < size; i++)
            if (polls[i].revents)
                hear(i);
    }
    printf("{\"first\":%lld,\"last\":%lld,\"ok\":%lld,\"refused\":%lld}\n", (long long)first, (long long)last, (long long)taken,
           (long long)(count - taken));
    return 0;
}
