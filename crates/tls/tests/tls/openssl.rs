//! openssl at the other end.
