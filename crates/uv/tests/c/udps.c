/* UDP: binds, sends, receives, connects, options, and their errors. */
#include "check.h"
#include <arpa/inet.h>
#include <netinet/ip.h>

static uv_loop_t loop;
static uv_udp_t a, b, other;
static uv_udp_send_t sends[4];
static uv_check_t turns;
static char room[2000];
static int small, received, stop_after, inside;
static struct sockaddr_in name_a, name_b;

static void alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) {
  (void)handle;
  CHECK(suggested == 65536);
  *buf = uv_buf_init(room, small ? small - 1 : (int)sizeof room);
}
static void on_receive(uv_udp_t* udp, ssize_t count, const uv_buf_t* buf, const struct sockaddr* from, unsigned flags) {
  const struct sockaddr_in* in = (const struct sockaddr_in*)from;
  if (count < 0) printf("receive %s\n", uv_err_name(count));
  else printf("receive %d: %.*s, from %s, flags %u\n", (int)count, count ? (int)count : 0, buf->base, !from ? "none" : in->sin_port == name_a.sin_port ? "a" : "another", flags);
  if (++received == stop_after) uv_udp_recv_stop(udp);
}
static void on_send(uv_udp_send_t* req, int status) {
  CHECK(!inside);
  printf("sent %d: %s, queue %zu %zu\n", (int)(req - sends), status ? uv_err_name(status) : "ok", uv_udp_get_send_queue_size(req->handle), uv_udp_get_send_queue_count(req->handle));
}
static void on_turn(uv_check_t* handle) { (void)handle; puts("check"); }
static void on_close(uv_handle_t* handle) { (void)handle; puts("closed"); }
static void turn(void) { uv_run(&loop, UV_RUN_NOWAIT); }
static int send_to(int index, uv_udp_t* from, char* text, const void* to) {
  uv_buf_t parts[2] = {uv_buf_init(text, 1), uv_buf_init(text + 1, strlen(text) - 1)};
  inside = 1;
  int code = uv_udp_send(&sends[index], from, parts, 2, to, on_send);
  inside = 0;
  return code;
}
static int option(uv_udp_t* udp, int level, int name) {
  int fd, value = -1;
  socklen_t size = sizeof value;
  CHECK(uv_fileno((uv_handle_t*)udp, &fd) == 0 && getsockopt(fd, level, name, &value, &size) == 0);
  return value;
}

int main(void) {
  struct sockaddr_in any, bad;
  struct sockaddr_in6 six;
  struct sockaddr_storage name;
  int length = sizeof name, bytes = 0;
  CHECK(uv_loop_init(&loop) == 0 && uv_ip4_addr("127.0.0.1", 0, &any) == 0 && uv_ip6_addr("::1", 0, &six) == 0);
  result("an unknown family", uv_udp_init_ex(&loop, &other, 47));
  result("unknown flags", uv_udp_init_ex(&loop, &other, 0x1000));
  CHECK(uv_udp_init(&loop, &other) == 0 && uv_udp_init(&loop, &a) == 0 && uv_udp_init_ex(&loop, &b, AF_INET) == 0);
  result("name of none", uv_udp_getsockname(&other, (struct sockaddr*)&name, &length));
  result("ttl of none", uv_udp_set_ttl(&other, 10));
  result("open a bad fd", uv_udp_open(&other, 1000));
  bad = any, bad.sin_family = AF_APPLETALK;
  result("bind to no internet", uv_udp_bind(&other, (struct sockaddr*)&bad, 0));
  result("IPv6 only on IPv4", uv_udp_bind(&other, (struct sockaddr*)&any, UV_UDP_IPV6ONLY));
  result("partial bind", uv_udp_bind(&other, (struct sockaddr*)&any, UV_UDP_PARTIAL));
  result("bind", uv_udp_bind(&a, (struct sockaddr*)&any, UV_UDP_REUSEADDR));
  result("bind", uv_udp_bind(&b, (struct sockaddr*)&any, 0));
  result("bind again", uv_udp_bind(&b, (struct sockaddr*)&any, 0));
  length = sizeof name_a;
  CHECK(uv_udp_getsockname(&a, (struct sockaddr*)&name_a, &length) == 0);
  length = sizeof name_b;
  CHECK(uv_udp_getsockname(&b, (struct sockaddr*)&name_b, &length) == 0 && length == sizeof name_b);
  result("bind to a taken port", uv_udp_bind(&other, (struct sockaddr*)&name_b, 0));
  printf("reuse %d %d\n", option(&a, SOL_SOCKET, SO_REUSEADDR), option(&b, SOL_SOCKET, SO_REUSEADDR));
  result("no alloc callback", uv_udp_recv_start(&b, NULL, on_receive));
  result("no receive callback", uv_udp_recv_start(&b, alloc, NULL));
  result("receive", uv_udp_recv_start(&b, alloc, on_receive));
  result("receive twice", uv_udp_recv_start(&b, alloc, on_receive));
  CHECK(uv_check_init(&loop, &turns) == 0 && uv_check_start(&turns, on_turn) == 0);
  uv_unref((uv_handle_t*)&turns);
  printf("active %d %d\n", uv_is_active((uv_handle_t*)&a), uv_is_active((uv_handle_t*)&b));
  result("send to no internet", send_to(0, &a, "hello", &bad));
  result("send to nowhere", send_to(0, &a, "hello", NULL));
  result("send", send_to(0, &a, "hello", &name_b));
  result("send", send_to(1, &a, "world", &name_b));
  printf("queue %zu %zu, active %d\n", uv_udp_get_send_queue_size(&a), uv_udp_get_send_queue_count(&a), uv_is_active((uv_handle_t*)&a));
  uv_buf_t part = uv_buf_init("try", 3);
  result("try while it is queued", uv_udp_try_send(&a, &part, 1, (struct sockaddr*)&name_b));
  turn();
  turn();
  printf("active %d\n", uv_is_active((uv_handle_t*)&a));
  printf("try %d\n", uv_udp_try_send(&a, &part, 1, (struct sockaddr*)&name_b));
  turn();
  puts("short and empty buffers");
  small = 3;
  result("send", send_to(0, &a, "longer", &name_b));
  turn();
  turn();
  small = 1;
  stop_after = received + 1;
  result("send", send_to(0, &a, "longer", &name_b));
  turn();
  turn();
  printf("active %d\n", uv_is_active((uv_handle_t*)&b));
  result("stop again", uv_udp_recv_stop(&b));
  small = stop_after = 0;
  result("receive", uv_udp_recv_start(&b, alloc, on_receive));
  turn();

  puts("connected");
  result("disconnect", uv_udp_connect(&a, NULL));
  result("peer of none", uv_udp_getpeername(&a, (struct sockaddr*)&name, &length));
  result("connect", uv_udp_connect(&a, (struct sockaddr*)&name_b));
  result("connect again", uv_udp_connect(&a, (struct sockaddr*)&name_b));
  length = sizeof name;
  CHECK(uv_udp_getpeername(&a, (struct sockaddr*)&name, &length) == 0 && !memcmp(&name, &name_b, 8));
  result("send to it", send_to(0, &a, "to it", &name_b));
  result("send", send_to(0, &a, "to the peer", NULL));
  turn();
  turn();
  printf("try %d\n", uv_udp_try_send(&a, &part, 1, NULL));
  turn();
  result("disconnect", uv_udp_connect(&a, NULL));
  result("try without a peer", uv_udp_try_send(&a, &part, 1, NULL));

  puts("options");
  result("ttl 0", uv_udp_set_ttl(&a, 0));
  result("ttl 256", uv_udp_set_ttl(&a, 256));
  result("ttl", uv_udp_set_ttl(&a, 10));
  result("broadcast", uv_udp_set_broadcast(&a, 1));
  printf("ttl %d broadcast %d\n", option(&a, IPPROTO_IP, IP_TTL), option(&a, SOL_SOCKET, SO_BROADCAST));
  result("multicast ttl", uv_udp_set_multicast_ttl(&a, 5));
  result("multicast ttl 256", uv_udp_set_multicast_ttl(&a, 256));
  result("multicast loop", uv_udp_set_multicast_loop(&a, 1));
  result("interface", uv_udp_set_multicast_interface(&a, "127.0.0.1"));
  result("any interface", uv_udp_set_multicast_interface(&a, NULL));
  result("no interface", uv_udp_set_multicast_interface(&a, "no address"));
  result("join", uv_udp_set_membership(&a, "239.1.2.3", "127.0.0.1", UV_JOIN_GROUP));
  result("join again", uv_udp_set_membership(&a, "239.1.2.3", "127.0.0.1", UV_JOIN_GROUP));
  result("leave", uv_udp_set_membership(&a, "239.1.2.3", "127.0.0.1", UV_LEAVE_GROUP));
  result("leave again", uv_udp_set_membership(&a, "239.1.2.3", "127.0.0.1", UV_LEAVE_GROUP));
  result("join nothing", uv_udp_set_membership(&a, "no address", "127.0.0.1", UV_JOIN_GROUP));
  result("join a source", uv_udp_set_source_membership(&a, "239.1.2.3", "127.0.0.1", "127.0.0.1", UV_JOIN_GROUP));
  result("leave a source", uv_udp_set_source_membership(&a, "239.1.2.3", "127.0.0.1", "127.0.0.1", UV_LEAVE_GROUP));
  bytes = 0;
  result("room", uv_send_buffer_size((uv_handle_t*)&a, &bytes));
  printf("%d\n", bytes > 0);

  puts("close");
  result("send", send_to(0, &a, "sent before the close", &name_b));
  uv_close((uv_handle_t*)&a, on_close);
  uv_close((uv_handle_t*)&b, on_close);
  uv_close((uv_handle_t*)&other, on_close);
  uv_close((uv_handle_t*)&turns, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  result("close", uv_loop_close(&loop));
  return 0;
}
