/* Signals. */
#include "check.h"
#include <signal.h>

static uv_signal_t every, once, other;
static int old_ran;

static void old_handler(int number) { (void)number; old_ran = 1; }
static void on_signal(uv_signal_t* handle, int number) {
  printf("%s %d active %d\n", (char*)handle->data, number == SIGUSR1 ? 1 : 2, uv_is_active((uv_handle_t*)handle));
}

static const char* disposition(int number) {
  struct sigaction action;
  CHECK(sigaction(number, NULL, &action) == 0);
  return action.sa_handler == SIG_DFL ? "default" : action.sa_handler == old_handler ? "old" : "ours";
}

int main(void) {
  uv_loop_t loop;
  CHECK(uv_loop_init(&loop) == 0 && uv_signal_init(&loop, &every) == 0);
  CHECK(uv_signal_init(&loop, &once) == 0 && uv_signal_init(&loop, &other) == 0);
  every.data = "every", once.data = "once", other.data = "other";
  signal(SIGUSR1, old_handler);
  result("0", uv_signal_start(&every, on_signal, 0));
  result("SIGKILL", uv_signal_start(&every, on_signal, SIGKILL));
  result("1000", uv_signal_start(&every, on_signal, 1000));
  CHECK(uv_signal_start(&every, on_signal, SIGUSR1) == 0);
  printf("signum %d, %s\n", every.signum == SIGUSR1, disposition(SIGUSR1));
  raise(SIGUSR1);
  printf("run %d\n", uv_run(&loop, UV_RUN_NOWAIT));
  raise(SIGUSR1);
  raise(SIGUSR1);
  printf("run %d\n", uv_run(&loop, UV_RUN_NOWAIT));
  CHECK(uv_signal_start_oneshot(&once, on_signal, SIGUSR2) == 0);
  raise(SIGUSR2);
  printf("run %d\n", uv_run(&loop, UV_RUN_NOWAIT));
  printf("once %d signum %d, %s\n", uv_is_active((uv_handle_t*)&once), once.signum, disposition(SIGUSR2));
  CHECK(uv_signal_start(&other, on_signal, SIGUSR1) == 0);
  uv_signal_stop(&every);
  raise(SIGUSR1);
  printf("run %d\n", uv_run(&loop, UV_RUN_NOWAIT));
  raise(SIGUSR1);
  uv_signal_stop(&other);
  printf("stopped before the run %d\n", uv_run(&loop, UV_RUN_NOWAIT));
  printf("old handler ran %d, now %s\n", old_ran, disposition(SIGUSR1));
  uv_close((uv_handle_t*)&every, NULL);
  uv_close((uv_handle_t*)&once, NULL);
  uv_close((uv_handle_t*)&other, NULL);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("close", uv_loop_close(&loop));
  return 0;
}
