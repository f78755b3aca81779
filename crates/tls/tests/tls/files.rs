//! Certificates and keys in files, and their reload.

use crate::harness::{Made, block_on, both};
use oneloop::aio::{UnixStream, yield_now};
use oneloop::signal::SIGHUP;
use oneloop::tls::rustls::HandshakeKind;
use oneloop::tls::{ClientOptions, Identity, Roots, ServerOptions, TlsAcceptor};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{fs, io};

/// The files of a server.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn of(made: &Made) -> Self {
        let files = Files {
            folder: tempfile::tempdir().unwrap(),
        };
        files.write(made);
        files
    }

    fn write(&self, made: &Made) {
        fs::write(self.path("cert.pem"), &made.certificate).unwrap();
        fs::write(self.path("key.pem"), &made.key).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn identity(&self) -> io::Result<Identity> {
        Identity::from_pem_files(self.path("cert.pem"), self.path("key.pem"))
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::new([self.identity().unwrap()], ServerOptions::default()).unwrap()
    }
}

/// True if the acceptor shows this certificate.
async fn shows(acceptor: &TlsAcceptor, made: &Made) -> bool {
    let connector = made.connector(ClientOptions::default());
    let (client, _server) = both(&connector, acceptor, UnixStream::pair().unwrap()).await;
    client.is_ok()
}

#[test]
fn a_file_that_does_not_load_is_named_with_the_reason() {
    let made = Made::of(&["localhost"]);
    let files = Files::of(&made);
    let problem = |certificate: &str, key: &str| {
        fs::write(files.path("cert.pem"), certificate).unwrap();
        fs::write(files.path("key.pem"), key).unwrap();
        let error = files.identity().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let folder = format!("{}/", files.folder.path().display());
        error.to_string().replace(&folder, "")
    };
    let (certificate, key) = (&made.certificate, &made.key);
    let other = Made::of(&["localhost"]);
    assert_eq!(problem("", key), "cert.pem: there is no CERTIFICATE in PEM");
    assert_eq!(
        problem(key, key),
        "cert.pem: there is no CERTIFICATE in PEM"
    );
    assert_eq!(
        problem(certificate, certificate),
        "key.pem: there is no PRIVATE KEY in PEM"
    );
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(
        problem(certificate, &encrypted),
        "key.pem: the private key is encrypted: decrypt it first"
    );
    assert_eq!(
        problem(certificate, &other.key),
        "key.pem: the key does not belong to the certificate in cert.pem"
    );
    let cut = &certificate[..certificate.len() / 2];
    assert_eq!(
        problem(cut, key),
        "cert.pem: the line -----END CERTIFICATE----- is missing"
    );
    let begins = "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n";
    assert!(problem(begins, key).starts_with("cert.pem: base64 decode error: "));
    let no_certificate = "-----BEGIN CERTIFICATE-----\ndGVh\n-----END CERTIFICATE-----\n";
    assert!(problem(no_certificate, key).starts_with("cert.pem: invalid peer certificate: "));
    let no_key = "-----BEGIN PRIVATE KEY-----\ndGVh\n-----END PRIVATE KEY-----\n";
    assert!(problem(certificate, no_key).starts_with("key.pem: "));

    let missing = Identity::from_pem_files("/no/such/cert.pem", files.path("key.pem"));
    let error = missing.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "/no/such/cert.pem: No such file or directory (os error 2)"
    );
    let error = Roots::from_pem_file(files.path("key.pem")).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("key.pem: there is no CERTIFICATE in PEM")
    );
    let error = Roots::from_pem("-----BEGIN CERTIFICATE-----\ndGVh\n-----END CERTIFICATE-----\n");
    assert!(error.unwrap_err().to_string().starts_with("the roots: "));
}

#[test]
fn a_certificate_and_its_key_may_share_a_file() {
    let made = Made::of(&["localhost"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.pem");
    fs::write(&path, made.key.clone() + &made.certificate).unwrap();
    Identity::from_pem_files(&path, &path).unwrap();
}

#[test]
fn a_reload_is_for_new_handshakes_and_connections_go_on() {
    let (old, new) = (Made::of(&["localhost"]), Made::of(&["localhost"]));
    let files = Files::of(&old);
    block_on(async {
        let acceptor = files.acceptor();
        let connector = old.connector(ClientOptions::default());
        let ends = both(&connector, &acceptor, UnixStream::pair().unwrap()).await;
        let (client, server) = (ends.0.unwrap(), ends.1.unwrap());
        files.write(&new);
        assert!(shows(&acceptor, &old).await, "not yet");
        acceptor.reload().await.unwrap();
        assert!(shows(&acceptor, &new).await);
        assert!(!shows(&acceptor, &old).await);
        client.write_all(b"tea").await.unwrap();
        server.read_exact(&mut [0; 3]).await.unwrap();
        // The tickets stay valid: the client that has seen the former certificate resumes.
        server.write_all(b"tea").await.unwrap();
        client.read_exact(&mut [0; 3]).await.unwrap();
        let (again, _server) = both(&connector, &acceptor, UnixStream::pair().unwrap()).await;
        assert_eq!(
            again.unwrap().handshake_kind(),
            Some(HandshakeKind::Resumed)
        );

        acceptor.set_identities([old.identity()]).unwrap();
        assert!(shows(&acceptor, &old).await);
    });
}

#[test]
fn the_former_certificate_stays_if_the_new_one_does_not_load() {
    let (old, new) = (Made::of(&["localhost"]), Made::of(&["localhost"]));
    let files = Files::of(&old);
    let acceptor = files.acceptor();
    let break_by: [fn(&Files, &Made); 3] = [
        |files, new| fs::write(files.path("cert.pem"), &new.certificate).unwrap(), // not the key
        |files, _new| fs::remove_file(files.path("key.pem")).unwrap(),
        |files, _new| fs::write(files.path("cert.pem"), "").unwrap(),
    ];
    block_on(async {
        for (breaks, reason) in break_by
            .iter()
            .zip(["does not belong", "No such file", "no CERT"])
        {
            files.write(&old);
            breaks(&files, &new);
            let problem = acceptor.reload().await.unwrap_err().to_string();
            assert!(
                problem.contains(reason) && problem.contains(".pem: "),
                "{problem}"
            );
            assert!(shows(&acceptor, &old).await, "{problem}");
        }
        let error = acceptor.set_identities([]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(shows(&acceptor, &old).await);

        let of_config = TlsAcceptor::from_config(acceptor.config(), std::time::Duration::MAX);
        let error = of_config.reload().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        of_config.set_config(new.acceptor(ServerOptions::default()).config());
        assert!(shows(&of_config, &new).await);
    });
    assert!(TlsAcceptor::new([], ServerOptions::default()).is_err());
}

#[test]
fn a_signal_reloads_and_each_result_is_reported() {
    let (old, new) = (Made::of(&["localhost"]), Made::of(&["localhost"]));
    let files = Files::of(&old);
    block_on(async {
        let acceptor = files.acceptor();
        let reports = Rc::new(RefCell::new(Vec::new()));
        let reloading = acceptor.reload_on(&[SIGHUP], {
            let reports = Rc::clone(&reports);
            move |reloaded| {
                reports
                    .borrow_mut()
                    .push(reloaded.map_err(|error| error.kind()))
            }
        });
        let hang_up = async |expected| {
            let process = rustix::process::getpid();
            rustix::process::kill_process(process, rustix::process::Signal::HUP).unwrap();
            while reports.borrow().is_empty() {
                yield_now().await;
            }
            assert_eq!(reports.take(), [expected]);
        };
        files.write(&new);
        hang_up(Ok(())).await;
        assert!(shows(&acceptor, &new).await);
        fs::remove_file(files.path("key.pem")).unwrap();
        hang_up(Err(ErrorKind::NotFound)).await;
        assert!(shows(&acceptor, &new).await);
        reloading.unwrap().cancel();
    });
}

#[test]
fn the_roots_of_the_system_are_found_where_ca_certificates_is_installed() {
    let is_installed = Path::new("/etc/ssl/certs/ca-certificates.crt").exists();
    match Roots::system() {
        Ok(roots) => assert!(!roots.store().is_empty()),
        Err(error) if is_installed => panic!("{error}"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            eprintln!("skipped: ca-certificates is not installed");
        }
    }
}
