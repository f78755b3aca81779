/* Timers. */
#include "check.h"

static uv_timer_t timers[6], zero, again, tick;
static int ticks, zeros;

static void say(uv_timer_t* timer) { printf("timer %s\n", (char*)timer->data); }

static void on_zero(uv_timer_t* timer) {
  printf("zero %d active %d\n", ++zeros, uv_is_active((uv_handle_t*)timer));
}

static void on_tick(uv_timer_t* timer) {
  printf("tick %d active %d\n", ++ticks, uv_is_active((uv_handle_t*)timer));
  if (ticks == 3) {
    uv_timer_set_repeat(timer, 2);
    printf("repeat %d\n", (int)uv_timer_get_repeat(timer));
  }
  if (ticks == 5) uv_close((uv_handle_t*)timer, NULL);
}

static void stops_another(uv_timer_t* timer) {
  say(timer);
  uv_timer_stop(&timers[3]);
}

int main(void) {
  uv_loop_t* loop = uv_default_loop();
  const char* names[] = {"30", "10", "10 too", "20, never", "10, last", "unreferenced"};
  uint64_t after[] = {30, 10, 10, 20, 10, 100000};
  for (int i = 0; i < 6; i++) {
    CHECK(uv_timer_init(loop, &timers[i]) == 0);
    timers[i].data = (void*)names[i];
    CHECK(uv_timer_start(&timers[i], i == 4 ? stops_another : say, after[i], 0) == 0);
  }
  uv_unref((uv_handle_t*)&timers[5]);
  uint64_t due = uv_timer_get_due_in(&timers[0]);
  printf("due in %d, %d\n", (int)due, due <= 30);
  result("no callback", uv_timer_start(&timers[0], NULL, 1, 0));
  CHECK(uv_timer_init(loop, &again) == 0);
  result("again without a start", uv_timer_again(&again));
  CHECK(uv_timer_init(loop, &zero) == 0 && uv_timer_start(&zero, on_zero, 0, 0) == 0);
  printf("run %d\n", uv_run(loop, UV_RUN_DEFAULT));
  printf("active %d %d\n", uv_is_active((uv_handle_t*)&timers[0]), uv_is_active((uv_handle_t*)&timers[5]));
  CHECK(uv_timer_init(loop, &tick) == 0 && uv_timer_start(&tick, on_tick, 1, 1) == 0);
  printf("run %d\n", uv_run(loop, UV_RUN_DEFAULT));
  result("start of a closed one", uv_timer_start(&tick, on_tick, 1, 1));
  result("close of a busy loop", uv_loop_close(loop));
  for (int i = 0; i < 6; i++) uv_close((uv_handle_t*)&timers[i], NULL);
  uv_close((uv_handle_t*)&zero, NULL);
  uv_close((uv_handle_t*)&again, NULL);
  CHECK(uv_run(loop, UV_RUN_DEFAULT) == 0);
  result("close", uv_loop_close(loop));
  CHECK(uv_default_loop() != NULL && uv_loop_close(uv_default_loop()) == 0);
  return 0;
}
