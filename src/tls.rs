//! TLS towards servers that are no HTTP servers (mailboxes, submission): whom we trust.
//!
//! In: perhaps a file with certificates of the operator's own authority. Out: a set-up that verifies the server's
//! certificate and its name, always; there is no way to switch that off.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// The operator's file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("the certificates in {path} cannot be read ({cause}); write them there as PEM")]
    Unreadable { path: PathBuf, cause: String },
    #[error("{0} holds no certificate; write the authority's certificate there as PEM")]
    Empty(PathBuf),
    #[error("TLS cannot be set up: {0}")]
    Unusable(String),
}

/// Trusts the public authorities, those of the operating system, and those in `ca_file`. Reads files: blocking.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // What the operating system has besides, and can be read of it; the public ones are there in any case.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        add(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| TlsError::Unusable(error.to_string()))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let unreadable = |cause: String| TlsError::Unreadable { path: path.to_owned(), cause };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
    let mut count = 0;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        count += 1;
    }
    if count == 0 { Err(TlsError::Empty(path.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_certificates_is_read_or_its_mistake_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        assert!(matches!(client_config(Some(&path)), Err(TlsError::Unreadable { .. })));
        std::fs::write(&path, "no certificate\n").expect("written");
        assert!(matches!(client_config(Some(&path)), Err(TlsError::Empty(_))));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").expect("written");
        assert!(matches!(client_config(Some(&path)), Err(TlsError::Unreadable { .. })));
        assert!(client_config(None).is_ok());
    }
}
