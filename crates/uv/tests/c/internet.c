/* Addresses as texts. */
#include "check.h"

int main(void) {
  const char* v4[] = {"127.0.0.1", "255.255.255.255", "1.2.3", "256.1.1.1", "01.2.3.4", "", "1.2.3.4.5", "a"};
  const char* v6[] = {"::", "::1", "fe80::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "::1.2.3.4", "1::2::3", "12345::",
                      "fe80::1%lo", "::1:0:0:2", "2001:db8::0:1:0:0:1", ":::", "1:2:3:4:5:6:7::", "::0.0.0.2"};
  char text[100];
  struct sockaddr_in a4;
  struct sockaddr_in6 a6;
  unsigned char bytes[16];
  for (size_t i = 0; i < sizeof v4 / sizeof *v4; i++) {
    printf("%s: %d %d", v4[i], uv_ip4_addr(v4[i], 80, &a4), uv_inet_pton(AF_INET, v4[i], bytes));
    if (uv_ip4_addr(v4[i], 80, &a4) == 0) {
      CHECK(uv_ip4_name(&a4, text, sizeof text) == 0);
      printf(" %s %d", text, ntohs(a4.sin_port));
      CHECK(uv_ip_name((struct sockaddr*)&a4, text, sizeof text) == 0);
      printf(" %s", text);
    }
    puts("");
  }
  for (size_t i = 0; i < sizeof v6 / sizeof *v6; i++) {
    printf("%s: %d %d", v6[i], uv_ip6_addr(v6[i], 81, &a6), uv_inet_pton(AF_INET6, v6[i], bytes));
    if (uv_ip6_addr(v6[i], 81, &a6) == 0) {
      CHECK(uv_ip6_name(&a6, text, sizeof text) == 0);
      printf(" %s %d %u", text, ntohs(a6.sin6_port), a6.sin6_scope_id);
      CHECK(uv_inet_ntop(AF_INET6, &a6.sin6_addr, text, sizeof text) == 0);
      printf(" %s", text);
    }
    puts("");
  }
  CHECK(uv_ip4_addr("1.2.3.4", 0, &a4) == 0);
  result("no room", uv_ip4_name(&a4, text, 7));
  result("just room", uv_ip4_name(&a4, text, 8));
  result("no family", uv_inet_ntop(AF_UNIX, bytes, text, sizeof text));
  result("no family", uv_inet_pton(AF_UNIX, "", bytes));
  return 0;
}
