/* Names of pipes with their length, as libuv 1.46 and later have them: abstract and long ones. */
#include "check.h"

static uv_loop_t loop;
static uv_pipe_t server, client;
static uv_connect_t request;

static void on_connection(uv_stream_t* stream, int status) {
  printf("connection %d\n", status);
  uv_close((uv_handle_t*)stream, NULL);
}
static void on_connect(uv_connect_t* req, int status) {
  char name[128];
  size_t size = sizeof name;
  result("connect", status);
  if (!status) CHECK(uv_pipe_getpeername((uv_pipe_t*)req->handle, name, &size) == 0 && size == 20 && name[0] == 0 && !memcmp(name + 1, "oneloop", 7));
  uv_close((uv_handle_t*)req->handle, NULL);
}

int main(void) {
  char name[200] = {0}, path[200];
  memset(path, 'x', sizeof path);
  memcpy(path, "/tmp/", 5);
  CHECK(uv_loop_init(&loop) == 0 && uv_pipe_init(&loop, &server, 0) == 0 && uv_pipe_init(&loop, &client, 0) == 0);
  snprintf(name + 1, 100, "oneloop %011d", (int)getpid());
  result("no name", uv_pipe_bind2(&server, NULL, 5, 0));
  result("empty", uv_pipe_bind2(&server, name, 0, 0));
  result("unknown flags", uv_pipe_bind2(&server, name, 20, 8));
  result("NUL inside", uv_pipe_bind2(&server, "/tmp/a\0b", 8, 0));
  result("too long", uv_pipe_bind2(&server, path, sizeof path, UV_PIPE_NO_TRUNCATE));
  result("connect, too long", uv_pipe_connect2(&request, &client, path, sizeof path, UV_PIPE_NO_TRUNCATE, on_connect));
  result("connect, unknown flags", uv_pipe_connect2(&request, &client, name, 20, 8, on_connect));
  result("abstract", uv_pipe_bind2(&server, name, 20, UV_PIPE_NO_TRUNCATE));
  printf("a file %d\n", server.pipe_fname != NULL);
  CHECK(uv_listen((uv_stream_t*)&server, 1, on_connection) == 0);
  result("connect", uv_pipe_connect2(&request, &client, name, 20, UV_PIPE_NO_TRUNCATE, on_connect));
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  puts("none there");
  CHECK(uv_pipe_init(&loop, &client, 0) == 0);
  result("connect", uv_pipe_connect2(&request, &client, name, 20, 0, on_connect));
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("close", uv_loop_close(&loop));
  return 0;
}
