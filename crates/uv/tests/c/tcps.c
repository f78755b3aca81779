/* TCP: binds, connects, accepts, options, resets, and their errors. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>

static uv_loop_t loop;
static uv_tcp_t server, clients[3], accepted[3], other;
static uv_connect_t connects[4];
static uv_write_t request;
static char room[100];
static int count, resets;

ALLOC_IN(room)
static void on_connection(uv_stream_t* stream, int status) {
  CHECK(status == 0);
  CHECK(uv_tcp_init(&loop, &accepted[count]) == 0 && uv_accept(stream, (uv_stream_t*)&accepted[count]) == 0);
  uv_read_start((uv_stream_t*)&accepted[count++], alloc, print_read);
}
static void on_write(uv_write_t* req, int status) { printf("written %d\n", status); uv_close((uv_handle_t*)req->handle, NULL); }
static void on_reset(uv_handle_t* handle) { (void)handle; resets++; }
static void on_connect(uv_connect_t* req, int status) {
  int which = req - connects;
  printf("connect %d: %s\n", which, status ? uv_err_name(status) : "ok");
  if (uv_is_closing((uv_handle_t*)req->handle)) return;
  if (which == 1) result("reset", uv_tcp_close_reset((uv_tcp_t*)req->handle, on_reset));
  else if (which != 0) uv_close((uv_handle_t*)req->handle, NULL);
}
static int option(uv_tcp_t* tcp, int level, int name) {
  int fd, value = -1;
  socklen_t size = sizeof value;
  CHECK(uv_fileno((uv_handle_t*)tcp, &fd) == 0 && getsockopt(fd, level, name, &value, &size) == 0);
  return value;
}

int main(void) {
  struct sockaddr_in any, address, bad;
  struct sockaddr_in6 six;
  struct sockaddr_storage name;
  int length = sizeof name, bytes = 0;
  CHECK(uv_loop_init(&loop) == 0);
  CHECK(uv_ip4_addr("127.0.0.1", 0, &any) == 0 && uv_ip6_addr("::1", 0, &six) == 0);
  result("an unknown family", uv_tcp_init_ex(&loop, &other, 47));
  result("unknown flags", uv_tcp_init_ex(&loop, &other, 0x1000));
  result("init", uv_tcp_init(&loop, &other));
  result("name of none", uv_tcp_getsockname(&other, (struct sockaddr*)&name, &length));
  result("peer of none", uv_tcp_getpeername(&other, (struct sockaddr*)&name, &length));
  result("open a bad fd", uv_tcp_open(&other, 1000));
  result("IPv6 only on IPv4", uv_tcp_bind(&other, (struct sockaddr*)&any, UV_TCP_IPV6ONLY));
  bad = any, bad.sin_family = AF_UNIX;
  result("bind to no internet", uv_tcp_bind(&other, (struct sockaddr*)&bad, 0));
  result("connect to no internet", uv_tcp_connect(&connects[0], &other, (struct sockaddr*)&bad, on_connect));
  CHECK(uv_ip4_addr("192.0.2.1", 0, &bad) == 0);
  result("bind to another host", uv_tcp_bind(&other, (struct sockaddr*)&bad, 0));
  CHECK(uv_tcp_init_ex(&loop, &server, AF_INET) == 0);
  printf("has a socket %d\n", uv_fileno((uv_handle_t*)&server, &bytes) == 0);
  result("IPv6 on an IPv4 socket", uv_tcp_bind(&server, (struct sockaddr*)&six, 0));
  result("nodelay", uv_tcp_nodelay(&server, 1));
  result("bind", uv_tcp_bind(&server, (struct sockaddr*)&any, 0));
  printf("nodelay %d, reuse %d\n", option(&server, IPPROTO_TCP, TCP_NODELAY), option(&server, SOL_SOCKET, SO_REUSEADDR));
  length = sizeof name;
  CHECK(uv_tcp_getsockname(&server, (struct sockaddr*)&name, &length) == 0 && length == sizeof any);
  address = *(struct sockaddr_in*)&name;
  printf("bound to %s, port %s\n", uv_ip_name((struct sockaddr*)&name, room, sizeof room) ? "?" : room, address.sin_port ? "chosen" : "0");
  result("bind again", uv_tcp_bind(&server, (struct sockaddr*)&any, 0));
  result("listen", uv_listen((uv_stream_t*)&server, 10, on_connection));
  result("peer of a server", uv_tcp_getpeername(&server, (struct sockaddr*)&name, &length));
  /* A port that is taken: the error comes with the listen. */
  CHECK(uv_tcp_init(&loop, &clients[2]) == 0);
  result("bind to a taken port", uv_tcp_bind(&clients[2], (struct sockaddr*)&address, 0));
  result("listen there", uv_listen((uv_stream_t*)&clients[2], 10, on_connection));
  result("connect from there", uv_tcp_connect(&connects[2], &clients[2], (struct sockaddr*)&address, on_connect));
  uv_run(&loop, UV_RUN_NOWAIT);

  CHECK(uv_tcp_init(&loop, &clients[0]) == 0 && uv_tcp_init(&loop, &clients[1]) == 0);
  result("nodelay before", uv_tcp_nodelay(&clients[0], 1));
  result("keepalive before", uv_tcp_keepalive(&clients[0], 1, 60));
  result("accepts", uv_tcp_simultaneous_accepts(&server, 1));
  result("connect", uv_tcp_connect(&connects[0], &clients[0], (struct sockaddr*)&address, on_connect));
  result("connect twice", uv_tcp_connect(&connects[3], &clients[0], (struct sockaddr*)&address, on_connect));
  printf("nodelay %d keepalive %d\n", option(&clients[0], IPPROTO_TCP, TCP_NODELAY), option(&clients[0], SOL_SOCKET, SO_KEEPALIVE));
  uv_buf_t part = uv_buf_init("early", 5);
  result("write before it is connected", uv_write(&request, (uv_stream_t*)&clients[0], &part, 1, on_write));
  result("try before it is connected", uv_try_write((uv_stream_t*)&clients[0], &part, 1));
  printf("queue %zu\n", clients[0].write_queue_size);
  while (!uv_is_closing((uv_handle_t*)&clients[0]) || count < 1 || !uv_is_closing((uv_handle_t*)&accepted[0])) uv_run(&loop, UV_RUN_ONCE);

  puts("reset");
  result("connect", uv_tcp_connect(&connects[1], &clients[1], (struct sockaddr*)&address, on_connect));
  while (!resets || count < 2 || !uv_is_closing((uv_handle_t*)&accepted[1])) uv_run(&loop, UV_RUN_ONCE);

  puts("refused");
  uv_close((uv_handle_t*)&server, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_tcp_init(&loop, &clients[1]) == 0);
  result("connect", uv_tcp_connect(&connects[3], &clients[1], (struct sockaddr*)&address, on_connect));
  uv_run(&loop, UV_RUN_DEFAULT);

  puts("buffers");
  uv_timer_t timer;
  CHECK(uv_timer_init(&loop, &timer) == 0 && uv_tcp_init_ex(&loop, &clients[0], AF_INET) == 0);
  result("of nothing", uv_send_buffer_size(NULL, &bytes));
  result("of a timer", uv_send_buffer_size((uv_handle_t*)&timer, &bytes));
  bytes = 10000;
  result("send", uv_send_buffer_size((uv_handle_t*)&clients[0], &bytes));
  bytes = 0;
  result("send", uv_send_buffer_size((uv_handle_t*)&clients[0], &bytes));
  printf("%d\n", bytes);
  bytes = 0;
  result("receive", uv_recv_buffer_size((uv_handle_t*)&clients[0], &bytes));
  printf("%d\n", bytes > 0);
  result("listen without a bind", uv_listen((uv_stream_t*)&other, 10, on_connection));
  uv_close((uv_handle_t*)&timer, NULL);
  uv_close((uv_handle_t*)&other, NULL);
  result("bind a closing one", uv_tcp_bind(&other, (struct sockaddr*)&any, 0));
  result("listen on a closing one", uv_listen((uv_stream_t*)&other, 10, on_connection));
  uv_close((uv_handle_t*)&clients[0], NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  result("close", uv_loop_close(&loop));
  return 0;
}
