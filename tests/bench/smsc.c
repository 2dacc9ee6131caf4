/* An SMSC for the bench: takes binds and messages over SMPP 3.4, answers each, sends a receipt for it, and writes down when it came.
 *
 * smsc LOG CAPACITY DELAY RECEIPT      prints its port on 127.0.0.1. DELAY: milliseconds before an answer; RECEIPT: those from the answer
 * to the receipt, less than 0 for none. LOG is int64s in a file that others may map: how many messages came, then for each its arrival
 * (CLOCK_MONOTONIC, ns) and its stamp (the 20 digits behind "ns" in it, 0 without), and behind all of those how many receipts were
 * acknowledged. smsc.py does the same where there is no C compiler.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 17, MOST = 1024, DIGITS = 20, WINDOW = 1000 };
enum { DELIVER = 5, SUBMIT = 4, ENQUIRE = 0x15, UNBIND = 6 };

struct conn {
    int used, unsent, size, outstanding;
    char data[ROOM];
    char *out;
};

/* What is due later: the answer to `sequence`, or the receipt of `id`. Each kind has one delay, so a ring in order of time. */
struct later {
    int64_t due;
    int fd;
    uint32_t sequence;
    uint32_t id;
};

struct ring {
    struct later *items;
    size_t head, tail, room;
};

static struct conn *conns[MOST];
static int64_t *book, capacity, *acknowledged;
static int64_t delay, receipt;
static struct ring answers, receipts;
static uint32_t ids = 1000000, sequences;
static int clock_fd;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void push(struct ring *ring, struct later item) {
    if (ring->tail - ring->head == ring->room) {
        size_t room = ring->room ? 2 * ring->room : 1024, n = 0;
        struct later *items = malloc(room * sizeof *items);
        for (size_t at = ring->head; at < ring->tail; at++)
            items[n++] = ring->items[at % ring->room];
        free(ring->items);
        *ring = (struct ring){items, 0, n, room};
    }
    ring->items[ring->tail++ % ring->room] = item;
}

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

static void note(const char *data, int size, int64_t now) {
    int64_t n = book[0];
    if (n >= capacity)
        return;
    book[1 + 2 * n] = now;
    book[2 + 2 * n] = find_stamp(data, size);
    __atomic_store_n(book, n + 1, __ATOMIC_RELEASE);
}

static uint32_t read32(const char *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return ntohl(value);
}

static void say(int fd, uint32_t command, uint32_t sequence, const char *body, int size) {
    struct conn *c = conns[fd];
    uint32_t head[4] = {htonl(16 + size), htonl(command), 0, htonl(sequence)};
    if (c->unsent + 16 + size > c->size)
        c->out = realloc(c->out, c->size = 2 * (c->unsent + 16 + size));
    memcpy(c->out + c->unsent, head, 16);
    memcpy(c->out + c->unsent + 16, body, size);
    c->unsent += 16 + size;
}

static void flush(int fd) {
    struct conn *c = conns[fd];
    int n = c->unsent ? write(fd, c->out, c->unsent) : 0;
    if (n > 0)
        memmove(c->out, c->out + n, c->unsent -= n);
}

static void drop(int fd) {
    free(conns[fd]->out);
    free(conns[fd]);
    conns[fd] = NULL;
    close(fd);
}

static void answer(struct later item, int64_t now) {
    char id[16];
    if (!conns[item.fd])
        return;
    say(item.fd, 0x80000000 | SUBMIT, item.sequence, id, snprintf(id, sizeof id, "%u", item.id) + 1);
    if (receipt >= 0)
        push(&receipts, (struct later){now + receipt, item.fd, 0, item.id});
}

static void report(struct later item) {
    char body[512], text[256], *at = body;
    if (!conns[item.fd])
        return;
    int size = snprintf(text, sizeof text, "id:%u sub:001 dlvrd:001 submit date:2611220000 done date:2611220000 stat:DELIVRD err:000 text:", item.id);
    memcpy(at, "\0\1\1886912345678\0\5\0ACME\0\4\0\0\0\0\0\0\0\0", 32), at += 32;
    *at++ = size;
    memcpy(at, text, size), at += size;
    at += sprintf(at, "%c%c%c%c%u", 0x00, 0x1e, 0, snprintf(NULL, 0, "%u", item.id) + 1, item.id) + 1;
    memcpy(at, "\x04\x27\0\1\2", 5), at += 5;
    say(item.fd, DELIVER, ++sequences & 0x7fffffff, body, at - body);
    conns[item.fd]->outstanding++;
}

static int hear(int fd, const char *pdu, int size, int64_t now) {
    uint32_t command = read32(pdu + 4), sequence = read32(pdu + 12);
    if (command == SUBMIT) {
        struct later item = {now + delay, fd, sequence, ++ids};
        note(pdu, size, now);
        if (delay)
            push(&answers, item);
        else
            answer(item, now);
    } else if (command == (0x80000000 | DELIVER)) {
        conns[fd]->outstanding--;
        ++*acknowledged;
    } else if (command == ENQUIRE || command == UNBIND) {
        say(fd, 0x80000000 | command, sequence, "", 0);
    } else if (command == 1 || command == 2 || command == 9) {
        say(fd, 0x80000000 | command, sequence, "bench", 6);
    }
    return command != UNBIND;
}

static void serve(int fd) {
    struct conn *c = conns[fd];
    int n = read(fd, c->data + c->used, ROOM - c->used), at = 0;
    int64_t now = now_ns();
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            drop(fd);
        return;
    }
    c->used += n;
    while (c->used - at >= 16 && c->used - at >= (int)read32(c->data + at)) {
        int size = read32(c->data + at);
        if (size < 16 || size > ROOM) {
            drop(fd);
            return;
        }
        hear(fd, c->data + at, size, now);
        at += size;
    }
    memmove(c->data, c->data + at, c->used -= at);
}

/* Do what is due, and set the clock for what is next. */
static void do_due(void) {
    int64_t now = now_ns(), next = 0;
    while (answers.head < answers.tail && answers.items[answers.head % answers.room].due <= now)
        answer(answers.items[answers.head++ % answers.room], now);
    while (receipts.head < receipts.tail) {
        struct later item = receipts.items[receipts.head % receipts.room];
        if (item.due > now || (conns[item.fd] && conns[item.fd]->outstanding >= WINDOW))
            break;
        receipts.head++;
        report(item);
    }
    if (answers.head < answers.tail)
        next = answers.items[answers.head % answers.room].due;
    if (receipts.head < receipts.tail) {
        int64_t due = receipts.items[receipts.head % receipts.room].due;
        if (due > now && (!next || due < next))
            next = due;
    }
    struct itimerspec at = {.it_value = {next / 1000000000, next % 1000000000}};
    timerfd_settime(clock_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static int listen_anywhere(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) || listen(fd, 64) || getsockname(fd, (struct sockaddr *)&at, &size))
        die("smsc: listen");
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

static void open_book(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    size_t size = 16 + 16 * capacity;
    if (fd < 0 || ftruncate(fd, size))
        die("smsc: log");
    book = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (book == MAP_FAILED)
        die("smsc: map");
    acknowledged = book + 1 + 2 * capacity;
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    capacity = atoll(argv[2]);
    delay = atoll(argv[3]) * 1000000;
    receipt = atoll(argv[4]) * 1000000;
    open_book(argv[1]);
    clock_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    int poll = epoll_create1(0), door = listen_anywhere(), on = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = door}, events[64];
    epoll_ctl(poll, EPOLL_CTL_ADD, door, &event);
    event.data.fd = clock_fd;
    epoll_ctl(poll, EPOLL_CTL_ADD, clock_fd, &event);
    for (;;) {
        int n = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == clock_fd) {
                uint64_t ticks;
                if (read(fd, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
                    die("smsc: clock");
            } else if (fd != door) {
                serve(fd);
            } else {
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
        do_due();
        for (int fd = 0; fd < MOST; fd++)
            if (conns[fd])
                flush(fd);
    }
}
