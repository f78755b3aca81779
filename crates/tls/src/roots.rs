//! What an end trusts: root certificates.

use crate::pem;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::RootCertStore;

/// The root certificates that a client trusts when it checks a server, or a server that asks its
/// clients for certificates. A clone shares them.
#[derive(Clone, Debug)]
#[doc(alias("CA", "RootCertStore", "webpki_roots", "cafile"))]
pub struct Roots {
    store: Arc<RootCertStore>,
}

impl Roots {
    /// The roots of this system, which its administrator maintains: those of `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`, or else of the distribution (`/etc/ssl/certs`). A file that cannot be read is
    /// skipped, unless there is no other. It blocks for some milliseconds: call it once, before the
    /// loop runs or in `offload`.
    ///
    /// There is no list of roots in the program itself: a system's own roots are missing there, and
    /// it would be as old as the program.
    ///
    /// ```
    /// use oneloop::tls::Roots;
    /// match Roots::system() {
    ///     Ok(roots) => println!("{} roots", roots.store().len()),
    ///     Err(error) => println!("{error}"), // a container without the package ca-certificates
    /// }
    /// ```
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if the system has no root certificates.
    #[doc(alias("native", "load_native_certs"))]
    pub fn system() -> io::Result<Self> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let reason = found.errors.first().map_or_else(
                || "is ca-certificates installed?".to_owned(),
                ToString::to_string,
            );
            let problem = format!("this system has no root certificates: {reason}");
            return Err(io::Error::new(io::ErrorKind::NotFound, problem));
        }
        Ok(Roots::from(store))
    }

    /// The roots in a file, such as those of an organization. It blocks.
    ///
    /// # Errors
    /// Those of `open(2)` and `read(2)`; [`InvalidData`](io::ErrorKind::InvalidData) for a file
    /// without certificates, or with one that cannot be a root. The text names the file.
    pub fn from_pem_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        Roots::of(&pem::name_of(path), &pem::read(path)?)
    }

    /// As [`Roots::from_pem_file`], of a text in memory.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData), as there.
    pub fn from_pem(text: impl AsRef<[u8]>) -> io::Result<Self> {
        Roots::of("the roots", text.as_ref())
    }

    fn of(name: &str, text: &[u8]) -> io::Result<Self> {
        let mut store = RootCertStore::empty();
        for certificate in pem::certificates(name, text)? {
            store
                .add(certificate)
                .map_err(|error| pem::invalid(name, error))?;
        }
        Ok(Roots::from(store))
    }

    /// The roots, as rustls has them.
    pub fn store(&self) -> &Arc<RootCertStore> {
        &self.store
    }
}

impl From<RootCertStore> for Roots {
    fn from(store: RootCertStore) -> Self {
        Roots {
            store: Arc::new(store),
        }
    }
}
