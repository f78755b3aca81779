/* Callbacks of streams and processes that never return: the loop goes on in the next run. libuv
   itself loses the write callbacks that were to come. */
#include "check.h"
#include <setjmp.h>
#include <sys/socket.h>

static jmp_buf back;
static uv_loop_t loop;
static uv_pipe_t ends[2], *closing;
static uv_tcp_t server, client, accepted;
static uv_connect_t connects[1];
static uv_write_t writes[5];
static uv_shutdown_t end;
static uv_process_t process;
static char room[4];
static int jumps, allocs;

static void jump(const char* what) {
  printf("%s\n", what);
  jumps++;
  longjmp(back, 1);
}
static void alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) {
  (void)handle, (void)suggested;
  *buf = uv_buf_init(room, sizeof room);
  if (!allocs++) jump("alloc");
}
static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buf) {
  if (count <= 0) uv_close((uv_handle_t*)stream, NULL);
  printf("  %d %.*s\n", (int)count, count > 0 ? (int)count : 0, buf->base);
  jump("read");
}
static void on_write(uv_write_t* req, int status) {
  printf("  %d %d\n", (int)(req - writes), status);
  jump("written");
}
static void on_shutdown(uv_shutdown_t* req, int status) { (void)req, (void)status; jump("shut"); }
static void on_connect(uv_connect_t* req, int status) {
  (void)status;
  uv_close((uv_handle_t*)req->handle, NULL);
  jump("connected");
}
static void on_connection(uv_stream_t* stream, int status) {
  CHECK(status == 0 && uv_tcp_init(&loop, &accepted) == 0 && uv_accept(stream, (uv_stream_t*)&accepted) == 0);
  uv_close((uv_handle_t*)stream, NULL);
  uv_close((uv_handle_t*)&accepted, NULL);
  jump("connection");
}
static void on_exit_of(uv_process_t* handle, int64_t status, int signal) {
  (void)status, (void)signal;
  uv_close((uv_handle_t*)handle, NULL);
  jump("exit");
}
static void on_close(uv_handle_t* handle) {
  free(handle);
  jump("closed");
}

int main(void) {
  int fds[2];
  struct sockaddr_in any;
  struct sockaddr_storage name;
  int length = sizeof name;
  char* args[] = {"true", NULL};
  uv_process_options_t options = {.file = "true", .args = args, .exit_cb = on_exit_of};
  CHECK(uv_loop_init(&loop) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  for (int i = 0; i < 2; i++) CHECK(uv_pipe_init(&loop, &ends[i], 0) == 0 && uv_pipe_open(&ends[i], fds[i]) == 0);
  uv_buf_t part = uv_buf_init("abcdefghij", 10);
  for (int i = 0; i < 2; i++) CHECK(uv_write(&writes[i], (uv_stream_t*)&ends[0], &part, 1, on_write) == 0);
  CHECK(uv_shutdown(&end, (uv_stream_t*)&ends[0], on_shutdown) == 0);
  CHECK(uv_read_start((uv_stream_t*)&ends[1], alloc, on_read) == 0);
  setjmp(back);
  if (jumps < 10) uv_run(&loop, UV_RUN_DEFAULT);
  if (jumps == 10) {
    puts("tcp");
    uv_close((uv_handle_t*)&ends[0], NULL);
    CHECK(uv_ip4_addr("127.0.0.1", 0, &any) == 0 && uv_tcp_init(&loop, &server) == 0);
    CHECK(uv_tcp_bind(&server, (struct sockaddr*)&any, 0) == 0 && uv_listen((uv_stream_t*)&server, 1, on_connection) == 0);
    CHECK(uv_tcp_getsockname(&server, (struct sockaddr*)&name, &length) == 0 && uv_tcp_init(&loop, &client) == 0);
    CHECK(uv_tcp_connect(&connects[0], &client, (struct sockaddr*)&name, on_connect) == 0);
    uv_run(&loop, UV_RUN_DEFAULT);
  }
  if (jumps < 12) uv_run(&loop, UV_RUN_DEFAULT);
  if (jumps == 12) {
    puts("process");
    CHECK(uv_spawn(&loop, &process, &options) == 0);
    uv_run(&loop, UV_RUN_DEFAULT);
  }
  if (jumps == 13) {
    puts("close");
    CHECK((closing = malloc(sizeof *closing)) && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(uv_pipe_init(&loop, closing, 0) == 0 && uv_pipe_open(closing, fds[0]) == 0);
    for (int i = 2; i < 5; i++) CHECK(uv_write(&writes[i], (uv_stream_t*)closing, &part, 1, on_write) == 0);
    CHECK(uv_shutdown(&end, (uv_stream_t*)closing, on_shutdown) == 0);
    uv_close((uv_handle_t*)closing, on_close);
  }
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("close", uv_loop_close(&loop));
  return 0;
}
