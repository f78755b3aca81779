/* Names and messages: all numbers that are errors in libuv 1.44. */
#include "check.h"

int main(void) {
  char text[8];
  for (int error = 0; error > -4100; error--)
    if (error != -ENODATA && error != -EUNATCH && strstr(uv_err_name(error), "Unknown") == NULL)
      printf("%d %s %s\n", error, uv_err_name(error), uv_strerror(error));
  CHECK(UV_EOF == -4095 && UV_ECHARSET == -4080 && UV_EAI_AGAIN == -3001 && UV_ENOENT == -ENOENT);
  printf("%s, %s\n", uv_strerror(-12345), uv_err_name(54321));
  printf("%s, ", uv_strerror_r(UV_ENOENT, text, sizeof text));
  printf("%s, ", uv_err_name_r(UV_ENOENT, text, sizeof text));
  printf("%s\n", uv_strerror_r(-12345, text, sizeof text));
  printf("%d %d %d\n", uv_translate_sys_error(ENOENT), uv_translate_sys_error(0), uv_translate_sys_error(UV_ENOENT));
  return 0;
}
