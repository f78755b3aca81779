/* Callbacks that never return: they jump out of the run, and the loop goes on in the next one.
   libuv itself loses the handles that were to come. */
#include "check.h"
#include <setjmp.h>

static jmp_buf back;
static uv_idle_t idle[3];
static uv_timer_t timers[3];
static uv_async_t asyncs[2];
static int jumps;

static void jump(const char* what, void* data) {
  printf("%s %s\n", what, (char*)data);
  jumps++;
  longjmp(back, 1);
}
static void on_idle(uv_idle_t* handle) { uv_idle_stop(handle); jump("idle", handle->data); }
static void on_timer(uv_timer_t* handle) { jump("timer", handle->data); }
static void on_async(uv_async_t* handle) { uv_close((uv_handle_t*)handle, NULL); jump("async", handle->data); }
static void on_close(uv_handle_t* handle) { jump("closed", handle->data); }
static void on_walk(uv_handle_t* handle, void* arg) { (void)arg; jump("walk", handle->data); }

int main(void) {
  static char *names[] = {"a", "b", "c"};
  uv_loop_t loop;
  CHECK(uv_loop_init(&loop) == 0);
  for (int i = 0; i < 3; i++) {
    CHECK(uv_idle_init(&loop, &idle[i]) == 0 && uv_timer_init(&loop, &timers[i]) == 0);
    idle[i].data = timers[i].data = names[i];
    CHECK(uv_idle_start(&idle[i], on_idle) == 0 && uv_timer_start(&timers[i], on_timer, 0, 0) == 0);
  }
  for (int i = 0; i < 2; i++) {
    CHECK(uv_async_init(&loop, &asyncs[i], on_async) == 0);
    asyncs[i].data = names[i];
    uv_async_send(&asyncs[i]);
  }
  /* Each jump leads back here, into the next step. */
  setjmp(back);
  switch (jumps) {
  case 8:
    uv_walk(&loop, on_walk, NULL);
    abort();
  case 9:
    for (int i = 0; i < 3; i++) {
      uv_close((uv_handle_t*)&idle[i], i ? NULL : on_close);
      uv_close((uv_handle_t*)&timers[i], i ? NULL : on_close);
    }
    /* fall through */
  default:
    uv_run(&loop, jumps < 9 ? UV_RUN_ONCE : UV_RUN_DEFAULT);
    CHECK(jumps > 8);
  }
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("close", uv_loop_close(&loop));
  return 0;
}
