//! [`Script`]: an input, read as a stream of bytes and the pieces in which it is sent.
//!
//! ```text
//!   count │ step step … │ stream …
//!           step = length of the piece, what it carries
//! ```
//!
//! What the steps do not cover is sent at last in one piece.

use std::fmt;

/// What travels with the first byte of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    Nothing,
    /// A pipe's writing end.
    Pipe,
    /// Two descriptors in one message.
    TwoPipes,
    /// The two descriptors of a shared ring, as a channel announces it.
    Arena,
    /// A file that is no socket and no pipe.
    File,
    /// A TCP listener.
    Listener,
    /// As many as one message can carry.
    Most,
}

impl Carried {
    const ALL: [Carried; 7] = [
        Carried::Nothing,
        Carried::Pipe,
        Carried::TwoPipes,
        Carried::Arena,
        Carried::File,
        Carried::Listener,
        Carried::Most,
    ];

    fn from_byte(byte: u8) -> Carried {
        // Most pieces carry nothing: otherwise every input would end at its first descriptor.
        Carried::ALL.get(usize::from(byte)).copied().unwrap_or(Carried::Nothing)
    }
}

/// One piece of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes.
    pub length: u8,
    /// What goes with them.
    pub carried: Carried,
}

/// How an input is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Script<'a> {
    pub steps: Vec<Step>,
    pub stream: &'a [u8],
}

impl<'a> Script<'a> {
    /// Every input is some script.
    pub fn parse(input: &'a [u8]) -> Script<'a> {
        let (count, rest) = input.split_first().map_or((0, input), |(count, rest)| (usize::from(*count), rest));
        let (steps, stream) = rest.split_at(rest.len().min(count * 2));
        let (steps, _) = steps.as_chunks::<2>();
        let steps =
            steps.iter().map(|[length, carried]| Step { length: *length, carried: Carried::from_byte(*carried) });
        Script { steps: steps.collect(), stream }
    }

    /// The input that is read as this script.
    pub fn write(steps: &[Step], stream: &[u8]) -> Vec<u8> {
        let steps = &steps[..steps.len().min(usize::from(u8::MAX))];
        let mut input = vec![steps.len() as u8];
        for step in steps {
            let carried = Carried::ALL.iter().position(|carried| *carried == step.carried).unwrap_or(0);
            input.extend([step.length, carried as u8]);
        }
        input.extend(stream);
        input
    }

    /// The pieces, none of them empty.
    pub fn pieces(&self) -> Vec<(&'a [u8], Carried)> {
        let mut rest = self.stream;
        let mut pieces = Vec::with_capacity(self.steps.len() + 1);
        for step in &self.steps {
            let (piece, after) = rest.split_at(rest.len().min(usize::from(step.length)));
            rest = after;
            pieces.push((piece, step.carried));
        }
        pieces.push((rest, Carried::Nothing));
        pieces.retain(|(piece, _)| !piece.is_empty());
        pieces
    }

    /// Whether nothing but bytes is sent, so that another split must give the same messages.
    pub fn is_bytes_only(&self) -> bool {
        self.pieces().iter().all(|(_, carried)| *carried == Carried::Nothing)
    }
}

impl fmt::Debug for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Script({:?}, {} bytes)", self.steps, self.stream.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let steps = [Step { length: 2, carried: Carried::Arena }, Step { length: 1, carried: Carried::Nothing }];
        let input = Script::write(&steps, b"abcdef");
        let script = Script::parse(&input);
        assert_eq!(script.steps, steps);
        let pieces: Vec<(&[u8], Carried)> =
            vec![(b"ab", Carried::Arena), (b"c", Carried::Nothing), (b"def", Carried::Nothing)];
        assert_eq!(script.pieces(), pieces);
        assert!(!script.is_bytes_only());
    }

    #[test]
    fn every_input_is_a_script() {
        for input in [&b""[..], b"\xff", b"\xff\x01", b"\x01\x02\x03", b"\x00stream"] {
            let script = Script::parse(input);
            assert_eq!(script.pieces().iter().map(|(piece, _)| piece.len()).sum::<usize>(), script.stream.len());
        }
    }
}
