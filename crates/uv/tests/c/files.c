/* File events, and files that are polled. */
#include "check.h"
#include <sys/stat.h>

static uv_fs_event_t directory, file, same;
static uv_fs_poll_t polled;
static uv_timer_t timer;
static char dir[] = "/tmp/uv-files-XXXXXX", path[100], missing[100];
static int step, stats;

static void on_event(uv_fs_event_t* handle, const char* name, int events, int status) {
  printf("%s: %s %d %d\n", (char*)handle->data, handle == &directory ? name : strstr(name, "file"), events, status);
}

static void on_stat(uv_fs_poll_t* handle, int status, const uv_stat_t* before, const uv_stat_t* now) {
  printf("stat %s %d -> %d\n", status ? uv_err_name(status) : "ok", (int)before->st_size, (int)now->st_size);
  FILE* out;
  if (++stats == 1) {
    CHECK((out = fopen(missing, "w")) && fputs("12345", out) >= 0 && fclose(out) == 0);
  } else if (stats == 2) {
    CHECK(unlink(missing) == 0);
  } else {
    uv_close((uv_handle_t*)handle, NULL);
  }
}

static void write_file(const char* text) {
  int fd = open(path, O_WRONLY);
  CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void on_timer(uv_timer_t* handle) {
  char buffer[100];
  size_t size = sizeof buffer;
  switch (step++) {
  case 0:
    puts("write");
    write_file("x");
    break;
  case 1:
    puts("chmod, with one watcher less");
    uv_fs_event_stop(&same);
    CHECK(chmod(path, 0600) == 0);
    break;
  case 2:
    puts("create");
    snprintf(buffer, sizeof buffer, "%s/other", dir);
    close(open(buffer, O_CREAT | O_WRONLY, 0600));
    break;
  case 3:
    puts("rename");
    snprintf(buffer, sizeof buffer, "%s/other", dir);
    CHECK(rename(buffer, path) == 0);
    break;
  case 4:
    CHECK(uv_fs_event_getpath(&directory, buffer, &size) == 0 && strcmp(buffer, dir) == 0 && size == strlen(dir));
    size = 3;
    result("no room", uv_fs_event_getpath(&directory, buffer, &size));
    printf("%d\n", size == strlen(dir) + 1);
    result("not started", uv_fs_event_getpath(&same, buffer, &size));
    uv_close((uv_handle_t*)&directory, NULL);
    uv_close((uv_handle_t*)&file, NULL);
    uv_close((uv_handle_t*)&same, NULL);
    uv_close((uv_handle_t*)handle, NULL);
  }
}

int main(void) {
  uv_loop_t loop;
  char buffer[100];
  size_t size = sizeof buffer;
  CHECK(mkdtemp(dir) != NULL && uv_loop_init(&loop) == 0);
  snprintf(path, sizeof path, "%s/file", dir);
  snprintf(missing, sizeof missing, "%s/missing", dir);
  CHECK(close(open(path, O_CREAT | O_WRONLY, 0644)) == 0);
  uv_fs_event_init(&loop, &directory), uv_fs_event_init(&loop, &file), uv_fs_event_init(&loop, &same);
  directory.data = "directory", file.data = "file", same.data = "same";
  result("directory", uv_fs_event_start(&directory, on_event, dir, 0));
  result("file", uv_fs_event_start(&file, on_event, path, 0));
  result("same", uv_fs_event_start(&same, on_event, path, 0));
  result("twice", uv_fs_event_start(&same, on_event, path, 0));
  uv_fs_event_stop(&same);
  result("missing", uv_fs_event_start(&same, on_event, missing, 0));
  result("same", uv_fs_event_start(&same, on_event, path, 0));
  uv_timer_init(&loop, &timer);
  uv_timer_start(&timer, on_timer, 20, 20);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  uv_fs_poll_init(&loop, &polled);
  result("path of an idle one", uv_fs_poll_getpath(&polled, buffer, &size));
  result("poll", uv_fs_poll_start(&polled, on_stat, missing, 10));
  size = sizeof buffer;
  CHECK(uv_fs_poll_getpath(&polled, buffer, &size) == 0 && strcmp(buffer, missing) == 0);
  printf("active %d\n", uv_is_active((uv_handle_t*)&polled));
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  result("close", uv_loop_close(&loop));
  CHECK(unlink(path) == 0 && rmdir(dir) == 0);
  return 0;
}
