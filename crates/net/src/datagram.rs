//! What is told of a datagram that was received, of whatever family.

/// What was received of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Datagram {
    /// How many bytes are in the buffer; an empty datagram has none, and is no end of anything.
    pub bytes: usize,
    /// How many bytes were sent. If these are more, the buffer was too short, and the rest is gone.
    pub sent_bytes: usize,
    /// With [`set_gro`](crate::UdpSocket::set_gro), the kernel may have joined several datagrams of
    /// one sender: each is so long, but for the last one, which may be shorter. See
    /// [`Datagram::segments`].
    pub segment_bytes: Option<usize>,
}

impl Datagram {
    /// One of `sent_bytes`, received into a buffer of `bytes_max`.
    pub(crate) fn received(sent_bytes: usize, bytes_max: usize) -> Self {
        Datagram {
            bytes: sent_bytes.min(bytes_max),
            sent_bytes,
            segment_bytes: None,
        }
    }

    /// True if the buffer was too short for it.
    pub fn is_truncated(&self) -> bool {
        self.bytes < self.sent_bytes
    }

    /// The datagrams that were sent, out of the buffer that they were received into: mostly this
    /// one.
    ///
    /// # Panics
    /// For a buffer that is shorter than what was received.
    pub fn segments<'a>(&self, buf: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = &buf[..self.bytes];
        let segment_bytes = self.segment_bytes.unwrap_or(bytes.len()).max(1);
        let empty = bytes.is_empty().then_some(bytes); // no chunk, but a datagram
        empty.into_iter().chain(bytes.chunks(segment_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_the_datagrams_that_were_sent() {
        let joined = Datagram {
            segment_bytes: Some(3),
            ..Datagram::received(8, 100)
        };
        let buf = b"abcdefgh and what was there before";
        let segments: Vec<_> = joined.segments(buf).collect();
        assert_eq!(segments, [&b"abc"[..], b"def", b"gh"]);
        let one: Vec<_> = Datagram::received(8, 5).segments(buf).collect();
        assert_eq!(one, [b"abcde"]);
        let empty: Vec<_> = Datagram::received(0, 5).segments(buf).collect();
        assert_eq!(empty, [b""]);
    }
}
