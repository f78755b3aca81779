/* The yardstick: an echo server as a careful C programmer writes it on epoll, one thread.
 *
 * Per message: one recv, one send, and a share of one epoll_wait. Each connection is registered
 * once, edge-triggered; EPOLLOUT is asked for only while the peer does not read. The read loop has
 * no budget per connection (nor have the servers this stands for): see `oneloop-bench fair`.
 *
 * Usage: echo_epoll [ADDRESS:PORT], default 127.0.0.1:0; prints "listening on ADDRESS:PORT".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 * 1024, EVENTS_MAX = 1024, BACKLOG = 1024 };

/* What one connection still owes its peer. The table is indexed by fd: 24 bytes each. */
struct connection {
    char *leftover;         /* echo bytes that the socket did not take yet, or NULL */
    uint32_t leftover_bytes;
    uint32_t leftover_sent;
    bool peer_finished;     /* RDHUP, HUP or ERR was seen: sticky, read to the end */
};

static struct connection *connections; /* one for each fd below connections_max */
static int connections_max;
static int epoll_fd;
static int reserve_fd; /* given up for a moment at EMFILE, so that a connection can be shed */
static char buffer[BUFFER_BYTES];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void connection_close(int fd)
{
    free(connections[fd].leftover);
    memset(&connections[fd], 0, sizeof connections[fd]);
    close(fd); /* the only descriptor of this socket: close also removes it from epoll */
}

static void ask_for(int fd, int op, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    if (epoll_ctl(epoll_fd, op, fd, &event) < 0) die("epoll_ctl");
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

/* Sends as much as the socket takes. Returns the count, or -1 when the connection is broken. */
static ssize_t send_some(int fd, const char *data, size_t bytes)
{
    size_t sent = 0;
    while (sent < bytes) {
        ssize_t n = send(fd, data + sent, bytes - sent, MSG_NOSIGNAL);
        if (n >= 0) sent += (size_t)n;
        else if (would_block()) break;
        else if (errno != EINTR) return -1;
    }
    return (ssize_t)sent;
}

/* Keeps what the socket did not take, and asks to be told when there is room. */
static bool leftover_keep(int fd, const char *data, size_t bytes)
{
    struct connection *connection = &connections[fd];
    connection->leftover = malloc(bytes);
    if (!connection->leftover) return false;
    memcpy(connection->leftover, data, bytes);
    connection->leftover_bytes = (uint32_t)bytes;
    connection->leftover_sent = 0;
    ask_for(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    return true;
}

/* Sends the leftover. Returns false when the connection is broken. */
static bool leftover_send(int fd)
{
    struct connection *connection = &connections[fd];
    ssize_t n = send_some(fd, connection->leftover + connection->leftover_sent,
                          connection->leftover_bytes - connection->leftover_sent);
    if (n < 0) return false;
    connection->leftover_sent += (uint32_t)n;
    if (connection->leftover_sent == connection->leftover_bytes) {
        free(connection->leftover);
        connection->leftover = NULL;
        ask_for(fd, EPOLL_CTL_MOD, EPOLLIN);
    }
    return true;
}

/* Echoes until the socket has no more. Returns false when the connection has ended. */
static bool echo(int fd)
{
    struct connection *connection = &connections[fd];
    while (!connection->leftover) { /* a peer that does not read is not read from */
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return would_block();
        if (n == 0) return false;
        ssize_t sent = send_some(fd, buffer, (size_t)n);
        if (sent < 0) return false;
        if (sent < n && !leftover_keep(fd, buffer + sent, (size_t)(n - sent))) return false;
        /* A short read emptied the socket: the next byte brings a new edge. Not so after the
         * peer's FIN, whose edge may have been this one: then read on to the 0. */
        if ((size_t)n < sizeof buffer && !connection->peer_finished) return true;
    }
    return true;
}

static void on_connection(int fd, uint32_t events)
{
    struct connection *connection = &connections[fd];
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) connection->peer_finished = true;
    if (connection->leftover && !leftover_send(fd)) {
        connection_close(fd);
        return;
    }
    if (!echo(fd)) connection_close(fd);
}

static void connection_add(int fd)
{
    int one = 1;
    if (fd >= connections_max) {
        int wanted = connections_max ? connections_max * 2 : 64;
        while (wanted <= fd) wanted *= 2;
        struct connection *grown = realloc(connections, (size_t)wanted * sizeof *grown);
        if (!grown) {
            close(fd);
            return;
        }
        memset(grown + connections_max, 0, (size_t)(wanted - connections_max) * sizeof *grown);
        connections = grown;
        connections_max = wanted;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ask_for(fd, EPOLL_CTL_ADD, EPOLLIN);
}

/* Out of descriptors: take one connection with the reserve and close it, so that its peer knows. */
static void shed_one(int listener)
{
    if (reserve_fd >= 0) close(reserve_fd);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_listener(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) connection_add(fd);
        else if (would_block()) return;
        else if (errno == EMFILE || errno == ENFILE) {
            shed_one(listener);
            return; /* level-triggered: the rest of the queue brings us back here */
        } else if (errno == ENOBUFS || errno == ENOMEM) return;
        else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) die("accept4");
    }
}

static int listen_on(const char *where)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t address_bytes = sizeof address;
    char host[INET_ADDRSTRLEN];
    unsigned port;
    int one = 1;
    if (sscanf(where, "%15[0-9.]:%u", host, &port) != 2 || port > 65535 ||
        inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "echo_epoll: %s is not ADDRESS:PORT\n", where);
        exit(2);
    }
    address.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(fd, BACKLOG) < 0) die("listen");
    if (getsockname(fd, (struct sockaddr *)&address, &address_bytes) < 0) die("getsockname");
    printf("listening on %s:%u\n", host, (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    static struct epoll_event events[EVENTS_MAX];
    int listener = listen_on(argc > 1 ? argv[1] : "127.0.0.1:0");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) die("epoll_create1");
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) die("epoll_ctl");
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) on_listener(listener);
            else on_connection(fd, events[i].events);
        }
    }
}
