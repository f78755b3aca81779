//! How directories are made, and how anything is removed.

/// How [`mkdir_with`](super::mkdir_with) makes a directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct MkdirOptions {
    /// Makes missing parents as well; the directory may exist.
    pub recursive: bool,
}

/// How [`rm_with`](super::rm_with) removes something.
#[derive(Clone, Copy, Debug, Default)]
pub struct RmOptions {
    /// Removes a directory with everything in it.
    pub recursive: bool,
    /// A path that does not exist is no error.
    pub force: bool,
}
