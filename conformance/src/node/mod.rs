//! The programs of `conformance/node`, by the names of their JavaScript twins.

mod abort;
mod children;
mod closed_dgrams;
mod destroyed_sockets;
mod destroyed_streams;
mod dgram;
mod emitter;
mod errors;
mod exits;
mod failures;
mod file_streams;
mod files;
mod http_clients;
mod http_raw;
mod http_servers;
mod lines;
mod lives;
mod names;
mod net_given;
mod order;
mod perf_hooks;
mod process;
mod promises;
mod servers;
mod slow_timers;
mod streams;
mod timers;
mod unix;

use crate::{Program, Suite};
use oneloop::Handle;
use oneloop::callback::IntoResult;
use oneloop::callback::net::{self, Error, Server, ServerOptions, Socket};
use std::time::Duration;

/// Names, and functions that return anything that callbacks may return.
macro_rules! programs {
    ($($name:literal: $program:path $(, in $time:ident)?;)*) => {
        &[$(($name, program!($program $(, in $time)?))),*]
    };
}

macro_rules! program {
    ($program:path) => {
        Program::Callback(|| $program().into_result())
    };
    ($program:path, in real_time) => {
        Program::CallbackInRealTime(|| $program().into_result())
    };
}

pub(crate) const PROGRAMS: Suite = programs! {
    "01_phases": order::phases;
    "03_tick_micro_interleave": order::tick_micro_interleave;
    "05_timer_in_timer": timers::timer_in_timer;
    "07_coalesce_lists_order": timers::coalesce_lists_order;
    "09_unref": process::unref;
    "09b_unref_only": process::unref_only;
    "11_uncaught": errors::uncaught;
    "13_close_order": net_given::close_order;
    "15_double_close": net_given::double_close;
    "17_halfopen": net_given::half_open;
    "19_errors": net_given::errors;
    "21_elu": perf_hooks::utilization_and_delay;
    "23_destroy_soon": net_given::destroy_soon;
    "25_http_close": net_given::http_close;
    "27_immediate_queue_snapshot": order::immediate_queue_snapshot;
    "29_accept_order": net_given::accept_order;
    "31_write_before_connect": net_given::write_before_connect;
    "33_timers_after_poll": net_given::timers_after_poll;
    "35_tick_throw": errors::tick_throw;
    "37_event_order_on_end": net_given::event_order_on_end;
    "39_accept_one_per_poll": net_given::accept_one_per_poll;
    "41_connect_error_order": net_given::connect_error_order;
    "43_keepalive_nodelay_defaults": net_given::keepalive_nodelay_defaults;
    "45_destroy_twice_write_after": net_given::destroy_twice_write_after;
    "51_throw_in_first_tick": errors::throw_in_first_tick;
    "52_throw_in_tick_of_timer": errors::throw_in_tick_of_timer;
    "53_throw_in_immediate": errors::throw_in_immediate;
    "54_throw_in_microtask": errors::throw_in_microtask;
    "55_before_exit": process::before_exit;
    "56_uncaught_ends": process::uncaught_ends;
    "57_throw_in_handler": process::throw_in_handler;
    "58_exit": process::exit_with_a_code;
    "59_interval_and_refresh": timers::interval_and_refresh;
    "60_async_functions": order::async_functions;
    "61_throwing_interval": errors::throwing_interval;
    "62_timers_after_check": order::timers_after_check;
    "63_clear_inside_the_list": timers::clear_inside_the_list;
    "64_ticks_before_microtasks_always": order::ticks_before_microtasks_always;
    "65_unref_then_ref": process::unref_then_ref;
    "66_backpressure": streams::backpressure;
    "67_cork": streams::cork;
    "68_pause_resume": streams::pause_resume;
    "69_readable": streams::readable;
    "70_read_bytes": streams::read_bytes;
    "71_pipe_echo": streams::pipe_echo;
    "72_unpipe": streams::unpipe;
    "73_socket_timeout": lives::socket_timeout;
    "74_timeout_off": lives::timeout_off;
    "75_max_connections": servers::max_connections;
    "76_get_connections": servers::get_connections;
    "77_unref": servers::unref;
    "78_socket_unref": lives::socket_unref;
    "79_unix": unix::unix;
    "80_unix_errors": unix::unix_errors;
    "81_server_ends_first": lives::server_ends_first;
    "82_destroy_in_data": streams::destroy_in_data;
    "83_closing_order": lives::closing_order;
    "84_throw_in_data": failures::throw_in_data;
    "85_unheard_error": failures::unheard_error;
    "86_unheard_error_exits": failures::unheard_error_exits;
    "87_write_callbacks": streams::write_callbacks;
    "88_end_twice": streams::end_twice;
    "89_destroy_pending": streams::destroy_pending;
    "90_emitter": emitter::emitter;
    "91_abort_signal": abort::signal;
    "92_abort_socket": abort::socket;
    "93_abort_server": abort::server;
    "94_abort_timers": abort::timers;
    "95_localhost": servers::localhost;
    "96_no_such_name": failures::no_such_name;
    "97_local_address": servers::local_address;
    "98_bytes": streams::bytes;
    "99_addresses": servers::addresses;
    "100_phases_of_a_turn": lives::phases_of_a_turn;
    "101_data_and_end_in_two_rounds": streams::data_and_end_in_two_rounds;
    "102_many_clients": servers::many_clients;
    "103_half_open_server": streams::half_open_server;
    "104_reset_while_reading": failures::reset_while_reading;
    "105_reconnect": lives::reconnect;
    "106_listen_again": servers::listen_again;
    "107_exit_in_data": process::exit_in_data;
    "108_sigterm": process::sigterm;
    "109_signal_handler": process::signal_handler;
    "110_resume_without_listener": streams::resume_without_listener;
    "111_late_data_listener": streams::late_data_listener;
    "112_destroy_while_connecting": lives::destroy_while_connecting;
    "113_end_while_connecting": streams::end_while_connecting;
    "114_pause_on_connect": streams::pause_on_connect;
    "115_close_waits": servers::close_waits;
    "116_high_water_mark": streams::high_water_mark;
    "117_destroy_soon": streams::destroy_soon;
    "118_sockets_and_promises": lives::sockets_and_promises;
    "119_immediate_in_io": lives::immediate_in_io;
    "120_shutdown_after_poll": streams::shutdown_after_poll;
    "121_timeout_in_order": timers::timeout_in_order;
    "122_next_tick_storm": order::next_tick_storm;
    "123_error_in_connection_handler": failures::error_in_connection_handler;
    "124_error_in_close_handler": failures::error_in_close_handler;
    "125_chat": servers::chat;
    "126_once_readable": streams::once_readable;
    "127_large_reads": unix::large_reads;
    "128_ref_while_held": lives::ref_while_held;
    "129_unref_and_close": lives::unref_and_close;
    "130_accepted_reads_last": lives::accepted_reads_last;
    "131_end_and_no_reset": unix::end_and_no_reset;
    "132_two_throwing_ticks": failures::two_throwing_ticks;
    "133_dgram_echo": dgram::echo;
    "134_dgram_connect": dgram::connect;
    "135_dgram_errors": dgram::errors;
    "136_dgram_queue": dgram::queue;
    "137_dgram_bind_error": dgram::bind_error;
    "138_dgram_burst": dgram::burst;
    "139_dgram_abort": dgram::abort;
    "140_dgram_unref": dgram::unref;
    "141_dgram_refused": dgram::refused;
    "142_fs_order": files::order;
    "143_fs_errors": files::errors;
    "144_fs_promises": files::promises;
    "145_fs_handle": files::handle;
    "146_fs_watch": files::watch;
    "149_dns_lookup": names::dns_lookup;
    "150_child_events": children::events;
    "151_child_not_found": children::not_found;
    "152_child_kill": children::kill;
    "153_exec": children::exec_and_exec_file;
    "154_exec_limits": children::exec_limits, in real_time;
    "155_child_abort": children::abort;
    "156_child_unref": children::unref;
    "157_child_half_closed": children::half_closed;
    "158_read_stream": file_streams::read_stream, in real_time;
    "159_write_stream": file_streams::write_stream;
    "160_file_stream_errors": file_streams::errors;
    "161_slow_timer": slow_timers::slow_timer;
    "162_slow_interval": slow_timers::slow_interval;
    "163_slow_timeouts": slow_timers::slow_timeouts;
    "164_slow_intervals": slow_timers::slow_intervals;
    "165_refreshed_list": slow_timers::refreshed_list;
    "166_refreshed_while_it_runs": slow_timers::refreshed_while_it_runs;
    "167_changed_by_a_tick": slow_timers::changed_by_a_tick;
    "168_throw_in_slow_timer": slow_timers::throw_in_slow_timer;
    "169_slow_promises": slow_timers::slow_promises;
    "170_cleared_meanwhile": slow_timers::cleared_meanwhile;
    "171_exit_in_a_microtask": exits::in_a_microtask;
    "172_exit_in_an_async_function": exits::in_an_async_function;
    "173_exit_in_a_tick": exits::in_a_tick;
    "174_exit_after_an_await": exits::after_an_await;
    "175_exit_within_exit": exits::within_exit;
    "176_code_within_exit": exits::code_within_exit;
    "177_throw_within_exit": exits::throw_within_exit;
    "178_throw_at_the_end": exits::throw_at_the_end;
    "179_throw_at_the_end_with_a_code": exits::throw_at_the_end_with_a_code;
    "180_throw_within_uncaught_exit": exits::throw_within_uncaught_exit;
    "181_heard_throw_within_exit": exits::handled_throw_within_exit;
    "182_exit_without_telling": exits::exit_without_telling;
    "183_rejected_exit": exits::rejected_exit;
    "184_exit_when_uncaught": exits::when_uncaught;
    "185_code_when_uncaught": exits::code_when_uncaught;
    "186_exit_within_uncaught_exit": exits::within_uncaught_exit;
    "187_exit_before_exit": exits::before_exit;
    "188_throw_before_exit": exits::throw_before_exit;
    "189_microtasks_at_the_end": exits::microtasks_at_the_end;
    "190_rejection_at_the_end": exits::rejection_at_the_end;
    "191_no_microtasks_after_exit": exits::no_microtasks_after_exit;
    "192_exit_in_main": exits::in_main;
    "193_exit_in_an_event": exits::in_an_event;
    "194_codes": exits::codes;
    "195_late_await": promises::late_await;
    "196_late_awaits": promises::late_awaits;
    "197_awaits_before": promises::awaits_before;
    "198_awaited_in_time": promises::awaited_in_time;
    "199_awaited_while_heard": promises::awaited_while_handled;
    "200_destroy_read_stream": destroyed_streams::read_stream;
    "201_destroy_write_stream": destroyed_streams::write_stream;
    "202_destroy_while_written": destroyed_streams::while_written;
    "203_unheard_stream_errors": destroyed_streams::unheard_errors;
    "204_destroy_piped": destroyed_streams::piped;
    "205_destroy_socket": destroyed_sockets::socket;
    "206_destroy_child_pipe": destroyed_sockets::child_pipe;
    "207_end_after_destroy": destroyed_streams::end_after_destroy;
    "208_dgram_close": closed_dgrams::close;
    "209_resume_and_pause": destroyed_streams::resume_and_pause;
    "210_read_by_calls": destroyed_streams::read_by_calls;
    "211_finish_of_a_file": destroyed_streams::finish_of_a_file;
    "212_lines": lines::lines;
    "213_http_hello": http_servers::hello;
    "214_http_events": http_servers::events;
    "215_http_keep_alive": http_servers::keep_alive;
    "216_http_pipelining": http_servers::pipelining;
    "217_http_chunked": http_servers::chunked;
    "218_http_aborted": http_servers::aborted;
    "219_http_close": http_servers::close;
    "220_http_close_all": http_servers::close_all;
    "221_http_expect": http_servers::expect;
    "222_http_errors": http_servers::errors;
    "223_http_timeouts": http_servers::timeouts;
    "224_http_heads": http_servers::heads;
    "225_http_back_pressure": http_servers::back_pressure;
    "226_http_unread_body": http_servers::unread_body;
    "227_http_pipe": http_servers::pipe;
    "228_http_upgrade": http_servers::upgrade;
    "229_http_thrown": http_servers::thrown;
    "230_http_limits": http_servers::limits;
    "231_http_get": http_clients::get;
    "232_http_post": http_clients::posts;
    "233_http_agent": http_clients::agents;
    "234_http_client_errors": http_clients::errors;
    "235_http_client_timeout": http_clients::timeouts;
    "236_http_client_expect": http_clients::expect;
    "237_http_client_upgrade": http_clients::upgrade;
    "238_http_proxy": http_clients::proxy;
    "239_http_unread_response": http_clients::unread_response;
};

/// For a callback that returns nothing.
fn discard<T>(_: T) {}

/// `net.createServer(…).listen(0,'127.0.0.1')`
fn serve<O: IntoResult>(on_connection: impl Fn(Socket) -> O + 'static) -> Result<Server, Error> {
    serve_with(ServerOptions::default(), on_connection)
}

/// The same, with options.
fn serve_with<O: IntoResult>(
    options: ServerOptions,
    on_connection: impl Fn(Socket) -> O + 'static,
) -> Result<Server, Error> {
    net::create_server_with(options, on_connection).listen(("127.0.0.1", 0))
}

/// `net.connect(s.address().port,'127.0.0.1')`
fn connect(server: &Server) -> Result<Socket, Error> {
    net::connect(("127.0.0.1", server.port().expect("the server listens")))
}

/// `s.close()` in a listener of one of its connections.
fn close_server(c: &Socket) {
    c.server().expect("a server accepted it").close();
}

/// `String(d)`
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `const t=Date.now();while(Date.now()-t<ms);`
fn compute_for(ms: u64) {
    Handle::current().clock().advance(Duration::from_millis(ms));
}

/// A function that prints a line.
fn say(line: &'static str) -> impl Fn() {
    move || println!("{line}")
}

/// A function that throws, as `throw new Error(message)`.
fn throw(message: &'static str) -> impl Fn() -> Result<(), &'static str> {
    move || Err(message)
}
