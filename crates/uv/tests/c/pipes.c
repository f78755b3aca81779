/* Pipes with names: bind, listen, connect, accept, and their errors. */
#include "check.h"
#include <sys/stat.h>

static uv_loop_t loop;
static uv_pipe_t server, clients[3], accepted[3], other;
static uv_connect_t connects[3];
static char path[64], room[100];
static int count, closed;

ALLOC_IN(room)
static void on_connection(uv_stream_t* stream, int status) {
  printf("connection %s\n", status ? uv_err_name(status) : "ok");
  CHECK(uv_pipe_init(&loop, &accepted[count], 0) == 0);
  result("accept", uv_accept(stream, (uv_stream_t*)&accepted[count]));
  result("accept again", uv_accept(stream, (uv_stream_t*)&other));
  uv_stream_t* one = (uv_stream_t*)&accepted[count++];
  printf("readable %d writable %d\n", uv_is_readable(one), uv_is_writable(one));
  uv_read_start(one, alloc, print_read);
}
static void on_connect(uv_connect_t* req, int status) {
  printf("connect %d: %s\n", (int)(req - connects), status ? uv_err_name(status) : "ok");
  if (!status) {
    uv_buf_t part = uv_buf_init("hello", 5);
    printf("try %d\n", uv_try_write(req->handle, &part, 1));
  }
  if (!uv_is_closing((uv_handle_t*)req->handle)) uv_close((uv_handle_t*)req->handle, NULL);
}
static void on_close(uv_handle_t* handle) { (void)handle; closed++; }
static void name(const char* what, int code, const char* buffer, size_t size) {
  printf("%s: %s, %zu bytes, %s\n", what, code ? uv_err_name(code) : "ok", size, code ? "" : size == strlen(path) && !memcmp(buffer, path, size) ? "the path" : "another");
}

int main(void) {
  char buffer[128];
  size_t size;
  struct stat status;
  sprintf(path, "/tmp/oneloop-uv-pipes-%08d", (int)getpid());
  CHECK(uv_loop_init(&loop) == 0 && uv_pipe_init(&loop, &server, 0) == 0 && uv_pipe_init(&loop, &other, 0) == 0);
  result("listen without a name", uv_listen((uv_stream_t*)&server, 8, on_connection));
  result("bind to no folder", uv_pipe_bind(&server, "/tmp/there is no such folder/x"));
  result("bind", uv_pipe_bind(&server, path));
  result("bind again", uv_pipe_bind(&server, path));
  result("bind another to it", uv_pipe_bind(&other, path));
  printf("is a socket %d, name %s\n", stat(path, &status) == 0 && S_ISSOCK(status.st_mode), server.pipe_fname && !strcmp(server.pipe_fname, path) ? "kept" : "lost");
  size = sizeof buffer;
  int code = uv_pipe_getsockname(&server, buffer, &size);
  name("own name", code, buffer, size);
  size = 5;
  code = uv_pipe_getsockname(&server, buffer, &size);
  printf("own name: %s %d\n", uv_err_name(code), size == strlen(path) + 1);
  size = sizeof buffer;
  code = uv_pipe_getpeername(&server, buffer, &size);
  name("peer name", code, buffer, size);
  size = sizeof buffer;
  code = uv_pipe_getsockname(&other, buffer, &size);
  name("name of none", code, buffer, size);
  result("chmod to nothing", uv_pipe_chmod(&server, 0));
  result("chmod of none", uv_pipe_chmod(&other, UV_READABLE));
  CHECK(chmod(path, 0600) == 0);
  result("chmod", uv_pipe_chmod(&server, UV_READABLE | UV_WRITABLE));
  CHECK(stat(path, &status) == 0);
  printf("mode %o\n", status.st_mode & 0777);
  result("accept", uv_accept((uv_stream_t*)&server, (uv_stream_t*)&other));
  result("listen", uv_listen((uv_stream_t*)&server, 8, on_connection));
  printf("active %d\n", uv_is_active((uv_handle_t*)&server));

  for (int i = 0; i < 2; i++) CHECK(uv_pipe_init(&loop, &clients[i], 0) == 0);
  uv_pipe_connect(&connects[0], &clients[0], path, on_connect);
  puts("connecting");
  uv_run(&loop, UV_RUN_NOWAIT);
  uv_run(&loop, UV_RUN_NOWAIT);
  uv_run(&loop, UV_RUN_NOWAIT);
  uv_pipe_connect(&connects[1], &clients[1], "/tmp/there is no such pipe", on_connect);
  puts("connecting to nothing");
  uv_run(&loop, UV_RUN_NOWAIT);

  puts("closed while it connects");
  CHECK(uv_pipe_init(&loop, &clients[2], 0) == 0);
  uv_pipe_connect(&connects[2], &clients[2], "/tmp/there is no such pipe", on_connect);
  printf("alive %d\n", uv_loop_alive(&loop));
  uv_close((uv_handle_t*)&clients[2], on_close);
  uv_run(&loop, UV_RUN_NOWAIT);
  printf("closed %d\n", closed);

  uv_close((uv_handle_t*)&server, on_close);
  printf("the file is there %d\n", stat(path, &status) == 0);
  uv_close((uv_handle_t*)&other, on_close);
  uv_run(&loop, UV_RUN_DEFAULT);

  uv_file fds[2];
  result("pipe", uv_pipe(fds, UV_NONBLOCK_PIPE, 0));
  printf("non-blocking %d %d, inherited %d\n", (fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0, (fcntl(fds[1], F_GETFL) & O_NONBLOCK) != 0, !(fcntl(fds[0], F_GETFD) & FD_CLOEXEC));
  CHECK(uv_pipe_init(&loop, &clients[0], 0) == 0 && uv_pipe_open(&clients[0], fds[0]) == 0);
  CHECK(uv_pipe_init(&loop, &clients[1], 0) == 0 && uv_pipe_open(&clients[1], fds[1]) == 0);
  printf("ends %d%d %d%d\n", uv_is_readable((uv_stream_t*)&clients[0]), uv_is_writable((uv_stream_t*)&clients[0]), uv_is_readable((uv_stream_t*)&clients[1]), uv_is_writable((uv_stream_t*)&clients[1]));
  result("read from the write end", uv_read_start((uv_stream_t*)&clients[1], alloc, print_read));
  uv_buf_t part = uv_buf_init("x", 1);
  result("write to the read end", uv_try_write((uv_stream_t*)&clients[0], &part, 1));
  uv_read_start((uv_stream_t*)&clients[0], alloc, print_read);
  CHECK(uv_try_write((uv_stream_t*)&clients[1], &part, 1) == 1);
  uv_close((uv_handle_t*)&clients[1], on_close);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_os_sock_t socks[2];
  result("socketpair", uv_socketpair(SOCK_STREAM, 0, socks, UV_NONBLOCK_PIPE, 0));
  printf("non-blocking %d %d\n", (fcntl(socks[0], F_GETFL) & O_NONBLOCK) != 0, (fcntl(socks[1], F_GETFL) & O_NONBLOCK) != 0);
  printf("kinds %d %d %d\n", uv_guess_handle(socks[0]) == UV_NAMED_PIPE, uv_guess_handle(-1), uv_guess_handle(1000));
  close(socks[0]), close(socks[1]);
  result("close", uv_loop_close(&loop));
  return 0;
}
