/* The ends of processes are reported after the other events of a poll. */
#include "check.h"
#include <sys/socket.h>
#include <sys/wait.h>

static uv_loop_t loop;
static uv_process_t process;
static uv_signal_t child, user;
static uv_poll_t polled;
static uv_idle_t idle;

static void on_exit_of(uv_process_t* handle, int64_t status, int signal) {
  printf("exit %d %d\n", (int)status, signal);
  uv_close((uv_handle_t*)handle, NULL);
  uv_close((uv_handle_t*)&child, NULL);
  uv_close((uv_handle_t*)&user, NULL);
}
static void on_child(uv_signal_t* handle, int number) { (void)handle; CHECK(number == SIGCHLD); }
static void on_user(uv_signal_t* handle, int number) { (void)handle; printf("signal %d\n", number == SIGUSR1); }
static void on_poll(uv_poll_t* handle, int status, int events) {
  printf("poll %d %d\n", status, events);
  uv_close((uv_handle_t*)handle, NULL);
}
static void on_idle(uv_idle_t* handle) { uv_close((uv_handle_t*)handle, NULL); }

int main(void) {
  int ends[2];
  siginfo_t info;
  char* args[] = {"true", NULL};
  uv_process_options_t options = {.file = "true", .args = args, .exit_cb = on_exit_of};
  CHECK(uv_loop_init(&loop) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  CHECK(uv_signal_init(&loop, &child) == 0 && uv_signal_start(&child, on_child, SIGCHLD) == 0);
  CHECK(uv_signal_init(&loop, &user) == 0 && uv_signal_start(&user, on_user, SIGUSR1) == 0);
  CHECK(uv_spawn(&loop, &process, &options) == 0);
  CHECK(uv_poll_init(&loop, &polled, ends[0]) == 0 && uv_poll_start(&polled, UV_READABLE, on_poll) == 0);
  CHECK(uv_idle_init(&loop, &idle) == 0 && uv_idle_start(&idle, on_idle) == 0);
  /* The child has ended before the fd can be read, and its end comes later all the same. */
  CHECK(waitid(P_PID, process.pid, &info, WEXITED | WNOWAIT) == 0);
  raise(SIGUSR1);
  CHECK(write(ends[1], "x", 1) == 1);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("close", uv_loop_close(&loop));
  return 0;
}
