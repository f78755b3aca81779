//! The identities in use, which a reload replaces.

use crate::identity::Identity;
use oneloop_core::{Class, Handle};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::client::{ResolvesClientCert, verify_server_name};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// A value that all threads see, and that one of them replaces.
#[derive(Debug)]
pub(crate) struct Replaceable<T>(RwLock<T>);

impl<T: Clone> Replaceable<T> {
    pub(crate) fn new(value: T) -> Self {
        Replaceable(RwLock::new(value))
    }

    pub(crate) fn get(&self) -> T {
        // Nothing panics under the lock, so a poisoned one has a whole value.
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set(&self, value: T) {
        let before = {
            let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, value)
        };
        drop(before); // not under the lock
    }
}

/// The identities of one end. A handshake takes one of them.
#[derive(Debug)]
pub(crate) struct Identities {
    current: Replaceable<Arc<[Identity]>>,
}

impl Identities {
    /// # Errors
    /// `InvalidInput` without an identity.
    pub(crate) fn new(identities: impl IntoIterator<Item = Identity>) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Identities {
            current: Replaceable::new(at_least_one(identities)?),
        }))
    }

    /// # Errors
    /// As [`Identities::new`]. Then the former identities stay.
    pub(crate) fn set(&self, identities: impl IntoIterator<Item = Identity>) -> io::Result<()> {
        self.current.set(at_least_one(identities)?);
        Ok(())
    }

    /// Reads all files again, on a thread for files. On an error all identities stay.
    pub(crate) async fn reload(self: &Arc<Self>) -> io::Result<()> {
        let identities = Arc::clone(self);
        let reading = Handle::current().offload_to(Class::Fs, move || {
            let current = identities.current.get();
            let again: io::Result<Vec<_>> = current.iter().map(Identity::read_again).collect();
            identities.set(again?)
        });
        reading.await?
    }
}

fn at_least_one(identities: impl IntoIterator<Item = Identity>) -> io::Result<Arc<[Identity]>> {
    let identities: Arc<[Identity]> = identities.into_iter().collect();
    if identities.is_empty() {
        let problem = "there is no identity: a server needs one";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    Ok(identities)
}

/// True if the certificate has this name.
fn has_name(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    key.end_entity_cert()
        .and_then(ParsedCertificate::try_from)
        .is_ok_and(|certificate| verify_server_name(&certificate, name).is_ok())
}

fn signs(key: &CertifiedKey, schemes: &[SignatureScheme]) -> bool {
    key.key.choose_scheme(schemes).is_some()
}

/// The first of the keys for that name which signs as the peer can check; without one, the first
/// that signs so; at worst the first of all.
fn chosen(
    identities: &[Identity],
    name: Option<&str>,
    schemes: &[SignatureScheme],
) -> Option<Arc<CertifiedKey>> {
    let keys = || identities.iter().map(Identity::certified_key);
    if let [only] = identities {
        return Some(Arc::clone(only.certified_key()));
    }
    let name = name.and_then(|name| ServerName::try_from(name).ok());
    let named =
        name.and_then(|name| keys().find(|key| has_name(key, &name) && signs(key, schemes)));
    let key = named
        .or_else(|| keys().find(|key| signs(key, schemes)))
        .or_else(|| keys().next());
    key.cloned()
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        chosen(&self.current.get(), hello.server_name(), schemes)
    }
}

impl ResolvesClientCert for Identities {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        chosen(&self.current.get(), None, schemes)
    }

    fn has_certs(&self) -> bool {
        true
    }
}
