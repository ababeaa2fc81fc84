//! The list of common rows that a host is told: for each bucket of a round how many there are, and their places in its answer,
//! each as the difference to the one before.
//!
//! At the first host places rise, by two on average where half of all ids are common, so that a byte a row is enough instead of
//! eight. Numbers are written seven bits a byte, the lowest first, the highest bit telling that more follow; a difference is
//! doubled, and less one for those below zero.

use tributary_core::{Error, ErrorKind, Result};

/// Rows of a round, at most, repeated ones counted: half a gigabyte of places.
const MOST_ROWS: u64 = 1 << 27;

/// Bytes of a number, at most.
const NUMBER_BYTES: u32 = 10;

/// The list in the making.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// The places of the next bucket.
    pub(crate) fn bucket(&mut self, places: &[u64]) {
        self.number(places.len() as u64);
        let mut last = 0;
        for place in places {
            let difference = place.wrapping_sub(last) as i64;
            self.number(((difference << 1) ^ (difference >> 63)) as u64);
            last = *place;
        }
    }

    fn number(&mut self, mut number: u64) {
        while number >= 1 << 7 {
            self.bytes.push(number as u8 | 1 << 7);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// The rows of a bucket that were chosen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Their places, four bytes each.
    pub places: Vec<u8>,
    /// How many different ones there are.
    pub different: u64,
}

/// Takes a list apart as its bytes come: nothing of it is held but places.
pub(crate) struct Reader {
    buckets: Vec<Chosen>,
    seen: Vec<bool>,
    wanted: usize,
    left: Option<u64>,
    room: u64,
    last: u64,
    number: u64,
    bits: u32,
}

impl Reader {
    /// Of so many buckets, each of a capacity.
    pub(crate) fn new(buckets: usize, capacity: usize) -> Self {
        let seen = vec![false; capacity];
        Self {
            buckets: Vec::new(),
            seen,
            wanted: buckets,
            left: None,
            room: MOST_ROWS,
            last: 0,
            number: 0,
            bits: 0,
        }
    }

    /// `Corrupt` for a place that is in no answer, or more than expected.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        for byte in bytes {
            let bits = u64::from(byte & !(1 << 7));
            if self.bits / 7 >= NUMBER_BYTES {
                return Err(wrong("a number of too many bytes"));
            }
            self.number |= bits.wrapping_shl(self.bits);
            self.bits += 7;
            if byte >> 7 == 0 {
                let number = self.number;
                (self.number, self.bits) = (0, 0);
                self.take(number)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, number: u64) -> Result<()> {
        let full = self.buckets.len() == self.wanted;
        match (self.left, self.buckets.last_mut()) {
            (Some(left), Some(chosen)) if left > 0 => {
                let difference = (number >> 1) as i64 ^ -((number & 1) as i64);
                let place = self.last.wrapping_add(difference as u64);
                let seen = self.seen.get_mut(usize::try_from(place).unwrap_or(usize::MAX));
                let seen = seen.ok_or_else(|| wrong("a row that does not exist"))?;
                chosen.different += u64::from(!*seen);
                *seen = true;
                chosen.places.extend_from_slice(&(place as u32).to_le_bytes());
                (self.last, self.left) = (place, Some(left - 1));
                Ok(())
            }
            _ if full => Err(wrong("more buckets than were asked about")),
            _ if number > self.room => Err(wrong("more rows than can be")),
            _ => {
                self.room -= number;
                self.buckets.push(Chosen::default());
                self.seen.fill(false);
                (self.last, self.left) = (0, Some(number));
                Ok(())
            }
        }
    }

    /// The rows of each bucket. `Corrupt` for a list that is not complete.
    pub(crate) fn finish(self) -> Result<Vec<Chosen>> {
        match (self.left, self.bits) {
            (Some(0), 0) if self.buckets.len() == self.wanted => Ok(self.buckets),
            _ => Err(wrong("a list that ends too early")),
        }
    }
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{what}, expected chosen rows"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], buckets: usize, capacity: usize, step: usize) -> Result<Vec<Chosen>> {
        let mut reader = Reader::new(buckets, capacity);
        bytes.chunks(step).try_for_each(|bytes| reader.add(bytes))?;
        reader.finish()
    }

    #[test]
    fn places_come_back_however_bytes_are_cut() {
        let buckets: [&[u64]; 4] = [&[0, 2, 2, 5, 299], &[], &[299, 0, 150, 150, 1], &[7]];
        let mut writer = Writer::default();
        buckets.iter().for_each(|places| writer.bucket(places));
        let bytes = writer.finish();
        for step in 1..8 {
            let read = read(&bytes, 4, 300, step).unwrap();
            let places = |chosen: &Chosen| {
                let (places, _) = chosen.places.as_chunks::<4>();
                places.iter().map(|place| u64::from(u32::from_le_bytes(*place))).collect::<Vec<_>>()
            };
            assert_eq!(read.iter().map(places).collect::<Vec<_>>(), buckets);
            assert_eq!(read.iter().map(|chosen| chosen.different).collect::<Vec<_>>(), [4, 0, 4, 1]);
        }
    }

    #[test]
    fn rising_places_take_a_byte_each() {
        let mut writer = Writer::default();
        writer.bucket(&(0..1_000).map(|i| 2 * i).collect::<Vec<_>>());
        assert_eq!(writer.finish().len(), 1_002);
    }

    #[test]
    fn lists_of_no_honest_guest_are_refused() {
        let list = |places: &[u64]| {
            let mut writer = Writer::default();
            writer.bucket(places);
            writer.finish()
        };
        assert!(read(&list(&[300]), 1, 300, 1).is_err(), "beyond the answer");
        assert!(read(&list(&[u64::MAX]), 1, 300, 1).is_err());
        assert!(read(&list(&[1]), 2, 300, 1).is_err(), "too few buckets");
        assert!(read(&[list(&[1]), list(&[])].concat(), 1, 300, 1).is_err(), "too many");
        assert!(read(&list(&[1, 2])[..2], 1, 300, 1).is_err(), "cut");
        assert!(read(&[], 1, 300, 1).is_err());
        assert!(read(&[0xff; 20], 1, 300, 1).is_err(), "a number without end");
        assert!(read(&[0x80, 0x80, 0x80, 0x80, 1], 1, 300, 1).is_err(), "too many rows");
        assert_eq!(read(&[0], 1, 0, 1).unwrap(), [Chosen::default()]);
    }
}
