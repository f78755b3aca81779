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
