/* gevent gives a poll another fd by a second init. In libuv that spoils the list of handles. */
#include "check.h"
#include <sys/socket.h>

static uv_poll_t polled;
static uv_timer_t timers[2];

static void on_poll(uv_poll_t* handle, int status, int events) {
  printf("poll %d events %d\n", status, events);
  uv_poll_stop(handle);
}
static void name(uv_handle_t* handle, void* arg) {
  (void)arg;
  printf("%s %d\n", uv_handle_type_name(handle->type), uv_is_closing(handle));
}
static void close_one(uv_handle_t* handle, void* arg) { (void)arg; uv_close(handle, NULL); }

int main(void) {
  uv_loop_t loop;
  int ends[2];
  CHECK(uv_loop_init(&loop) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  uv_timer_init(&loop, &timers[0]);
  result("init", uv_poll_init(&loop, &polled, ends[0]));
  CHECK(uv_poll_start(&polled, UV_READABLE, on_poll) == 0); /* and is still active */
  uv_timer_init(&loop, &timers[1]);
  result("init again", uv_poll_init(&loop, &polled, ends[1]));
  uv_poll_start(&polled, UV_WRITABLE, on_poll);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  uv_walk(&loop, name, NULL);
  uv_walk(&loop, close_one, NULL);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("close", uv_loop_close(&loop));
  return 0;
}
