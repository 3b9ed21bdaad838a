//! Quantisation and Huffman tables as the file (re)defines them.

use super::huffman::HuffmanTable;
use super::segments::{Segment, marker};
use crate::Error;

/// The four slots of each kind, and the restart interval.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) quantisers: [Option<[u16; 64]>; 4],
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
    /// Units between restart markers; 0: none.
    pub(super) restart_interval: u32,
}

impl Tables {
    /// Takes in a DQT, DHT or DRI segment; others are ignored.
    pub(super) fn note(&mut self, segment: Segment<'_>) -> Result<(), Error> {
        match segment.marker {
            marker::DQT => self.note_quantisers(segment.payload),
            marker::DHT => self.note_huffman(segment.payload),
            marker::DRI => {
                let &[high, low, ..] = segment.payload else {
                    return Err(Error::damaged("a short JPEG restart interval"));
                };
                self.restart_interval = u32::from(high) << 8 | u32::from(low);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn note_quantisers(&mut self, mut payload: &[u8]) -> Result<(), Error> {
        let short = || Error::damaged("a short JPEG quantisation table");
        while let Some((&head, rest)) = payload.split_first() {
            let width = if head >> 4 == 0 { 1 } else { 2 };
            let (values, rest) = rest.split_at_checked(64 * width).ok_or_else(short)?;
            let mut table = [0u16; 64];
            for (slot, value) in table.iter_mut().zip(values.chunks_exact(width)) {
                *slot = value.iter().fold(0, |sum, &byte| sum << 8 | u16::from(byte));
            }
            *self
                .quantisers
                .get_mut(usize::from(head & 15))
                .ok_or_else(|| Error::damaged("an impossible JPEG table number"))? = Some(table);
            payload = rest;
        }
        Ok(())
    }

    fn note_huffman(&mut self, mut payload: &[u8]) -> Result<(), Error> {
        let short = || Error::damaged("a short JPEG Huffman table");
        while let Some((&head, rest)) = payload.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(total).ok_or_else(short)?;
            let impossible = || Error::damaged("an impossible JPEG table number");
            let class = match head >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(impossible()),
            };
            let slot = class.get_mut(usize::from(head & 15)).ok_or_else(impossible)?;
            *slot = Some(HuffmanTable::new(counts, symbols)?);
            payload = rest;
        }
        Ok(())
    }

    pub(super) fn dc(&self, index: usize) -> Result<&HuffmanTable, Error> {
        self.dc[index & 3].as_ref().ok_or_else(|| Error::damaged("a JPEG scan without its Huffman table"))
    }

    pub(super) fn ac(&self, index: usize) -> Result<&HuffmanTable, Error> {
        self.ac[index & 3].as_ref().ok_or_else(|| Error::damaged("a JPEG scan without its Huffman table"))
    }

    /// Prepares a table for reading two coefficients at once.
    pub(super) fn make_pairs(&mut self, index: usize) {
        if let Some(table) = &mut self.ac[index & 3] {
            table.make_pairs();
        }
    }

    /// Prepares a table for passing over coefficients.
    pub(super) fn make_passing(&mut self, index: usize) {
        if let Some(table) = &mut self.ac[index & 3] {
            table.make_passing();
        }
    }
}
