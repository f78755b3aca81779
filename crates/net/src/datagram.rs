//! The lengths of a received datagram, for all families.

/// The lengths of a received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Datagram {
    /// The number of bytes in the buffer. An empty datagram has 0, which does not mean an end.
    pub bytes: usize,
    /// The number of bytes that were sent. If it is larger than `bytes`, the buffer was too short,
    /// and the other bytes are lost.
    pub sent_bytes: usize,
    /// The size of each joined datagram in bytes, except the last one, which may be shorter: with
    /// [`set_gro`](crate::UdpSocket::set_gro) the kernel may join several datagrams of one sender.
    /// See [`Datagram::segments`].
    pub segment_bytes: Option<usize>,
}

impl Datagram {
    /// A datagram of `sent_bytes`, received into a buffer of `bytes_max`.
    pub(crate) fn received(sent_bytes: usize, bytes_max: usize) -> Self {
        Datagram {
            bytes: sent_bytes.min(bytes_max),
            sent_bytes,
            segment_bytes: None,
        }
    }

    /// True if the buffer was too short for the datagram.
    pub fn is_truncated(&self) -> bool {
        self.bytes < self.sent_bytes
    }

    /// The datagrams that were sent, as parts of the receive buffer: one, unless the kernel has
    /// joined several.
    ///
    /// # Panics
    /// For a buffer that is shorter than the received bytes.
    pub fn segments<'a>(&self, buf: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let bytes = &buf[..self.bytes];
        let segment_bytes = self.segment_bytes.unwrap_or(bytes.len()).max(1);
        // `chunks` yields nothing for an empty slice, which is a datagram all the same.
        let empty = bytes.is_empty().then_some(bytes);
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
