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
    uv_metrics_idle_time uv_metrics_info uv_udp_bind uv_udp_connect uv_udp_get_send_queue_count
    uv_udp_get_send_queue_size uv_udp_getpeername uv_udp_getsockname uv_udp_init uv_udp_init_ex
    uv_udp_open uv_udp_open_ex uv_udp_recv_start uv_udp_recv_stop uv_udp_send uv_udp_set_broadcast
    uv_udp_set_membership uv_udp_set_multicast_interface uv_udp_set_multicast_loop
    uv_udp_set_multicast_ttl uv_udp_set_source_membership uv_udp_set_ttl uv_udp_try_send
    uv_udp_try_send2 uv_udp_using_recvmmsg
}
