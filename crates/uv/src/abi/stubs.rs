//! The functions of libuv that are not here yet: each names itself on stderr and aborts.

use super::message::abort_with;

macro_rules! stubs {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> ! {
            abort_with(concat!("oneloop: ", stringify!($name), " is not implemented yet"))
        }
    )*};
}

stubs! {
    uv_fs_access uv_fs_chmod uv_fs_chown uv_fs_close uv_fs_closedir uv_fs_copyfile uv_fs_fchmod
    uv_fs_fchown uv_fs_fdatasync uv_fs_fstat uv_fs_fsync uv_fs_ftruncate uv_fs_futime uv_fs_get_path
    uv_fs_get_ptr uv_fs_get_result uv_fs_get_statbuf uv_fs_get_system_error uv_fs_get_type
    uv_fs_lchown uv_fs_link uv_fs_lstat uv_fs_lutime uv_fs_mkdir uv_fs_mkdtemp uv_fs_mkstemp
    uv_fs_open uv_fs_opendir uv_fs_read uv_fs_readdir uv_fs_readlink uv_fs_realpath uv_fs_rename
    uv_fs_req_cleanup uv_fs_rmdir uv_fs_scandir uv_fs_scandir_next uv_fs_sendfile uv_fs_stat
    uv_fs_statfs uv_fs_symlink uv_fs_unlink uv_fs_utime uv_fs_write uv_metrics_idle_time
    uv_metrics_info uv_udp_bind uv_udp_connect uv_udp_get_send_queue_count
    uv_udp_get_send_queue_size uv_udp_getpeername uv_udp_getsockname uv_udp_init uv_udp_init_ex
    uv_udp_open uv_udp_open_ex uv_udp_recv_start uv_udp_recv_stop uv_udp_send uv_udp_set_broadcast
    uv_udp_set_membership uv_udp_set_multicast_interface uv_udp_set_multicast_loop
    uv_udp_set_multicast_ttl uv_udp_set_source_membership uv_udp_set_ttl uv_udp_try_send
    uv_udp_try_send2 uv_udp_using_recvmmsg
}
