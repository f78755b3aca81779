/* Terminals: their modes, sizes, and what is none. */
#include "check.h"
#include <sys/ioctl.h>

static uv_loop_t loop;
static uv_tty_t tty, again;
static uv_write_t request;
static char room[100];

ALLOC_IN(room)
static void on_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buf) {
  printf("read %d: %.*s\n", (int)count, count > 0 ? (int)count : 0, buf->base);
  uv_read_stop(stream);
}
static void on_write(uv_write_t* req, int status) { printf("written %d\n", status); (void)req; }
static void modes(int fd) {
  struct termios now;
  CHECK(tcgetattr(fd, &now) == 0);
  printf("canonical %d echo %d signals %d crlf %d output %d\n", (now.c_lflag & ICANON) != 0, (now.c_lflag & ECHO) != 0, (now.c_lflag & ISIG) != 0, (now.c_iflag & ICRNL) != 0, (now.c_oflag & OPOST) != 0);
}

int main(void) {
  int master = posix_openpt(O_RDWR | O_NOCTTY), slave, file, fd, fds[2], width = 0, height = 0;
  uv_tty_vtermstate_t state;
  struct winsize size = {.ws_row = 24, .ws_col = 80};
  CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
  CHECK((slave = open(ptsname(master), O_RDWR | O_NOCTTY)) >= 0 && ioctl(slave, TIOCSWINSZ, &size) == 0);
  CHECK(uv_loop_init(&loop) == 0 && (file = open("/proc/self/exe", O_RDONLY)) >= 0);
  result("a file", uv_tty_init(&loop, &tty, file, 0));
  result("a bad fd", uv_tty_init(&loop, &tty, 1000, 0));
  result("no fd", uv_tty_init(&loop, &tty, -1, 0));
  result("reset before any change", uv_tty_reset_mode());
  result("a terminal", uv_tty_init(&loop, &tty, slave, 0));
  CHECK(uv_fileno((uv_handle_t*)&tty, &fd) == 0);
  printf("another fd %d, type %s, kind %d\n", fd != slave, uv_handle_type_name(tty.type), uv_guess_handle(slave) == UV_TTY);
  printf("readable %d writable %d\n", uv_is_readable((uv_stream_t*)&tty), uv_is_writable((uv_stream_t*)&tty));
  result("size", uv_tty_get_winsize(&tty, &width, &height));
  printf("%d x %d\n", width, height);
  modes(fd);
  result("raw", uv_tty_set_mode(&tty, UV_TTY_MODE_RAW));
  modes(fd);
  result("raw again", uv_tty_set_mode(&tty, UV_TTY_MODE_RAW));
  result("io", uv_tty_set_mode(&tty, UV_TTY_MODE_IO));
  modes(fd);
  result("reset", uv_tty_reset_mode());
  modes(fd);
  result("normal", uv_tty_set_mode(&tty, UV_TTY_MODE_NORMAL));
  result("raw", uv_tty_set_mode(&tty, UV_TTY_MODE_RAW));
  result("vterm", uv_tty_get_vterm_state(&state));
  uv_tty_set_vterm_state(UV_TTY_SUPPORTED);
  CHECK(write(master, "keys", 4) == 4);
  CHECK(uv_read_start((uv_stream_t*)&tty, alloc, on_read) == 0);
  printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  uv_buf_t part = uv_buf_init("shown", 5);
  CHECK(uv_write(&request, (uv_stream_t*)&tty, &part, 1, on_write) == 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  printf("master %d\n", (int)read(master, room, sizeof room));
  result("the master", uv_tty_init(&loop, &again, master, 1));
  CHECK(uv_fileno((uv_handle_t*)&again, &fd) == 0);
  printf("the same fd %d, readable %d\n", fd == master, uv_is_readable((uv_stream_t*)&again));
  uv_close((uv_handle_t*)&again, NULL);
  result("normal", uv_tty_set_mode(&tty, UV_TTY_MODE_NORMAL));
  uv_close((uv_handle_t*)&tty, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  printf("slave is open %d\n", fcntl(slave, F_GETFD) >= 0);
  CHECK(pipe(fds) == 0);
  result("a pipe", uv_tty_init(&loop, &tty, fds[0], 0));
  printf("readable %d writable %d\n", uv_is_readable((uv_stream_t*)&tty), uv_is_writable((uv_stream_t*)&tty));
  result("size of a pipe", uv_tty_get_winsize(&tty, &width, &height));
  result("mode of a pipe", uv_tty_set_mode(&tty, UV_TTY_MODE_RAW));
  uv_close((uv_handle_t*)&tty, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  result("close", uv_loop_close(&loop));
  return 0;
}
