/* The process, its environment, and the machine. */
#include "check.h"
#include <net/if.h>
#include <sys/resource.h>
#include <sys/utsname.h>

static int blocks;
static void* count_malloc(size_t size) { blocks++; return malloc(size); }
static void* count_calloc(size_t count, size_t size) { blocks++; return calloc(count, size); }
static void count_free(void* block) { blocks -= block != NULL; free(block); }

static void text(const char* what, int (*get)(char*, size_t*)) {
  char buffer[4096];
  size_t size = sizeof buffer, small = 1;
  int code = get(buffer, &size);
  CHECK(code != 0 || size == strlen(buffer));
  printf("%s: %s %s\n", what, code ? uv_err_name(code) : "ok", code ? "" : buffer);
  printf("%s in 1 byte: %s", what, uv_err_name(get(buffer, &small)));
  printf(" %d %s\n", small == size + 1, uv_err_name(get(buffer, NULL)));
}

int main(int argc, char** argv) {
  char buffer[100];
  size_t size;
  CHECK(uv_replace_allocator(count_malloc, NULL, count_calloc, count_free) == UV_EINVAL);
  CHECK(uv_replace_allocator(count_malloc, realloc, count_calloc, count_free) == 0);
  char** copy = uv_setup_args(argc, argv);
  CHECK(strcmp(copy[0], argv[0]) == 0);
  setenv("HOME", "/home/of/nobody", 1);
  text("home", uv_os_homedir);
  setenv("TMPDIR", "/some/where/", 1);
  text("tmp", uv_os_tmpdir);
  unsetenv("TMPDIR"), unsetenv("TMP"), unsetenv("TEMP"), unsetenv("TEMPDIR");
  text("tmp", uv_os_tmpdir);
  CHECK(uv_chdir("/tmp") == 0);
  text("cwd", uv_cwd);
  CHECK(uv_chdir("/") == 0);
  text("cwd", uv_cwd);
  result("chdir", uv_chdir("/there/is/none"));
  result("setenv", uv_os_setenv("UV_TEST_NAME", "value"));
  size = sizeof buffer;
  result("getenv", uv_os_getenv("UV_TEST_NAME", buffer, &size));
  printf("%s %zu\n", buffer, size);
  size = 5;
  result("getenv without room", uv_os_getenv("UV_TEST_NAME", buffer, &size));
  printf("%zu\n", size);
  result("unsetenv", uv_os_unsetenv("UV_TEST_NAME"));
  result("getenv of none", uv_os_getenv("UV_TEST_NAME", buffer, &size));
  result("setenv of NULL", uv_os_setenv(NULL, "x"));
  uv_env_item_t* items;
  int count, found = 0;
  CHECK(uv_os_environ(&items, &count) == 0);
  for (int i = 0; i < count; i++) found += strcmp(items[i].name, "HOME") == 0 && strcmp(items[i].value, "/home/of/nobody") == 0;
  printf("HOME found %d\n", found);
  uv_os_free_environ(items, count);
  uv_passwd_t user;
  CHECK(uv_os_get_passwd(&user) == 0);
  struct passwd* entry = getpwuid(geteuid());
  CHECK(!strcmp(user.username, entry->pw_name) && !strcmp(user.homedir, entry->pw_dir));
  CHECK(!strcmp(user.shell, entry->pw_shell) && user.uid == geteuid() && user.gid == entry->pw_gid);
  uv_os_free_passwd(&user);
  uv_os_free_passwd(&user);
  CHECK(uv_os_getpid() == getpid() && uv_os_getppid() == getppid());
  int priority = 1000;
  result("getpriority", uv_os_getpriority(0, &priority));
  CHECK(priority == getpriority(PRIO_PROCESS, 0));
  result("getpriority of none", uv_os_getpriority(-2, &priority));
  result("setpriority", uv_os_setpriority(0, 1000));
  uv_utsname_t name;
  CHECK(uv_os_uname(&name) == 0);
  struct utsname kernel;
  CHECK(uname(&kernel) == 0 && !strcmp(name.machine, kernel.machine) && !strcmp(name.release, kernel.release));
  printf("%s\n", name.sysname);
  uv_cpu_info_t* cpus;
  CHECK(uv_cpu_info(&cpus, &count) == 0 && count > 0 && cpus[0].cpu_times.idle > 0 && cpus[0].model[0]);
  uv_free_cpu_info(cpus, count);
  uv_interface_address_t* addresses;
  CHECK(uv_interface_addresses(&addresses, &count) == 0);
  for (int i = 0; i < count; i++)
    if (addresses[i].is_internal && addresses[i].address.address4.sin_family == AF_INET) {
      CHECK(uv_ip4_name(&addresses[i].netmask.netmask4, buffer, sizeof buffer) == 0);
      CHECK(if_nametoindex(addresses[i].name) != 0 && strncmp(buffer, "255.", 4) == 0);
    }
  uv_free_interface_addresses(addresses, count);
  CHECK(uv_get_total_memory() >= uv_get_free_memory() && uv_get_free_memory() > 0);
  CHECK(uv_resident_set_memory(&size) == 0 && size > 4096);
  double uptime, load[3];
  CHECK(uv_uptime(&uptime) == 0 && uptime > 0);
  uv_loadavg(load);
  uv_rusage_t usage;
  CHECK(uv_getrusage(&usage) == 0 && usage.ru_maxrss > 0 && uv_available_parallelism() > 0);
  uv_timeval64_t now;
  CHECK(uv_gettimeofday(&now) == 0 && now.tv_sec > 1700000000 && now.tv_usec < 1000000);
  CHECK(uv_get_process_title(buffer, sizeof buffer) == 0 || argc == 0);
  result("title", uv_set_process_title("a title"));
  CHECK(uv_get_process_title(buffer, sizeof buffer) == 0);
  printf("%s\n", buffer);
  result("title without room", uv_get_process_title(buffer, 3));
  result("kill", uv_kill(getpid(), 0));
  result("kill", uv_kill(getpid(), 1000));
  uv_lib_t library;
  void* symbol;
  CHECK(uv_dlopen(NULL, &library) == 0 && uv_dlsym(&library, "printf", &symbol) == 0 && symbol == (void*)printf);
  CHECK(uv_dlsym(&library, "there is none", &symbol) == -1 && strstr(uv_dlerror(&library), "there is none"));
  uv_dlclose(&library);
  CHECK(uv_dlopen("/there/is/none.so", &library) == -1 && strstr(uv_dlerror(&library), "none.so"));
  uv_dlclose(&library);
  int ends[2];
  CHECK(pipe(ends) == 0);
  printf("%d %d %d\n", uv_guess_handle(ends[0]), uv_guess_handle(-1), uv_guess_handle(1000));
  unsigned char random[2000] = {0};
  CHECK(uv_random(NULL, NULL, random, sizeof random, 0, NULL) == 0);
  int zeros = 0;
  for (size_t i = 0; i < sizeof random; i++) zeros += random[i] == 0;
  printf("%d\n", zeros < 50);
  result("random with flags", uv_random(NULL, NULL, random, 1, 1, NULL));
  size = sizeof buffer;
  result("interface", uv_if_indextoname(1, buffer, &size));
  printf("%s %zu\n", buffer, size);
  return 0;
}
