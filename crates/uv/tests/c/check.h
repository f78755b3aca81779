/* What the programs share: they print what they see, and stop at what must not happen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      exit(1); \
    } \
  } while (0)

/* Prints a result by its name. */
static inline void result(const char* what, int code) {
  printf("%s: %s\n", what, code < 0 ? uv_err_name(code) : code == 0 ? "ok" : "positive");
}

/* Defines `alloc`, with which each read goes into the same room. */
#define ALLOC_IN(room) \
  static void alloc(uv_handle_t* handle, size_t suggested, uv_buf_t* buf) { \
    (void)handle, (void)suggested; \
    *buf = uv_buf_init(room, sizeof room); \
  }

/* Prints what was read, and closes the stream at its end. */
static inline void print_read(uv_stream_t* stream, ssize_t count, const uv_buf_t* buf) {
  if (count > 0) printf("read %.*s\n", (int)count, buf->base);
  else printf("read %s\n", uv_err_name(count));
  if (count < 0) uv_close((uv_handle_t*)stream, NULL);
}
