/* Streams over a pair of sockets: reads, writes, ends, and the order of their callbacks. */
#include "check.h"
#include <sys/socket.h>

static uv_loop_t loop;
static uv_pipe_t ends[2];
static uv_write_t writes[4];
static uv_shutdown_t shutdowns[2];
static uv_check_t turns;
static char room[64 * 1024];
static int allocs, reads, stop_after, inside;

static void on_turn(uv_check_t* handle) { (void)handle; puts("check"); }
static void alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) {
  (void)handle;
  if (!allocs++) printf("suggested %zu\n", suggested);
  *buf = uv_buf_init(room, 8);
}
static void alloc_none(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) {
  (void)handle, (void)suggested;
  *buf = uv_buf_init(NULL, 0);
}
static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buf) {
  if (count < 0) printf("%s read %s\n", (char*)stream->data, uv_err_name(count));
  else printf("%s read %d: %.*s\n", (char*)stream->data, (int)count, (int)count, buf->base);
  if (++reads == stop_after) uv_read_stop(stream);
}
static void on_none(uv_stream_t* stream, ssize_t count, const uv_buf_t* buf) {
  printf("%s read %s, buffer %d\n", (char*)stream->data, uv_err_name(count), buf->base != NULL);
  uv_read_stop(stream);
}
static void on_write(uv_write_t* req, int status) {
  CHECK(!inside);
  printf("written %s %d, queue %zu\n", (char*)req->data, status, req->handle->write_queue_size);
}
static void on_shutdown(uv_shutdown_t* req, int status) {
  CHECK(!inside);
  printf("%s shut %d\n", (char*)req->handle->data, status);
}
static void on_close(uv_handle_t* handle) { printf("closed %s\n", (char*)handle->data); }

static int say(int index, char* what, uv_stream_t* stream, char* text) {
  uv_buf_t parts[2] = {uv_buf_init(text, 1), uv_buf_init(text + 1, strlen(text) - 1)};
  writes[index].data = what;
  inside = 1;
  int code = uv_write(&writes[index], stream, parts, 2, on_write);
  inside = 0;
  return code;
}
static void turn(void) { printf("run %d\n", uv_run(&loop, UV_RUN_NOWAIT)); }

int main(void) {
  int fds[2];
  uv_stream_t *a = (uv_stream_t*)&ends[0], *b = (uv_stream_t*)&ends[1];
  CHECK(uv_loop_init(&loop) == 0);
  CHECK(uv_pipe_init(&loop, &ends[0], 0) == 0 && uv_pipe_init(&loop, &ends[1], 0) == 0);
  a->data = "a", b->data = "b";
  printf("ipc %d name %d fd %d\n", ends[0].ipc, ends[0].pipe_fname != NULL, uv_fileno((uv_handle_t*)a, fds));
  result("read without fd", uv_read_start(a, alloc, on_read));
  result("write without fd", say(0, "0", a, "xyz"));
  result("shutdown without fd", uv_shutdown(&shutdowns[0], a, on_shutdown));
  result("open a bad fd", uv_pipe_open(&ends[0], 1000));
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  result("open", uv_pipe_open(&ends[0], fds[0]));
  result("open", uv_pipe_open(&ends[1], fds[1]));
  result("open another", uv_pipe_open(&ends[1], fds[0]));
  printf("readable %d writable %d non-blocking %d\n", uv_is_readable(a), uv_is_writable(a), (fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
  result("no alloc callback", uv_read_start(a, NULL, on_read));
  result("no read callback", uv_read_start(a, alloc, NULL));
  result("read", uv_read_start(b, alloc, on_read));
  result("read twice", uv_read_start(b, alloc, on_read));
  printf("active %d %d alive %d\n", uv_is_active((uv_handle_t*)a), uv_is_active((uv_handle_t*)b), uv_loop_alive(&loop));
  CHECK(uv_check_init(&loop, &turns) == 0 && uv_check_start(&turns, on_turn) == 0);
  uv_unref((uv_handle_t*)&turns);
  result("write", say(0, "0", a, "hello"));
  result("write", say(1, "1", a, "0123456789abcdef"));
  printf("queue %zu\n", uv_stream_get_write_queue_size(a));
  turn();
  turn();
  puts("stop in the callback");
  reads = 0, stop_after = 1;
  result("write", say(0, "0", a, "0123456789abcdef"));
  turn();
  turn();
  printf("active %d\n", uv_is_active((uv_handle_t*)b));
  result("stop again", uv_read_stop(b));
  stop_after = 0;
  result("read", uv_read_start(b, alloc, on_read));
  turn();
  puts("no buffer");
  uv_read_stop(b);
  uv_read_start(b, alloc_none, on_none);
  uv_buf_t part = uv_buf_init("try", 3);
  printf("try %d\n", uv_try_write(a, &part, 1));
  turn();
  uv_read_start(b, alloc, on_read);
  turn();
  puts("end");
  result("write", say(2, "2", a, "last"));
  inside = 1;
  result("shutdown", uv_shutdown(&shutdowns[0], a, on_shutdown));
  inside = 0;
  printf("writable %d\n", uv_is_writable(a));
  result("shutdown twice", uv_shutdown(&shutdowns[1], a, on_shutdown));
  result("write after it", say(3, "3", a, "late"));
  turn();
  turn();
  printf("active %d readable %d\n", uv_is_active((uv_handle_t*)b), uv_is_readable(b));
  result("blocking", uv_stream_set_blocking(b, 1));
  printf("non-blocking %d\n", (fcntl(fds[1], F_GETFL) & O_NONBLOCK) != 0);
  result("listen on a pair", uv_listen(b, 1, NULL));
  puts("close");
  uv_read_start(b, alloc, on_read);
  result("write", say(0, "0", b, "never seen"));
  uv_close((uv_handle_t*)b, on_close);
  uv_close((uv_handle_t*)a, on_close);
  result("read a closing one", uv_read_start(a, alloc, on_read));
  result("write to it", say(1, "1", a, "late"));
  result("shutdown of it", uv_shutdown(&shutdowns[1], a, on_shutdown));
  result("fileno", uv_fileno((uv_handle_t*)a, fds));
  uv_close((uv_handle_t*)&turns, NULL);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("close", uv_loop_close(&loop));
  return 0;
}
