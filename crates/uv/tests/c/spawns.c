/* Processes: their fds, environment, folder, ends, and what keeps one from starting. */
#include "check.h"
#include <sys/wait.h>

static uv_loop_t loop;
static uv_process_t processes[4];
static uv_pipe_t in, out;
static uv_write_t request;
static uv_shutdown_t end;
static char room[4096], text[4096];
static size_t length;

ALLOC_IN(room)
static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buf) {
  if (count > 0) {
    memcpy(text + length, buf->base, count);
    length += count;
    return;
  }
  if (count == 0) return;
  printf("%s", length ? "" : "nothing\n");
  for (char* line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) printf("  | %s\n", line);
  printf("read %s\n", uv_err_name(count));
  memset(text, 0, length);
  length = 0;
  uv_close((uv_handle_t*)stream, NULL);
}
static void on_exit_of(uv_process_t* process, int64_t status, int signal) {
  printf("exit %d: status %d, signal %d, active %d, pid %d\n", (int)(process - processes), (int)status, signal, uv_is_active((uv_handle_t*)process), uv_process_get_pid(process) == process->pid);
  result("kill it again", uv_process_kill(process, 0));
  uv_close((uv_handle_t*)process, NULL);
}
static void on_write(uv_write_t* req, int status) { printf("written %d\n", status); (void)req; }
static void on_shutdown(uv_shutdown_t* req, int status) { printf("shut %d\n", status); uv_close((uv_handle_t*)req->handle, NULL); }

/* Runs a script with its output at `out`, and waits for it. */
static int run(char* script, uv_process_options_t* options) {
  char* args[] = {"sh", "-c", script, NULL};
  uv_stdio_container_t stdio[5] = {{UV_IGNORE, {0}}, {UV_CREATE_PIPE | UV_WRITABLE_PIPE, {(uv_stream_t*)&out}}, {UV_INHERIT_FD, {.fd = 2}}, {UV_IGNORE, {0}}, {UV_IGNORE, {0}}};
  uv_process_options_t own = {0};
  if (!options) options = &own;
  options->file = options->file ? options->file : "sh";
  options->args = args;
  options->exit_cb = on_exit_of;
  if (!options->stdio) options->stdio = stdio, options->stdio_count = 3;
  else options->stdio[1] = stdio[1];
  CHECK(uv_pipe_init(&loop, &out, 0) == 0);
  fflush(stdout);
  int code = uv_spawn(&loop, &processes[0], options);
  printf("%s: %s\n", script, code ? uv_err_name(code) : "started");
  if (!code) {
    CHECK(processes[0].pid > 0);
    CHECK(uv_read_start((uv_stream_t*)&out, alloc, on_read) == 0);
  } else {
    printf("active %d\n", uv_is_active((uv_handle_t*)&processes[0]));
    uv_close((uv_handle_t*)&out, NULL);
    uv_close((uv_handle_t*)&processes[0], NULL);
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  return code;
}

int main(void) {
  uv_process_options_t options = {0};
  char* environment[] = {"A=1", "PATH=/usr/bin:/bin", "B=two words", NULL};
  CHECK(uv_loop_init(&loop) == 0);
  signal(SIGPIPE, SIG_IGN);
  run("echo hello; exit 3", NULL);
  run("kill -9 $$", NULL);
  options = (uv_process_options_t){.env = environment, .cwd = "/usr"};
  run("pwd; env | grep -v ^_ | grep -v ^PWD | grep -v ^OLDPWD | grep -v ^SHLVL | sort", &options);
  options = (uv_process_options_t){.cwd = "/there is no such folder"};
  run("in no folder", &options);
  options = (uv_process_options_t){.file = "/there is no such program"};
  run("no program", &options);
  options = (uv_process_options_t){.file = "/etc/passwd"};
  run("no executable", &options);
  options = (uv_process_options_t){.file = "there-is-no-such-program-in-the-path"};
  run("nowhere in the path", &options);
  run("trap | wc -l; kill -PIPE $$; echo not reached", NULL); /* signals have their default actions */
  options = (uv_process_options_t){.flags = UV_PROCESS_DETACHED};
  run("test $(ps -o sid= -p $$) = $$ && echo leads a session", &options);
  options = (uv_process_options_t){.flags = UV_PROCESS_WINDOWS_HIDE | UV_PROCESS_WINDOWS_VERBATIM_ARGUMENTS};
  run("echo flags of Windows", &options);
  if (getuid() == 0) {
    options = (uv_process_options_t){.flags = UV_PROCESS_SETUID | UV_PROCESS_SETGID, .uid = 65534, .gid = 65534};
    run("id -u; id -g; id -G", &options);
  } else {
    puts("id -u; id -g; id -G: started\n  | 65534\n  | 65534\n  | 65534\nread EOF\nexit 0: status 0, signal 0, active 0, pid 1\nkill it again: ESRCH");
  }

  puts("fds");
  int fds[2];
  CHECK(pipe(fds) == 0 && write(fds[1], "from the pipe\n", 14) == 14);
  close(fds[1]);
  uv_stdio_container_t stdio[5] = {{UV_INHERIT_FD, {.fd = fds[0]}}, {UV_IGNORE, {0}}, {UV_IGNORE, {0}}, {UV_IGNORE, {0}}, {UV_INHERIT_FD, {.fd = 1}}};
  options = (uv_process_options_t){.stdio = stdio, .stdio_count = 5};
  run("cat; readlink /proc/$$/fd/2; test -e /proc/$$/fd/3 || echo no 3; test -e /proc/$$/fd/4 && echo a 4", &options);
  close(fds[0]);
  stdio[4] = (uv_stdio_container_t){UV_INHERIT_FD, {.fd = -1}};
  run("a bad fd", &options);
  uv_timer_t timer;
  CHECK(uv_timer_init(&loop, &timer) == 0);
  stdio[4] = (uv_stdio_container_t){UV_CREATE_PIPE, {(uv_stream_t*)&timer}};
  run("a timer as a pipe", &options);
  uv_close((uv_handle_t*)&timer, NULL);
  /* Low fds that change places. */
  stdio[0] = (uv_stdio_container_t){UV_INHERIT_FD, {.fd = 2}};
  stdio[2] = (uv_stdio_container_t){UV_INHERIT_FD, {.fd = 0}};
  options.stdio_count = 3;
  CHECK((fds[0] = open("/dev/zero", O_RDONLY)) >= 0 && dup2(fds[0], 0) == 0);
  run("readlink /proc/$$/fd/2", &options);

  puts("both directions");
  char* args[] = {"cat", NULL};
  stdio[0] = (uv_stdio_container_t){UV_CREATE_PIPE | UV_READABLE_PIPE, {(uv_stream_t*)&in}};
  stdio[1] = (uv_stdio_container_t){UV_CREATE_PIPE | UV_WRITABLE_PIPE, {(uv_stream_t*)&out}};
  options = (uv_process_options_t){.file = "cat", .args = args, .exit_cb = on_exit_of, .stdio = stdio, .stdio_count = 2};
  CHECK(uv_pipe_init(&loop, &in, 0) == 0 && uv_pipe_init(&loop, &out, 0) == 0);
  result("spawn", uv_spawn(&loop, &processes[1], &options));
  printf("in %d%d out %d%d\n", uv_is_readable((uv_stream_t*)&in), uv_is_writable((uv_stream_t*)&in), uv_is_readable((uv_stream_t*)&out), uv_is_writable((uv_stream_t*)&out));
  uv_buf_t part = uv_buf_init("through cat", 11);
  CHECK(uv_write(&request, (uv_stream_t*)&in, &part, 1, on_write) == 0);
  CHECK(uv_shutdown(&end, (uv_stream_t*)&in, on_shutdown) == 0);
  CHECK(uv_read_start((uv_stream_t*)&out, alloc, on_read) == 0);
  uv_run(&loop, UV_RUN_DEFAULT);

  puts("kill");
  char* sleep[] = {"sleep", "100", NULL};
  options = (uv_process_options_t){.file = "sleep", .args = sleep, .exit_cb = on_exit_of};
  CHECK(uv_spawn(&loop, &processes[2], &options) == 0);
  result("is there", uv_process_kill(&processes[2], 0));
  result("no such signal", uv_process_kill(&processes[2], 1000));
  result("kill", uv_process_kill(&processes[2], SIGTERM));
  printf("alive %d\n", uv_loop_alive(&loop));
  uv_unref((uv_handle_t*)&processes[2]);
  printf("alive %d\n", uv_loop_alive(&loop));
  uv_ref((uv_handle_t*)&processes[2]);
  uv_run(&loop, UV_RUN_DEFAULT);

  puts("close before the end");
  options.exit_cb = NULL;
  CHECK(uv_spawn(&loop, &processes[3], &options) == 0);
  int pid = processes[3].pid, status;
  uv_close((uv_handle_t*)&processes[3], NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
  result("close", uv_loop_close(&loop));
  return 0;
}
