/* The phases of a turn, and the order in them. */
#include "check.h"

static uv_idle_t idle[2];
static uv_prepare_t prepare[2];
static uv_check_t check[3];
static uv_timer_t timer;
static int turns;

static void on_close(uv_handle_t* handle) { printf("  closed %s\n", (char*)handle->data); }
static void on_idle(uv_idle_t* handle) { printf("  idle %s\n", (char*)handle->data); }
static void on_prepare(uv_prepare_t* handle) { printf("  prepare %s\n", (char*)handle->data); }
static void on_check(uv_check_t* handle) { printf("  check %s\n", (char*)handle->data); }

static void on_first_check(uv_check_t* handle) {
  on_check(handle);
  if (++turns == 2) {
    uv_check_start(&check[2], on_check); /* first from the next turn on */
    uv_idle_stop(&idle[0]);
  }
  if (turns == 4) {
    for (int i = 0; i < 2; i++) {
      uv_close((uv_handle_t*)&idle[i], on_close);
      uv_close((uv_handle_t*)&prepare[i], on_close);
    }
    for (int i = 0; i < 3; i++) uv_close((uv_handle_t*)&check[i], on_close);
    printf("  closing %d active %d\n", uv_is_closing((uv_handle_t*)&idle[0]), uv_is_active((uv_handle_t*)&idle[1]));
  }
}

static void on_timer(uv_timer_t* handle) { (void)handle; }

int main(void) {
  static char *names[] = {"a", "b", "c"};
  uv_loop_t loop;
  CHECK(uv_loop_init(&loop) == 0);
  for (int i = 0; i < 2; i++) {
    CHECK(uv_idle_init(&loop, &idle[i]) == 0 && uv_prepare_init(&loop, &prepare[i]) == 0);
    idle[i].data = prepare[i].data = names[i];
    CHECK(uv_idle_start(&idle[i], on_idle) == 0 && uv_prepare_start(&prepare[i], on_prepare) == 0);
  }
  for (int i = 0; i < 3; i++) {
    CHECK(uv_check_init(&loop, &check[i]) == 0);
    check[i].data = names[i];
  }
  CHECK(uv_check_start(&check[0], on_first_check) == 0 && uv_check_start(&check[1], on_check) == 0);
  result("no callback", uv_check_start(&check[2], NULL));
  printf("second start %d\n", uv_check_start(&check[1], on_check));
  for (int i = 0; i < 4; i++) {
    puts("turn");
    printf("run %d\n", uv_run(&loop, UV_RUN_NOWAIT));
  }
  printf("alive %d\n", uv_loop_alive(&loop));
  /* A loop that is stopped before a run does not poll, and is not stopped any more after it. */
  CHECK(uv_timer_init(&loop, &timer) == 0 && uv_timer_start(&timer, on_timer, 1, 0) == 0);
  uv_stop(&loop);
  printf("stopped %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  printf("once %d\n", uv_run(&loop, UV_RUN_ONCE));
  uv_close((uv_handle_t*)&timer, NULL);
  printf("backend timeout %d\n", uv_backend_timeout(&loop));
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("close", uv_loop_close(&loop));
  return 0;
}
