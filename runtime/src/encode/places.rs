//! From an address to the location it was given: what the encoder does thirty times a sample.
use std::collections::BTreeMap;

use prost::encoding::{encode_varint, encoded_len_varint};

/// A location's id as it is written: the bytes from the lowest on, their number in the top one. Never 0.
///
/// Ids stay below 2^28 for want of memory.
#[derive(Clone, Copy, Default)]
pub(super) struct Varint(u64);

impl Varint {
    pub(super) fn new(id: u64) -> Varint {
        let mut bytes = [0; 8];
        let len = encoded_len_varint(id).min(4);
        encode_varint(id, &mut &mut bytes[..]);
        Varint(u64::from_le_bytes(bytes) & 0xffff_ffff | ((len as u64) << 56))
    }

    /// Writes it at `end`, and says where it ends. Four bytes are touched whatever its length: no branch.
    #[inline]
    pub(super) fn write(self, body: &mut [u8], end: usize) -> usize {
        body[end..end + 4].copy_from_slice(&(self.0 as u32).to_le_bytes());
        end + (self.0 >> 56) as usize
    }
}

/// Addresses and the locations they were given, for 30 look-ups a sample.
///
/// A hash table of small buckets: all of a bucket is compared without a branch, since which of its places matches
/// no processor can guess. Full buckets pass what they cannot take to the next one.
pub(super) struct Places {
    buckets: Vec<Bucket>,
    used: usize,
    /// That of the address `FREE`.
    odd: Option<Varint>,
    /// What the leaf side of stacks begins with; few.
    pub(super) cuts: Cuts,
}

const WAYS: usize = 4;
/// What stands where no address does. The one address that is equal to it is kept apart, or free places would match.
const FREE: u64 = u64::MAX;

/// A cache line. Places are filled from the first on; a free one has a varint without length.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    addresses: [u64; WAYS],
    varints: [Varint; WAYS],
}

type Cuts = BTreeMap<u64, Cut>;

/// What of an address is left out where it begins a stack.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    None,
    /// So many of the innermost functions; and the location without them, once it is there.
    Some(usize, Option<Varint>),
    All,
}

impl Bucket {
    const EMPTY: Bucket = Bucket { addresses: [FREE; WAYS], varints: [Varint(0); WAYS] };
}

impl Places {
    pub(super) const EMPTY: Places = Places { buckets: Vec::new(), used: 0, odd: None, cuts: Cuts::new() };

    pub(super) fn new() -> Places {
        Places { buckets: vec![Bucket::EMPTY; 1 << 8], ..Places::EMPTY }
    }

    #[inline]
    fn bucket(buckets: &[Bucket], address: u64) -> usize {
        // The upper half of the product depends on all lower bits of the address.
        (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (buckets.len() - 1)
    }

    #[inline]
    pub(super) fn find(&self, address: u64) -> Option<Varint> {
        if address == FREE {
            return self.odd;
        }
        let mut at = Places::bucket(&self.buckets, address);
        loop {
            let bucket = &self.buckets[at];
            // Arithmetic, for the compiler would make branches of anything else.
            let is = |way: usize| usize::from(bucket.addresses[way] == address);
            let way = is(1) + 2 * is(2) + 3 * is(3);
            let found = bucket.varints[way];
            if bucket.addresses[way] == address {
                return Some(found);
            }
            if bucket.varints[WAYS - 1].0 == 0 {
                return None;
            }
            at = (at + 1) & (self.buckets.len() - 1);
        }
    }

    /// Writes the ids of `addresses` up to the first that has none: how many those are, and where they end.
    /// A loop of its own, for it is where the time goes.
    #[inline(never)]
    pub(super) fn write(&self, addresses: &[u64], body: &mut [u8], mut end: usize) -> (usize, usize) {
        for (known, &address) in addresses.iter().enumerate() {
            let Some(varint) = self.find(address) else { return (known, end) };
            end = varint.write(body, end);
        }
        (addresses.len(), end)
    }

    pub(super) fn insert(&mut self, address: u64, varint: Varint) {
        if address == FREE {
            self.odd = Some(varint);
            return;
        }
        // A third full: then one bucket in a hundred is.
        if self.used * 3 >= self.buckets.len() * WAYS {
            let mut wider = vec![Bucket::EMPTY; self.buckets.len() * 2];
            for bucket in &self.buckets {
                let held = bucket.addresses.iter().zip(bucket.varints).filter(|(_, varint)| varint.0 != 0);
                held.for_each(|(&address, varint)| Places::put(&mut wider, address, varint));
            }
            self.buckets = wider;
        }
        Places::put(&mut self.buckets, address, varint);
        self.used += 1;
    }

    fn put(buckets: &mut [Bucket], address: u64, varint: Varint) {
        let mut at = Places::bucket(buckets, address);
        loop {
            if let Some(way) = buckets[at].varints.iter().position(|varint| varint.0 == 0) {
                buckets[at].addresses[way] = address;
                buckets[at].varints[way] = varint;
                return;
            }
            at = (at + 1) & (buckets.len() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_keeps_its_id_however_they_crowd() {
        let mut places = Places::new();
        // Multiples of a power of two are what a weak hash would put into one bucket.
        let addresses: Vec<u64> = (0..40_000).map(|n| n << 12).chain([u64::MAX, 1, 3]).collect();
        for (&address, id) in addresses.iter().zip(1..) {
            assert!(places.find(address).is_none(), "{address:#x}");
            places.insert(address, Varint::new(id));
        }
        let mut body = vec![0; addresses.len() * 4 + 4];
        let (known, end) = places.write(&addresses, &mut body, 0);
        assert_eq!(known, addresses.len());
        let mut bytes = &body[..end];
        for id in 1..=addresses.len() as u64 {
            assert_eq!(prost::encoding::decode_varint(&mut bytes).unwrap(), id);
        }
        assert!(bytes.is_empty());
        assert_eq!(places.write(&[0, 5, 0], &mut body, 7), (1, 8), "up to the first that has none");
    }
}
