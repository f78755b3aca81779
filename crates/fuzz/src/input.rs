//! Reads the choices of a run from the bytes of its input.

/// The bytes that are left. Past their end, every choice is the first one, so that each prefix of
/// an input is an input as well, which keeps failures short.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Input(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub(crate) fn array<const LEN: usize>(&mut self) -> [u8; LEN] {
        std::array::from_fn(|_| self.byte())
    }

    /// A number below `end`, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    pub(crate) fn is(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Up to `max` bytes, of those that are left.
    pub(crate) fn bytes(&mut self, max: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(max.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}
