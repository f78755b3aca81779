//! Gives the shared library the name under which programs look for it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libuv.so.1");
    // A `dlclose` must not unmap code that threads of the pool and signal handlers still run.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
