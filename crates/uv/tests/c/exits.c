/* A thread ends in a callback of its loop. */
#include "check.h"

static uv_loop_t loop;
static uv_timer_t timer;

static void on_timer(uv_timer_t* handle) { (void)handle; puts("the thread ends"); pthread_exit(NULL); }
static void work(void* arg) { (void)arg; uv_run(&loop, UV_RUN_DEFAULT); abort(); }

int main(void) {
  uv_thread_t thread;
  CHECK(uv_loop_init(&loop) == 0 && uv_timer_init(&loop, &timer) == 0);
  CHECK(uv_timer_start(&timer, on_timer, 0, 0) == 0 && uv_thread_create(&thread, work, NULL) == 0);
  CHECK(uv_thread_join(&thread) == 0);
  uv_close((uv_handle_t*)&timer, NULL);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("close", uv_loop_close(&loop));
  return 0;
}
