//! The echo servers that `main` is measured against, each as a careful user of its tools writes it.

pub(crate) mod c;
pub(crate) mod mio;
pub(crate) mod tokio;
