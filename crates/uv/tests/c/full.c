/* Streams whose kernel buffers are full: queues, partial writes, cancellation, errors. */
#include "check.h"
#include <sys/socket.h>

enum { BIG = 4 * 1024 * 1024, PARTS = 8 };
static uv_loop_t loop;
static uv_pipe_t ends[2];
static uv_write_t writes[6];
static uv_shutdown_t request;
static char *big, room[64 * 1024];
static size_t received;
static int sum, written;

static void alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) { (void)handle; *buf = uv_buf_init(room, suggested); }
static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buf) {
  for (ssize_t i = 0; i < count; i++) sum = sum * 31 + (unsigned char)buf->base[i];
  if (count > 0) received += count;
  if (count < 0) printf("read %s after %zu bytes, sum %x\n", uv_err_name(count), received, (unsigned)sum);
  if (count < 0) uv_close((uv_handle_t*)stream, NULL);
}
static void on_write(uv_write_t* req, int status) { printf("write %d: %s\n", (int)(req - writes), status ? uv_err_name(status) : "ok"); written++; }
static void on_shutdown(uv_shutdown_t* req, int status) { printf("shutdown: %s\n", status ? uv_err_name(status) : "ok"); (void)req; }
static void on_close(uv_handle_t* handle) { (void)handle; puts("closed"); }
static void pair(void) {
  int fds[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  for (int i = 0; i < 2; i++) CHECK(uv_pipe_init(&loop, &ends[i], 0) == 0 && uv_pipe_open(&ends[i], fds[i]) == 0);
}
static void fill(int from, int to) {
  uv_buf_t parts[PARTS];
  for (int i = 0; i < PARTS; i++) parts[i] = uv_buf_init(big + i * (BIG / PARTS), BIG / PARTS);
  for (int i = from; i < to; i++) CHECK(uv_write(&writes[i], (uv_stream_t*)&ends[0], parts, PARTS, on_write) == 0);
}

int main(void) {
  uv_stream_t *a = (uv_stream_t*)&ends[0], *b = (uv_stream_t*)&ends[1];
  signal(SIGPIPE, SIG_IGN);
  CHECK(uv_loop_init(&loop) == 0 && (big = malloc(BIG)));
  for (int i = 0; i < BIG; i++) big[i] = i * 7 + i / 251;
  pair();
  fill(0, 3);
  uv_buf_t part = uv_buf_init(big, 10);
  result("try while it is queued", uv_try_write(a, &part, 1));
  CHECK(a->write_queue_size > 2 * BIG && a->write_queue_size < 3 * BIG);
  printf("written %d, alive %d, active %d\n", written, uv_loop_alive(&loop), uv_is_active((uv_handle_t*)a));
  result("shutdown", uv_shutdown(&request, a, on_shutdown));
  CHECK(uv_read_start(b, alloc, on_read) == 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  printf("queue %zu\n", a->write_queue_size);
  uv_close((uv_handle_t*)a, on_close);
  uv_run(&loop, UV_RUN_DEFAULT);

  puts("close while it is queued");
  pair();
  fill(0, 3);
  uv_shutdown(&request, a, on_shutdown);
  uv_close((uv_handle_t*)a, on_close);
  uv_close((uv_handle_t*)b, on_close);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));

  puts("the peer is gone");
  pair();
  fill(0, 2);
  uv_close((uv_handle_t*)b, on_close);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("try", uv_try_write(a, &part, 1));
  fill(2, 4);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  uv_close((uv_handle_t*)a, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  result("close", uv_loop_close(&loop));
  free(big);
  return 0;
}
