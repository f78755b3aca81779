/* Wakes from other threads. */
#include "check.h"
#include <errno.h>

enum { SENDS = 100000 };
static uv_async_t first, second, none;
static uv_sem_t begun;
static int calls, total;
static volatile int sent;

static void on_first(uv_async_t* async) {
  if (++calls == 1) puts("first");
  if (sent == SENDS && async->data == NULL) {
    async->data = async;
    puts("all sent");
    uv_async_send(&second);
  }
}

static void on_second(uv_async_t* async) {
  puts("second");
  uv_close((uv_handle_t*)async, NULL);
  uv_close((uv_handle_t*)&first, NULL);
  uv_close((uv_handle_t*)&none, NULL);
  total++;
}

static void work(void* arg) {
  uv_sem_wait(&begun);
  for (int i = 1; i <= SENDS; i++) {
    sent = i;
    uv_async_send(&first);
  }
  (void)arg;
}

int main(void) {
  uv_loop_t loop;
  uv_thread_t thread;
  CHECK(uv_loop_init(&loop) == 0 && uv_sem_init(&begun, 0) == 0);
  CHECK(uv_async_init(&loop, &first, on_first) == 0 && uv_async_init(&loop, &second, on_second) == 0);
  CHECK(uv_async_init(&loop, &none, NULL) == 0 && uv_async_send(&none) == 0);
  printf("active %d\n", uv_is_active((uv_handle_t*)&first));
  printf("nothing sent: %d\n", uv_run(&loop, UV_RUN_NOWAIT));
  errno = 77;
  for (int i = 0; i < 5; i++) uv_async_send(&first);
  printf("errno %d\n", errno);
  printf("five sends: %d", uv_run(&loop, UV_RUN_ONCE));
  printf(" and %d calls\n", calls);
  CHECK(uv_thread_create(&thread, work, NULL) == 0);
  uv_sem_post(&begun);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  uv_thread_join(&thread);
  printf("%d %d\n", total, calls > 1 && calls <= SENDS + 1);
  result("close", uv_loop_close(&loop));
  return 0;
}
