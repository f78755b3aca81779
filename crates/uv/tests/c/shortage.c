/* A server without a free fd: it ends connections instead of leaving them, and goes on later. */
#include "check.h"
#include <sys/resource.h>

static uv_loop_t loop;
static uv_tcp_t server, accepted;
static struct sockaddr_storage name;
static int connections;

static void on_connection(uv_stream_t* stream, int status) {
  CHECK(status == 0 && uv_tcp_init(&loop, &accepted) == 0 && uv_accept(stream, (uv_stream_t*)&accepted) == 0);
  uv_close((uv_handle_t*)&accepted, NULL);
  connections++;
}

int main(void) {
  struct sockaddr_in any;
  int length = sizeof name, clients[3], taken[64], count = 0;
  char byte;
  struct rlimit limit = {64, 64};
  CHECK(uv_loop_init(&loop) == 0 && uv_ip4_addr("127.0.0.1", 0, &any) == 0 && uv_tcp_init(&loop, &server) == 0);
  CHECK(uv_tcp_bind(&server, (struct sockaddr*)&any, 0) == 0 && uv_listen((uv_stream_t*)&server, 10, on_connection) == 0);
  CHECK(uv_tcp_getsockname(&server, (struct sockaddr*)&name, &length) == 0);
  for (int i = 0; i < 3; i++) CHECK((clients[i] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  while (count < 64 && (taken[count] = dup(0)) >= 0) count++;
  printf("none free: %d\n", errno == EMFILE);
  for (int i = 0; i < 2; i++) CHECK(connect(clients[i], (struct sockaddr*)&name, length) == 0);
  for (int i = 0; i < 4; i++) uv_run(&loop, UV_RUN_NOWAIT);
  for (int i = 0; i < 2; i++) printf("ended %d\n", read(clients[i], &byte, 1) == 0);
  printf("connections %d\n", connections);
  while (count > 0) close(taken[--count]);
  CHECK(connect(clients[2], (struct sockaddr*)&name, length) == 0);
  while (!connections) uv_run(&loop, UV_RUN_ONCE);
  printf("connections %d\n", connections);
  uv_close((uv_handle_t*)&server, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  result("close", uv_loop_close(&loop));
  return 0;
}
