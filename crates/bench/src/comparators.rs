//! The echo servers that `main` is measured against, each as a careful user of its tools writes it.

pub(crate) mod c;
pub(crate) mod go;
pub(crate) mod may;
pub(crate) mod mio;
pub(crate) mod python;
pub(crate) mod tokio;
