/* Handles that travel over a pipe. */
#include "check.h"
#include <arpa/inet.h>
#include <sys/socket.h>

static uv_loop_t loop;
static uv_pipe_t ends[2], plain, got_pipe;
static uv_tcp_t tcp, got_tcp;
static uv_write_t writes[3];
static uv_timer_t timer;
static char room[100];
static int seen;

ALLOC_IN(room)
static void on_write(uv_write_t* req, int status) { printf("written %d: %d\n", (int)(req - writes), status); }
static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buf) {
  uv_pipe_t* pipe = (uv_pipe_t*)stream;
  printf("read %d: %.*s\n", (int)count, count > 0 ? (int)count : 0, buf->base);
  if (seen == 2) {
    printf("pending %d: %s\n", uv_pipe_pending_count(pipe), uv_handle_type_name(uv_pipe_pending_type(pipe)));
    uv_read_stop(stream);
    return;
  }
  while (uv_pipe_pending_count(pipe) > 0) {
    uv_handle_type type = uv_pipe_pending_type(pipe);
    printf("pending %d: %s\n", uv_pipe_pending_count(pipe), uv_handle_type_name(type));
    uv_stream_t* got = type == UV_TCP ? (uv_stream_t*)&got_tcp : (uv_stream_t*)&got_pipe;
    CHECK(type == UV_TCP ? uv_tcp_init(&loop, &got_tcp) == 0 : uv_pipe_init(&loop, &got_pipe, 0) == 0);
    result("accept", uv_accept(stream, got));
    seen++;
  }
  printf("pending %d %d, accept %s\n", uv_pipe_pending_count(pipe), uv_pipe_pending_type(pipe), uv_err_name(uv_accept(stream, (uv_stream_t*)&plain)));
  if (seen == 2) uv_read_stop(stream);
}

int main(void) {
  int fds[2], own;
  struct sockaddr_in any;
  struct sockaddr_storage name, other;
  CHECK(uv_loop_init(&loop) == 0 && uv_ip4_addr("127.0.0.1", 0, &any) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  for (int i = 0; i < 2; i++) CHECK(uv_pipe_init(&loop, &ends[i], 1) == 0 && uv_pipe_open(&ends[i], fds[i]) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  CHECK(uv_pipe_init(&loop, &plain, 0) == 0 && uv_pipe_open(&plain, fds[0]) == 0);
  uv_buf_t part = uv_buf_init("handle", 6);
  uv_stream_t* over = (uv_stream_t*)&ends[0];
  CHECK(uv_tcp_init(&loop, &tcp) == 0);
  result("without a socket", uv_write2(&writes[0], over, &part, 1, (uv_stream_t*)&tcp, on_write));
  CHECK(uv_tcp_bind(&tcp, (struct sockaddr*)&any, 0) == 0 && uv_timer_init(&loop, &timer) == 0);
  result("over a plain pipe", uv_write2(&writes[0], (uv_stream_t*)&plain, &part, 1, (uv_stream_t*)&tcp, on_write));
  result("over TCP", uv_write2(&writes[0], (uv_stream_t*)&tcp, &part, 1, (uv_stream_t*)&plain, on_write));
  result("ipc pipes do not listen", uv_listen(over, 1, NULL));
  result("tcp", uv_write2(&writes[0], over, &part, 1, (uv_stream_t*)&tcp, on_write));
  result("pipe", uv_write2(&writes[1], over, &part, 1, (uv_stream_t*)&plain, on_write));
  CHECK(uv_read_start((uv_stream_t*)&ends[1], alloc, on_read) == 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  int length = sizeof name;
  CHECK(uv_tcp_getsockname(&tcp, (struct sockaddr*)&name, &length) == 0);
  length = sizeof other;
  CHECK(uv_tcp_getsockname(&got_tcp, (struct sockaddr*)&other, &length) == 0);
  printf("the same socket %d\n", memcmp(&name, &other, length) == 0);
  CHECK(uv_fileno((uv_handle_t*)&got_pipe, &own) == 0);
  CHECK(write(own, "through", 7) == 7 && read(fds[1], room, sizeof room) == 7);
  printf("the same pipe %.7s\n", room);
  /* What is not accepted is closed with its pipe. */
  result("again", uv_write2(&writes[2], over, &part, 1, (uv_stream_t*)&plain, on_write));
  CHECK(uv_read_start((uv_stream_t*)&ends[1], alloc, on_read) == 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_handle_t* all[] = {(uv_handle_t*)&ends[0], (uv_handle_t*)&ends[1], (uv_handle_t*)&plain, (uv_handle_t*)&tcp, (uv_handle_t*)&got_tcp, (uv_handle_t*)&got_pipe, (uv_handle_t*)&timer};
  for (int i = 0; i < 7; i++) uv_close(all[i], NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  result("close", uv_loop_close(&loop));
  return 0;
}
