/* What all handles have: references, walks, closes. */
#include "check.h"

static uv_timer_t timers[4], late;
static int inner;

static void name(uv_handle_t* handle, void* arg) {
  printf("%s%s %d %d %d\n", (char*)arg, (char*)handle->data, uv_is_active(handle), uv_has_ref(handle), uv_is_closing(handle));
}

static void on_close(uv_handle_t* handle) {
  printf("closed %s\n", (char*)handle->data);
  free(handle);
}

static void nested(uv_handle_t* handle, void* arg) {
  name(handle, arg);
  if (!inner++) {
    uv_timer_init(handle->loop, &late); /* not part of this walk */
    late.data = "late";
    uv_close((uv_handle_t*)&timers[2], NULL);
  }
}

static void close_all(uv_handle_t* handle, void* arg) {
  if (!uv_is_closing(handle)) uv_close(handle, NULL);
  (void)arg;
}

static void never(uv_timer_t* timer) { (void)timer; abort(); }

int main(void) {
  static char *names[] = {"a", "b", "c", "d"};
  uv_loop_t loop;
  CHECK(uv_loop_init(&loop) == 0);
  for (int i = 0; i < 4; i++) {
    uv_timer_init(&loop, &timers[i]);
    timers[i].data = names[i];
  }
  printf("alive %d\n", uv_loop_alive(&loop));
  uv_timer_start(&timers[0], never, 100000, 0);
  uv_timer_start(&timers[1], never, 100000, 0);
  printf("alive %d, active %u\n", uv_loop_alive(&loop), loop.active_handles);
  uv_unref((uv_handle_t*)&timers[0]);
  uv_unref((uv_handle_t*)&timers[0]);
  uv_unref((uv_handle_t*)&timers[1]);
  printf("alive %d, active %u\n", uv_loop_alive(&loop), loop.active_handles);
  uv_ref((uv_handle_t*)&timers[1]);
  uv_walk(&loop, name, "");
  puts("nested");
  uv_walk(&loop, nested, "  ");
  uv_close((uv_handle_t*)&late, NULL);
  uv_run(&loop, UV_RUN_NOWAIT);
  uv_walk(&loop, name, "then ");
  uv_handle_t* freed[2];
  for (int i = 0; i < 2; i++) {
    uv_idle_t* idle = malloc(sizeof *idle);
    uv_idle_init(&loop, idle);
    idle->data = names[i];
    freed[i] = (uv_handle_t*)idle;
  }
  for (int i = 0; i < 2; i++) uv_close(freed[i], on_close);
  uv_walk(&loop, close_all, NULL);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  printf("types %s %s\n", uv_handle_type_name(uv_handle_get_type((uv_handle_t*)&late)), uv_handle_get_loop((uv_handle_t*)&late) == &loop ? "here" : "there");
  uv_handle_set_data((uv_handle_t*)&late, names);
  CHECK(uv_handle_get_data((uv_handle_t*)&late) == names);
  result("close", uv_loop_close(&loop));
  return 0;
}
