//! TLS on the loop, against rustls at the other end and against openssl.

mod bad_input;
mod chaos;
mod ends;
mod files;
mod handshakes;
mod harness;
mod openssl;
mod styles;
