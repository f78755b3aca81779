/* Forks: the child goes on with the loop. */
#include "check.h"
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

static uv_poll_t polled;
static uv_timer_t timer;
static uv_signal_t signals;
static uv_async_t async;
static uv_work_t job;
static int ends[2];
static const char* who = "parent";

static void on_poll(uv_poll_t* handle, int status, int events) {
  char byte;
  printf("%s poll %d %d %d\n", who, status, events, (int)read(ends[0], &byte, 1));
  uv_poll_stop(handle);
}
static void on_timer(uv_timer_t* handle) { printf("%s timer\n", who); (void)handle; }
static void on_signal(uv_signal_t* handle, int number) { printf("%s signal %d\n", who, number == SIGUSR1); uv_signal_stop(handle); }
static void on_async(uv_async_t* handle) { printf("%s async\n", who); uv_close((uv_handle_t*)handle, NULL); }
static void work(uv_work_t* request) { request->data = "worked"; }
static void after(uv_work_t* request, int status) { printf("%s %s %d\n", who, (char*)request->data, status); }

static void go_on(uv_loop_t* loop) {
  uv_update_time(loop);
  CHECK(uv_timer_start(&timer, on_timer, 100, 0) == 0);
  raise(SIGUSR1);
  CHECK(write(ends[1], "x", 1) == 1);
  uv_async_send(&async);
  while (uv_run(loop, UV_RUN_ONCE)) {}
  CHECK(uv_queue_work(loop, &job, work, after) == 0);
  while (uv_run(loop, UV_RUN_ONCE)) {}
  fflush(stdout);
}

int main(void) {
  uv_loop_t loop;
  CHECK(uv_loop_init(&loop) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  CHECK(uv_queue_work(&loop, &job, work, after) == 0); /* so the parent has a pool */
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_poll_init(&loop, &polled, ends[0]) == 0 && uv_poll_start(&polled, UV_READABLE, on_poll) == 0);
  CHECK(uv_timer_init(&loop, &timer) == 0 && uv_timer_start(&timer, on_timer, 10000, 0) == 0);
  CHECK(uv_signal_init(&loop, &signals) == 0 && uv_signal_start(&signals, on_signal, SIGUSR1) == 0);
  CHECK(uv_async_init(&loop, &async, on_async) == 0);
  uv_run(&loop, UV_RUN_NOWAIT);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    who = "child";
    result("fork", uv_loop_fork(&loop));
    go_on(&loop);
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  go_on(&loop);
  return 0;
}
