// Three ways in which the loops of a process can share one Unix listener, which has no
// SO_REUSEPORT: each with the same balancing of fresh connections by their count.
//
//   cc -O2 -pthread unix_backlog.c -o unix_backlog && ./unix_backlog
//
//   all        each loop has a duplicate in its epoll, and each connection wakes all idle loops
//   exclusive  the same with EPOLLEXCLUSIVE: it wakes one of the idle loops
//   one        one loop accepts for all
//
// For each way: connections one after the other; bursts of 64; and one after the other while a
// client keeps one loop busy, 5 ms for each message.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOOPS = 8, BURST = 64, MAIL_MAX = 1024, WORK_MS = 5 };
enum way { ALL, EXCLUSIVE, ONE };
static const char *const names[] = {"all", "exclusive", "one"};

struct loop {
    int epoll, bell, id;
    atomic_int connections;
    pthread_mutex_t lock;
    int mail[MAIL_MAX], mails;
} __attribute__((aligned(64)));

static struct loop loops[LOOPS];
static enum way way;
static int listener;
static atomic_long *moved; // shared with the client's process

static void check(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static double now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static void watch(struct loop *loop, int fd, unsigned flags) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET | flags, .data.fd = fd};
    check(epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

// As `Loads::place` of crates/cluster: the own loop, unless it has more than is fair.
static struct loop *place(struct loop *own) {
    int total = 0;
    struct loop *least = &loops[0];
    for (int i = 0; i < LOOPS; i++) {
        total += loops[i].connections;
        if (loops[i].connections < least->connections) least = &loops[i];
    }
    struct loop *to = own->connections < total * 11 / (LOOPS * 10) + 1 ? own : least;
    to->connections++;
    return to;
}

static void accept_all(struct loop *own) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return; // EAGAIN
        struct loop *to = place(own);
        if (to == own) {
            watch(own, fd, EPOLLRDHUP);
            continue;
        }
        ++*moved;
        pthread_mutex_lock(&to->lock);
        int is_first = to->mails == 0;
        to->mail[to->mails++] = fd;
        pthread_mutex_unlock(&to->lock);
        if (is_first) check(eventfd_write(to->bell, 1), "eventfd_write");
    }
}

static void take_mail(struct loop *own) {
    pthread_mutex_lock(&own->lock);
    for (int i = 0; i < own->mails; i++) watch(own, own->mail[i], EPOLLRDHUP);
    own->mails = 0;
    pthread_mutex_unlock(&own->lock);
}

static void echo(struct loop *own, int fd) {
    char byte;
    ssize_t count;
    while ((count = read(fd, &byte, 1)) == 1) {
        double end = now_us() + WORK_MS * 1e3;
        while (byte == 'w' && now_us() < end) {}
        (void)!write(fd, &byte, 1);
    }
    if (count == 0 || errno != EAGAIN) {
        close(fd);
        own->connections--;
    }
}

static void *run(void *argument) {
    struct loop *own = argument;
    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(own->epoll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) accept_all(own);
            else if (fd == own->bell) take_mail(own);
            else echo(own, fd);
        }
    }
    return NULL;
}

static void serve(void) {
    pthread_t thread;
    for (int i = 0; i < LOOPS; i++) {
        loops[i].id = i;
        check(loops[i].epoll = epoll_create1(0), "epoll_create1");
        check(loops[i].bell = eventfd(0, EFD_NONBLOCK), "eventfd");
        pthread_mutex_init(&loops[i].lock, NULL);
        watch(&loops[i], loops[i].bell, 0);
        if (way != ONE || i == 0) watch(&loops[i], listener, way == EXCLUSIVE ? EPOLLEXCLUSIVE : 0);
    }
    for (int i = 1; i < LOOPS; i++) pthread_create(&thread, NULL, run, &loops[i]);
    run(&loops[0]);
}

// User and system time of all threads.
static double cpu_us(pid_t pid) {
    char path[64];
    double total = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        char file[400];
        unsigned long ns;
        snprintf(file, sizeof file, "%s/%s/schedstat", path, task->d_name);
        FILE *stat = fopen(file, "r");
        if (stat && fscanf(stat, "%lu", &ns) == 1) total += ns / 1e3;
        if (stat) fclose(stat);
    }
    closedir(tasks);
    return total;
}

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_bytes;

static int ask(char byte) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    check(connect(fd, (struct sockaddr *)&address, address_bytes), "connect");
    check(write(fd, &byte, 1), "write");
    return fd;
}

static void await_answer(int fd) {
    char byte;
    if (read(fd, &byte, 1) != 1) exit(1);
}

static int compare(const void *a, const void *b) {
    return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b);
}

// `rounds` times `width` connections at once, and the time until each has its answer.
static void measure(pid_t pid, const char *what, int rounds, int width, int with_cpu) {
    int count = rounds * width, fds[BURST];
    double *latencies = malloc(count * sizeof *latencies);
    double cpu = cpu_us(pid);
    long before = *moved;
    for (int round = 0, next = 0; round < rounds; round++) {
        double start = now_us();
        for (int i = 0; i < width; i++) fds[i] = ask('e');
        for (int i = 0; i < width; i++) {
            await_answer(fds[i]);
            latencies[next++] = now_us() - start;
        }
        for (int i = 0; i < width; i++) close(fds[i]);
        if (width > 1) usleep(2000); // all loops sleep again
    }
    usleep(20000);
    cpu = (cpu_us(pid) - cpu) / count;
    qsort(latencies, count, sizeof *latencies, compare);
    printf("%-9s  %-6s  ", names[way], what);
    if (with_cpu) printf("CPU %5.1f us, ", cpu);
    printf("moved %3.0f %%, answer after %.0f us, 99 %% after %.0f us\n",
           100.0 * (*moved - before) / count, latencies[count / 2], latencies[count * 99 / 100]);
    free(latencies);
}

static void measure_way(void) {
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "oneloop-%d-%d", getpid(), way);
    address_bytes = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1);
    check(listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
    check(bind(listener, (struct sockaddr *)&address, address_bytes), "bind");
    check(listen(listener, 1024), "listen");
    pid_t pid = fork();
    if (pid == 0) serve();
    close(listener);
    usleep(100000);
    measure(pid, "single", 2000, 1, 1);
    measure(pid, "burst", 100, BURST, 1);
    int busy = ask('w'); // the first loop gets it, if that accepts for all
    await_answer(busy);
    pid_t flood = fork();
    if (flood == 0) {
        for (;;) {
            check(write(busy, "w", 1), "write");
            await_answer(busy);
        }
    }
    measure(pid, "busy", 200, 1, 0);
    kill(flood, SIGKILL);
    kill(pid, SIGKILL);
    while (wait(NULL) > 0) {}
    close(busy);
}

int main(void) {
    moved = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int round = 0; round < 3; round++)
        for (way = ALL; way <= ONE; way++) measure_way();
    return 0;
}
