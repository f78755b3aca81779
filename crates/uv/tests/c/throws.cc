// A C++ exception passes through a run.
#include <cstdio>
#include <stdexcept>
#include <uv.h>

int main() {
  uv_loop_t loop;
  uv_timer_t timer;
  uv_loop_init(&loop);
  uv_timer_init(&loop, &timer);
  uv_timer_start(&timer, [](uv_timer_t*) { throw std::runtime_error("thrown in a callback"); }, 0, 0);
  try {
    uv_run(&loop, UV_RUN_DEFAULT);
  } catch (const std::exception& error) {
    std::puts(error.what());
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
  std::printf("run %d\n", uv_run(&loop, UV_RUN_DEFAULT));
  std::printf("close %d\n", uv_loop_close(&loop));
}
