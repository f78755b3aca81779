/* The pool. */
#include "check.h"

enum { JOBS = 100 };
static uv_work_t jobs[JOBS], blocking[4], canceled;
static uv_sem_t hold, held;
static int sum, done;
static uv_getaddrinfo_t names;
static uv_getnameinfo_t name;
static uv_random_t random_bytes;
static unsigned char bytes[32];

static void work(uv_work_t* job) { job->data = (void*)((long)job->data * 2); }
static void after(uv_work_t* job, int status) { sum += (long)job->data; done += status == 0; }
static void block(uv_work_t* job) { uv_sem_post(&held); uv_sem_wait(&hold); (void)job; }
static void after_block(uv_work_t* job, int status) { printf("blocking %d\n", status); (void)job; }
static void never(uv_work_t* job) { (void)job; abort(); }
static void after_cancel(uv_work_t* job, int status) { result("canceled", status); (void)job; }

static void on_addresses(uv_getaddrinfo_t* request, int status, struct addrinfo* addresses) {
  char text[100];
  result("addresses", status);
  if (status == 0) {
    CHECK(addresses == request->addrinfo);
    uv_ip_name(addresses->ai_addr, text, sizeof text);
    printf("%s %d\n", text, ntohs(((struct sockaddr_in*)addresses->ai_addr)->sin_port));
  }
  uv_freeaddrinfo(addresses);
}

static void on_name(uv_getnameinfo_t* request, int status, const char* host, const char* service) {
  result("name", status);
  printf("%s %s\n", host, service);
  (void)request;
}

static void on_random(uv_random_t* request, int status, void* buffer, size_t length) {
  result("random", status);
  printf("%d %zu\n", buffer == bytes, length);
  (void)request;
}

int main(void) {
  uv_loop_t loop;
  struct sockaddr_in address;
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  CHECK(uv_loop_init(&loop) == 0 && uv_sem_init(&hold, 0) == 0 && uv_sem_init(&held, 0) == 0);
  result("no work", uv_queue_work(&loop, &jobs[0], NULL, after));
  for (long i = 0; i < JOBS; i++) {
    jobs[i].data = (void*)i;
    CHECK(uv_queue_work(&loop, &jobs[i], work, after) == 0);
  }
  printf("alive %d\n", uv_loop_alive(&loop));
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  printf("%d %d\n", sum, done);
  for (int i = 0; i < 4; i++) CHECK(uv_queue_work(&loop, &blocking[i], block, after_block) == 0);
  for (int i = 0; i < 4; i++) uv_sem_wait(&held);
  CHECK(uv_queue_work(&loop, &canceled, never, after_cancel) == 0);
  result("cancel of one that runs", uv_cancel((uv_req_t*)&blocking[0]));
  result("cancel", uv_cancel((uv_req_t*)&canceled));
  result("busy", uv_loop_close(&loop));
  uv_run(&loop, UV_RUN_ONCE);
  for (int i = 0; i < 4; i++) uv_sem_post(&hold);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  printf("type %s\n", uv_req_type_name(uv_req_get_type((uv_req_t*)&canceled)));
  result("getaddrinfo", uv_getaddrinfo(&loop, &names, on_addresses, "127.0.0.1", "80", &hints));
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("getaddrinfo", uv_getaddrinfo(&loop, &names, on_addresses, "no address", NULL, &hints));
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("getaddrinfo of nothing", uv_getaddrinfo(&loop, &names, on_addresses, NULL, NULL, NULL));
  result("getaddrinfo at once", uv_getaddrinfo(&loop, &names, NULL, "127.0.0.1", NULL, &hints));
  uv_freeaddrinfo(names.addrinfo);
  CHECK(uv_ip4_addr("127.0.0.1", 80, &address) == 0);
  result("getnameinfo", uv_getnameinfo(&loop, &name, on_name, (struct sockaddr*)&address, NI_NUMERICHOST | NI_NUMERICSERV));
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  address.sin_family = AF_UNIX;
  result("getnameinfo of no address", uv_getnameinfo(&loop, &name, on_name, (struct sockaddr*)&address, 0));
  result("random", uv_random(&loop, &random_bytes, bytes, sizeof bytes, 0, on_random));
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("close", uv_loop_close(&loop));
  return 0;
}
