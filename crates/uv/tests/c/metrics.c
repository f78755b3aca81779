/* What a loop counts: turns, events, and the time that it waits. libuv has the counts since 1.45. */
#include "check.h"

static uv_loop_t loop;
static uv_timer_t timer;
static uv_async_t async;
static void on_timer(uv_timer_t* handle) { uv_close((uv_handle_t*)handle, NULL); }
static void on_async(uv_async_t* handle) { uv_close((uv_handle_t*)handle, NULL); }
static void counts(const char* what) {
  uv_metrics_t metrics;
  CHECK(uv_metrics_info(&loop, &metrics) == 0);
  printf("%s: turns %d, events %d, there already %d\n", what, (int)metrics.loop_count, (int)metrics.events, (int)metrics.events_waiting);
}

int main(void) {
  CHECK(uv_loop_init(&loop) == 0 && uv_timer_init(&loop, &timer) == 0 && uv_async_init(&loop, &async, on_async) == 0);
  counts("new");
  uv_async_send(&async);
  uv_run(&loop, UV_RUN_NOWAIT);
  counts("an event");
  CHECK(uv_timer_start(&timer, on_timer, 30, 0) == 0);
  printf("not measured %d\n", (int)uv_metrics_idle_time(&loop));
  result("configure", uv_loop_configure(&loop, UV_METRICS_IDLE_TIME));
  uint64_t before = uv_hrtime();
  uv_run(&loop, UV_RUN_DEFAULT);
  uint64_t idle = uv_metrics_idle_time(&loop);
  printf("idle %d\n", idle >= 20 * 1000000 && idle <= uv_hrtime() - before);
  counts("after it");
  result("close", uv_loop_close(&loop));
  return 0;
}
