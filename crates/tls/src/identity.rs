//! The identity of an end: a certificate, and the key that proves it.

use crate::pem;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys};

/// The cryptography of every connection: ring's.
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(ring::default_provider()));
    &PROVIDER
}

/// A certificate with its chain, and the private key that belongs to it.
///
/// It is checked when it is made: the key belongs to the certificate. An expired certificate is
/// accepted here, and rejected by the peer.
///
/// ```no_run
/// use oneloop::tls::Identity;
/// let identity = Identity::from_pem_files("fullchain.pem", "privkey.pem")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias("CertifiedKey", "Certificate", "PKCS12"))]
pub struct Identity {
    key: Arc<CertifiedKey>,
    /// Where the certificates and the key were read, for a reload.
    files: Option<Arc<(PathBuf, PathBuf)>>,
}

impl Identity {
    /// Reads a certificate, followed by those between it and the root, and its private key (PKCS#8,
    /// PKCS#1 or SEC1). Both may be in one file. It blocks until the files are read: see
    /// [`TlsAcceptor::reload`](crate::TlsAcceptor::reload) for a running server.
    ///
    /// # Errors
    /// Those of `open(2)` and `read(2)`; [`InvalidData`](io::ErrorKind::InvalidData) for a file
    /// without a certificate or key, or a key that does not belong to the certificate. The text
    /// names the file.
    #[doc(alias("rustls_pemfile", "load_certs"))]
    pub fn from_pem_files(
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> io::Result<Self> {
        Identity::read(certificates.as_ref(), key.as_ref())
    }

    fn read(certificates: &Path, key: &Path) -> io::Result<Self> {
        let names = (pem::name_of(certificates), pem::name_of(key));
        let texts = (pem::read(certificates)?, pem::read(key)?);
        let chain = pem::certificates(&names.0, &texts.0)?;
        let key_der = pem::private_key(&names.1, &texts.1)?;
        let key_of = certified(chain, key_der, (&names.0, &names.1))?;
        Ok(Identity {
            key: Arc::new(key_of),
            files: Some(Arc::new((certificates.to_owned(), key.to_owned()))),
        })
    }

    /// As [`Identity::from_pem_files`], of texts in memory.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData), as there.
    pub fn from_pem(certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> io::Result<Self> {
        let chain = pem::certificates("the certificates", certificates.as_ref())?;
        let key = pem::private_key("the key", key.as_ref())?;
        Identity::from_der(chain, key)
    }

    /// As [`Identity::from_pem_files`], of what rustls' own functions have read.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData), as there.
    pub fn from_der(
        certificates: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> io::Result<Self> {
        let key = certified(certificates, key, ("the certificates", "the key"))?;
        Ok(Identity {
            key: Arc::new(key),
            files: None,
        })
    }

    /// Reads the files of this identity again. One without files stays as it is. It blocks.
    ///
    /// # Errors
    /// As [`Identity::from_pem_files`].
    pub(crate) fn read_again(&self) -> io::Result<Self> {
        match self.files.as_deref() {
            Some((certificates, key)) => Identity::read(certificates, key),
            None => Ok(self.clone()),
        }
    }

    /// The certificates and the key, as rustls has them.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificates", &self.key.cert.len())
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

/// Joins certificates and a key of these names.
fn certified(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    (of_certificates, of_key): (&str, &str),
) -> io::Result<CertifiedKey> {
    let key = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|error| pem::invalid(of_key, error))?;
    let certified = CertifiedKey::new(certificates, key);
    match certified.keys_match() {
        // A key that does not tell its public half cannot be compared.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => Err(pem::invalid(
            of_key,
            format!("the key does not belong to the certificate in {of_certificates}"),
        )),
        Err(error) => Err(pem::invalid(of_certificates, error)),
    }
}
