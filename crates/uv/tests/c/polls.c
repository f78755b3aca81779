/* Fds of the caller. */
#include "check.h"
#include <sys/socket.h>

static uv_poll_t poll_a, poll_b;
static int ends[2], calls;

static void on_poll(uv_poll_t* handle, int status, int events) {
  char bytes[10];
  ssize_t count = 0;
  if (events & UV_READABLE) count = read(ends[0], bytes, sizeof bytes);
  printf("poll %d events %d read %d\n", status, events, (int)count);
  if (++calls == 2) uv_poll_start(handle, UV_READABLE | UV_WRITABLE | UV_DISCONNECT, on_poll);
  if (calls == 3) {
    close(ends[1]);
    uv_poll_start(handle, UV_READABLE | UV_DISCONNECT, on_poll);
  }
  if (calls == 4) uv_poll_stop(handle);
}

static void turn(uv_loop_t* loop) { printf("run %d\n", uv_run(loop, UV_RUN_NOWAIT)); }

int main(void) {
  uv_loop_t loop;
  int fd;
  CHECK(uv_loop_init(&loop) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  result("a closed fd", uv_poll_init(&loop, &poll_a, 1000));
  FILE* file = fopen("/proc/self/exe", "r");
  result("a file", uv_poll_init(&loop, &poll_a, fileno(file)));
  result("a socket", uv_poll_init(&loop, &poll_a, ends[0]));
  result("fileno", uv_fileno((uv_handle_t*)&poll_a, &fd));
  CHECK(fd == ends[0]);
  printf("non-blocking %d, active %d\n", (fcntl(ends[0], F_GETFL) & O_NONBLOCK) != 0, uv_is_active((uv_handle_t*)&poll_a));
  result("the same fd, not started", uv_poll_init(&loop, &poll_b, ends[0]));
  CHECK(uv_poll_start(&poll_a, UV_READABLE, on_poll) == 0);
  result("the same fd, started", uv_poll_start(&poll_b, UV_READABLE, on_poll));
  turn(&loop);
  CHECK(write(ends[1], "xy", 2) == 2);
  turn(&loop);
  CHECK(write(ends[1], "z", 1) == 1);
  turn(&loop);
  turn(&loop);
  turn(&loop);
  turn(&loop);
  printf("calls %d active %d\n", calls, uv_is_active((uv_handle_t*)&poll_a));
  /* After a stop the fd may be closed and its number used for another file. */
  int old = ends[0];
  uv_poll_start(&poll_a, UV_READABLE, on_poll);
  turn(&loop);
  uv_poll_stop(&poll_a);
  close(old);
  uv_close((uv_handle_t*)&poll_a, NULL);
  uv_close((uv_handle_t*)&poll_b, NULL);
  turn(&loop);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && ends[0] == old && write(ends[1], "new", 3) == 3);
  CHECK(uv_poll_init(&loop, &poll_a, ends[0]) == 0 && uv_poll_start(&poll_a, UV_READABLE, on_poll) == 0);
  turn(&loop);
  result("no events", uv_poll_start(&poll_a, 0, on_poll));
  printf("active %d\n", uv_is_active((uv_handle_t*)&poll_a));
  uv_close((uv_handle_t*)&poll_a, NULL);
  turn(&loop);
  result("close", uv_loop_close(&loop));
  return 0;
}
