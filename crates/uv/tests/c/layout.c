/* Sizes, and where the public fields are. */
#include "check.h"
#include <stddef.h>

#define SIZE(type) printf("%s %zu\n", #type, sizeof(type));
#define AT(type, field) printf("%s.%s at %zu\n", #type, #field, offsetof(type, field));
#define HANDLE(upper, lower) \
  printf("%s %d %zu %s\n", #lower, UV_##upper, sizeof(uv_##lower##_t), uv_handle_type_name(UV_##upper)); \
  CHECK(uv_handle_size(UV_##upper) == sizeof(uv_##lower##_t));
#define REQUEST(upper, lower) \
  printf("%s %d %zu %s\n", #lower, UV_##upper, sizeof(uv_##lower##_t), uv_req_type_name(UV_##upper)); \
  CHECK(uv_req_size(UV_##upper) == sizeof(uv_##lower##_t));

int main(void) {
  UV_HANDLE_TYPE_MAP(HANDLE)
  UV_REQ_TYPE_MAP(REQUEST)
  CHECK(uv_loop_size() == sizeof(uv_loop_t));
  CHECK(uv_handle_size((uv_handle_type)1000) == (size_t)-1 && uv_req_size((uv_req_type)0) == (size_t)-1);
  CHECK(uv_handle_type_name((uv_handle_type)1000) == NULL && uv_req_type_name((uv_req_type)0) == NULL);
  SIZE(uv_loop_t) SIZE(uv_buf_t) SIZE(uv_lib_t) SIZE(uv_stat_t) SIZE(uv_statfs_t) SIZE(uv_dirent_t)
  SIZE(uv_dir_t) SIZE(uv_env_item_t) SIZE(uv_passwd_t) SIZE(uv_utsname_t) SIZE(uv_cpu_info_t)
  SIZE(uv_interface_address_t) SIZE(uv_rusage_t) SIZE(uv_timeval64_t) SIZE(uv_thread_options_t)
  SIZE(uv_process_options_t) SIZE(uv_stdio_container_t) SIZE(uv_mutex_t) SIZE(uv_rwlock_t)
  SIZE(uv_sem_t) SIZE(uv_cond_t) SIZE(uv_barrier_t) SIZE(uv_key_t) SIZE(uv_once_t) SIZE(uv_thread_t)
  AT(uv_loop_t, data) AT(uv_loop_t, active_handles) AT(uv_loop_t, active_reqs) AT(uv_loop_t, stop_flag)
  AT(uv_handle_t, data) AT(uv_handle_t, loop) AT(uv_handle_t, type) AT(uv_handle_t, close_cb)
  AT(uv_handle_t, flags) AT(uv_stream_t, write_queue_size) AT(uv_stream_t, alloc_cb)
  AT(uv_stream_t, read_cb) AT(uv_pipe_t, ipc) AT(uv_udp_t, send_queue_size)
  AT(uv_udp_t, send_queue_count) AT(uv_poll_t, poll_cb) AT(uv_timer_t, timer_cb) AT(uv_timer_t, timeout)
  AT(uv_timer_t, repeat) AT(uv_async_t, async_cb) AT(uv_async_t, pending) AT(uv_process_t, exit_cb)
  AT(uv_process_t, pid) AT(uv_process_t, status) AT(uv_fs_event_t, path) AT(uv_fs_poll_t, poll_ctx)
  AT(uv_signal_t, signal_cb) AT(uv_signal_t, signum) AT(uv_req_t, data) AT(uv_req_t, type)
  AT(uv_connect_t, cb) AT(uv_connect_t, handle) AT(uv_shutdown_t, cb) AT(uv_shutdown_t, handle)
  AT(uv_write_t, cb) AT(uv_write_t, send_handle) AT(uv_write_t, handle) AT(uv_udp_send_t, cb)
  AT(uv_udp_send_t, handle) AT(uv_work_t, loop) AT(uv_work_t, work_cb) AT(uv_work_t, after_work_cb)
  AT(uv_getaddrinfo_t, loop) AT(uv_getaddrinfo_t, addrinfo) AT(uv_getnameinfo_t, loop)
  AT(uv_getnameinfo_t, host) AT(uv_getnameinfo_t, service) AT(uv_random_t, loop)
  AT(uv_random_t, status) AT(uv_random_t, buf) AT(uv_random_t, buflen) AT(uv_random_t, cb)
  AT(uv_fs_t, fs_type) AT(uv_fs_t, loop) AT(uv_fs_t, cb) AT(uv_fs_t, result) AT(uv_fs_t, ptr)
  AT(uv_fs_t, path) AT(uv_fs_t, statbuf) AT(uv_fs_t, new_path) AT(uv_fs_t, file) AT(uv_fs_t, flags)
  AT(uv_fs_t, mode) AT(uv_fs_t, nbufs) AT(uv_fs_t, bufs)
  AT(uv_process_options_t, args) AT(uv_process_options_t, stdio) AT(uv_process_options_t, gid)
  AT(uv_interface_address_t, is_internal) AT(uv_interface_address_t, address)
  AT(uv_interface_address_t, netmask) AT(uv_stat_t, st_birthtim) AT(uv_cpu_info_t, cpu_times)
  return 0;
}
