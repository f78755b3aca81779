//! Certificates and keys in PEM, with errors that name the file.

use std::fs;
use std::io;
use std::path::Path;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What is wrong with an input, which has a name.
pub(crate) fn invalid(name: &str, problem: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{name}: {problem}"))
}

/// The name of a file in errors.
pub(crate) fn name_of(path: &Path) -> String {
    path.display().to_string()
}

/// Reads a file. It blocks.
///
/// # Errors
/// Those of `open(2)` and `read(2)`, with the path.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// The certificates in a text, at least one.
pub(crate) fn certificates(name: &str, text: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let certificates = certificates.map_err(|error| invalid(name, said(error)))?;
    if certificates.is_empty() {
        return Err(invalid(name, "there is no CERTIFICATE in PEM"));
    }
    Ok(certificates)
}

/// The first private key in a text.
pub(crate) fn private_key(name: &str, text: &[u8]) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(text) => {
            invalid(name, "the private key is encrypted: decrypt it first")
        }
        pem::Error::NoItemsFound => invalid(name, "there is no PRIVATE KEY in PEM"),
        error => invalid(name, said(error)),
    })
}

fn is_encrypted(text: &[u8]) -> bool {
    let line = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    text.windows(line.len()).any(|window| window == line)
}

/// The error as text: its own prints lines of the file as lists of numbers.
fn said(error: pem::Error) -> String {
    let text = |line: &[u8]| String::from_utf8_lossy(line).trim().to_owned();
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("the line -----END {}----- is missing", text(&end_marker))
        }
        pem::Error::IllegalSectionStart { line } => {
            format!("the line {:?} begins no section", text(&line))
        }
        error => error.to_string(),
    }
}
